//! gRPC calls: fortio's ping and the health service.

use std::time::{Duration, Instant};

use axum::http::{HeaderValue, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use prost::Message;

use super::super::grpc::frame;
use super::arguments::Options;
use super::connection::{Connection, Protocol};
use super::histogram::Samples;

pub(super) const PING: &str = "/fgrpc.PingServer/Ping";
pub(super) const HEALTH: &str = "/grpc.health.v1.Health/Check";
pub(super) const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// `SERVING` of the health service.
pub(super) const SERVING: i32 = 1;

/// `fgrpc.PingMessage`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PingMessage {
    #[prost(int64, tag = "1")]
    pub(super) seq: i64,
    #[prost(int64, tag = "2")]
    pub(super) ts: i64,
    #[prost(string, tag = "3")]
    pub(super) payload: String,
    #[prost(int64, tag = "4")]
    pub(super) delay_nanos: i64,
}

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    pub(super) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// A connection to a gRPC server.
pub(super) struct Client {
    connection: Connection,
    authority: String,
    sequence: i64,
}

impl Client {
    /// `host:port`, or a host with the port of fortio's server.
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let [target] = options.targets.as_slice() else {
            return Err("want one target, HOST:PORT".to_owned());
        };
        let target = target.strip_prefix("http://").unwrap_or(target).trim_end_matches('/');
        let (host, port) = match target.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().map_err(|_| format!("{target:?}: {port:?} is no port"))?)
            }
            None => (target, options.grpc_port),
        };
        let connection =
            Connection::to(host, port, Protocol::Http2, options.timeout.max(Duration::from_secs(1)));
        Ok(Self { connection, authority: format!("{host}:{port}"), sequence: 0 })
    }

    pub(super) fn opened(&self) -> u64 {
        self.connection.opened
    }

    /// One call as `load` makes it: whether it went well, and the word for it.
    pub(super) async fn call(&mut self, options: &Options) -> (bool, String) {
        let answer =
            if options.ping { self.ping(options).await.map(|_| SERVING) } else { self.health(options).await };
        match answer {
            Ok(SERVING) => (true, "SERVING".to_owned()),
            Ok(2) => (false, "NOT_SERVING".to_owned()),
            Ok(other) => (false, format!("status {other}")),
            Err(_) => (false, "ERROR".to_owned()),
        }
    }

    async fn ping(&mut self, options: &Options) -> Result<PingMessage, String> {
        self.sequence += 1;
        let ts = jiff::Timestamp::now().as_nanosecond();
        let message = PingMessage {
            seq: self.sequence,
            ts: i64::try_from(ts).unwrap_or_default(),
            payload: options.payload.clone(),
            delay_nanos: 0,
        };
        self.unary(PING, &message, options).await
    }

    async fn health(&mut self, options: &Options) -> Result<i32, String> {
        let request = HealthCheckRequest { service: options.health_service.clone() };
        let answer: HealthCheckResponse = self.unary(HEALTH, &request, options).await?;
        Ok(answer.status)
    }

    async fn unary<M: Message + Default>(
        &mut self,
        path: &str,
        message: &impl Message,
        options: &Options,
    ) -> Result<M, String> {
        let uri: Uri = format!("http://{}{path}", self.authority).parse().map_err(|_| "no URI".to_owned())?;
        let mut request = Request::new(Full::new(frame(message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        for (name, value) in &options.headers {
            if let (Ok(name), Ok(value)) =
                (name.parse::<axum::http::HeaderName>(), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        }
        let response = self.connection.send(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let text = |name: &str| {
            let value = trailers.get(name).or_else(|| head.headers.get(name));
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        match text("grpc-status").as_str() {
            "0" => {}
            "" => {
                return Err(format!("rpc error: code = Unknown desc = HTTP status {}", head.status.as_u16()));
            }
            code => return Err(format!("rpc error: code = {code} desc = {}", text("grpc-message"))),
        }
        M::decode(body.to_bytes().get(5..).unwrap_or_default()).map_err(|error| error.to_string())
    }
}

/// `fortio grpcping`: so many pings, or health checks, one after another.
pub(super) async fn ping(options: &Options) -> Result<(), String> {
    let mut client = Client::of(options)?;
    let mut times = Samples::default();
    for _ in 0..options.calls.max(1) {
        let began = Instant::now();
        if options.health {
            let status = client.health(options).await?;
            println!("Health {} : 1", if status == SERVING { "SERVING" } else { "NOT_SERVING" });
        } else {
            let answer = client.ping(options).await?;
            if !options.quiet {
                println!("Ping RTT {} seq {}", began.elapsed().as_micros(), answer.seq);
            }
        }
        times.0.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    println!("{}", times.summary("RTT histogram ms"));
    print!("{}", times.histogram(1.0));
    Ok(())
}
