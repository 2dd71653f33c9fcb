//! exec, attach and portforward: the connection is handed over and carries several streams.

mod channels;
mod handshake;
mod port_forward;
mod remote_command;
mod spdy;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;

use handshake::Supported;
use port_forward::Destination;

use super::object::wants_upgrade;
use super::subresource::runtime_error;
use super::{Api, Call};
use crate::apiserver::error::ApiError;
use crate::pod_runtime::ExecOptions;

/// Most ports of one WebSocket port-forward.
const PORT_LIMIT: usize = 16;

impl Api {
    /// `exec` and `attach`.
    pub(super) async fn exec(
        &self,
        call: &Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let runtime =
            self.pod_runtime.get().ok_or_else(|| ApiError::internal("the node agent has not started"))?;
        let container = self.container(call)?;
        let query = &call.query;
        let options = ExecOptions {
            command: query.all("command").map(str::to_owned).collect(),
            stdin: query.flag("stdin"),
            stdout: query.flag("stdout"),
            stderr: query.flag("stderr") && !query.flag("tty"),
            tty: query.flag("tty"),
        };
        if call.target.subresource == "exec" && options.command.is_empty() {
            return Err(ApiError::bad_request("you must specify at least 1 container command"));
        }
        if !options.stdin && !options.stdout && !options.stderr {
            return Err(ApiError::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        if !wants_upgrade(request.headers()) {
            return Err(ApiError::bad_request("Upgrade request required"));
        }
        let supported = Supported {
            websocket: &["v5.channel.k8s.io", "v4.channel.k8s.io"],
            spdy: &[remote_command::PROTOCOL],
        };
        let handshake = handshake::negotiate(request, &supported)?;
        let (namespace, pod) = (&call.target.namespace, &call.target.name);
        let session = match call.target.subresource.as_str() {
            "attach" => runtime.attach(namespace, pod, &container, options.clone()).await,
            _ => runtime.exec(namespace, pod, &container, options.clone()).await,
        };
        let session = session.map_err(runtime_error)?;
        if handshake.is_spdy() {
            let (response, transport) = handshake.accept_spdy();
            until_stopped(call, async move {
                if let Some(transport) = transport.await {
                    remote_command::serve(transport, options, session).await;
                }
            });
            return Ok(response);
        }
        let (response, socket) = handshake.accept();
        until_stopped(call, channels::run_exec(socket, session));
        Ok(response)
    }

    /// `portforward`.
    pub(super) async fn port_forward(
        &self,
        call: &Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let runtime =
            self.pod_runtime.get().ok_or_else(|| ApiError::internal("the node agent has not started"))?;
        let (namespace, pod) = (call.target.namespace.clone(), call.target.name.clone());
        let found =
            self.operations.find("", "pods", &namespace, &pod).ok_or_else(|| call.target.not_found())?;
        if !wants_upgrade(request.headers()) {
            return Err(ApiError::bad_request("Upgrade request required"));
        }
        let supported = Supported {
            websocket: &[port_forward::TUNNELED_PROTOCOL, "v4.channel.k8s.io"],
            spdy: &[port_forward::PROTOCOL],
        };
        let handshake = handshake::negotiate(request, &supported)?;
        if handshake.protocol.ends_with(port_forward::PROTOCOL) {
            let uid = found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            let destination = Destination { runtime, namespace, pod, uid };
            let (response, transport) = handshake.accept_spdy();
            until_stopped(call, async move {
                if let Some(transport) = transport.await {
                    port_forward::serve(transport, destination).await;
                }
            });
            return Ok(response);
        }
        let mut streams: Vec<channels::ForwardedPort> = Vec::new();
        for port in ports(call)? {
            let opened = runtime.port_forward(&namespace, &pod, port).await;
            streams.push((port, opened.map_err(|error| error.to_string())));
        }
        let (response, socket) = handshake.accept();
        until_stopped(call, channels::run_port_forward(socket, streams));
        Ok(response)
    }
}

/// The ports that a WebSocket port-forward names in its query.
fn ports(call: &Call) -> Result<Vec<u16>, ApiError> {
    let named = call.query.all("ports").flat_map(|list| list.split(','));
    let ports: Vec<u16> = named.filter_map(|port| port.parse().ok()).collect();
    if ports.is_empty() || ports.len() > PORT_LIMIT {
        return Err(ApiError::bad_request(format!(
            "query parameter \"ports\" must name 1 to {PORT_LIMIT} ports"
        )));
    }
    Ok(ports)
}

/// Lets a connection that was handed over run until it ends or the server stops.
fn until_stopped(call: &Call, connection: impl Future<Output = ()> + Send + 'static) {
    let stop = call.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = connection => {}
            () = stop.cancelled() => {}
        }
    });
}
