//! `pods/NAME/proxy` and `services/NAME/proxy`: the request goes on to a pod in HTTP/1.1, and its answer comes back. The name may have a
//! port: `NAME:PORT`, with the port's number or name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Api, Call};
use crate::apiserver::error::ApiError;
use crate::apiserver::operations::Target;

/// Headers of one connection, and the caller's credentials, which are the API server's alone.
const NOT_PASSED_ON: [HeaderName; 7] = [
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::PROXY_AUTHORIZATION,
    header::AUTHORIZATION,
];

/// How long a connection may take to come about, as for Kubernetes' API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

impl Api {
    /// Passes a request on.
    pub(super) async fn proxy(
        &self,
        call: &Call,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let address = self.proxied_to(&call.target)?;
        let unreached = |error: &dyn std::fmt::Display| {
            ApiError::unavailable(format!("error trying to reach service: {address}: {error}"))
        };
        let path = path_beyond(&request);
        *request.uri_mut() = path.parse().map_err(|_| ApiError::bad_request("the path is not valid"))?;
        strip(request.headers_mut());
        if !request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::try_from(address.to_string())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        *request.version_mut() = http::Version::HTTP_11;
        let connected = timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| unreached(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| unreached(&error))?;
        // Ends with the answer's body.
        tokio::spawn(connection);
        let mut answer = sender.send_request(request).await.map_err(|error| unreached(&error))?;
        strip(answer.headers_mut());
        Ok(answer.map(Body::new))
    }

    /// The address of the pod, or of a ready endpoint of the Service.
    fn proxied_to(&self, target: &Target) -> Result<SocketAddr, ApiError> {
        let (scheme, name, port) = match target.name.split(':').collect::<Vec<_>>().as_slice() {
            [name] => ("", *name, ""),
            [name, port] => ("", *name, *port),
            [scheme, name, port] => (*scheme, *name, *port),
            _ => return Err(ApiError::bad_request(format!("invalid service request {:?}", target.name))),
        };
        if scheme == "https" {
            let why = "the embedded cluster's API server passes requests on in HTTP alone: use kubectl port-forward";
            return Err(ApiError::bad_request(why));
        }
        let mut named = target.clone();
        (named.name, named.subresource) = (name.to_owned(), String::new());
        let object = self.operations.read(&named)?;
        if named.definition.reference.plural == "pods" {
            pod(&object, port)
        } else {
            self.service(&object, port)
        }
    }

    fn service(&self, service: &Value, port: &str) -> Result<SocketAddr, ApiError> {
        let (namespace, name) = (&service["metadata"]["namespace"], &service["metadata"]["name"]);
        let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let is_number = |own: &Value| port.parse::<u64>().is_ok_and(|number| *own == number);
        let wanted = |one: &&Value| port.is_empty() || one["name"] == port || is_number(&one["port"]);
        let found = ports.find(wanted).ok_or_else(|| {
            ApiError::unavailable(format!("no service port {port:?} found for service {name}"))
        })?;
        let port_name = found["name"].as_str().unwrap_or("");
        let (slices, _) =
            self.operations.store.list("discovery.k8s.io/endpointslices", namespace.as_str().unwrap_or(""));
        let of_service = |slice: &&std::sync::Arc<Value>| {
            slice["metadata"]["labels"]["kubernetes.io/service-name"] == *name
        };
        for slice in slices.iter().filter(of_service) {
            let ports = slice["ports"].as_array().into_iter().flatten();
            let number = ports
                .into_iter()
                .find(|one| one["name"].as_str().unwrap_or("") == port_name)
                .map(|one| &one["port"]);
            let endpoints = slice["endpoints"].as_array().into_iter().flatten();
            let ready =
                endpoints.into_iter().find(|one| one["conditions"]["ready"].as_bool().unwrap_or(true));
            if let Some(address) =
                ready.zip(number).and_then(|(one, port)| address(&one["addresses"][0], port))
            {
                return Ok(address);
            }
        }
        Err(ApiError::unavailable(format!("no endpoints available for service {name}")))
    }
}

/// Without a port the first that a container declares, else 80.
fn pod(pod: &Value, port: &str) -> Result<SocketAddr, ApiError> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut declared = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let number = match port {
        "" => declared.next().map_or(Value::from(80), |one| one["containerPort"].clone()),
        port => match port.parse::<u16>() {
            Ok(number) => number.into(),
            Err(_) => declared
                .find(|one| one["name"] == port)
                .map_or(Value::Null, |one| one["containerPort"].clone()),
        },
    };
    let name = &pod["metadata"]["name"];
    address(&pod["status"]["podIP"], &number)
        .ok_or_else(|| ApiError::unavailable(format!("pod {name} has no address, or no port {port:?}")))
}

fn address(ip: &Value, port: &Value) -> Option<SocketAddr> {
    let ip: IpAddr = ip.as_str()?.parse().ok()?;
    Some(SocketAddr::new(ip, u16::try_from(port.as_u64()?).ok()?))
}

/// What comes after `…/NAME/proxy`, as it was written, with the query.
fn path_beyond(request: &Request<Incoming>) -> String {
    // "", api, v1, namespaces, NAMESPACE, pods, NAME, proxy, the rest
    let rest = request.uri().path().splitn(9, '/').nth(8).unwrap_or("");
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{rest}{query}")
}

fn strip(headers: &mut HeaderMap) {
    for name in NOT_PASSED_ON {
        headers.remove(name);
    }
}
