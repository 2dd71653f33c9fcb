//! exec, attach and portforward: the connection is handed over and carries several streams.

mod channels;
mod handshake;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;

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
        let handshake = handshake::websocket(request, &["v5.channel.k8s.io", "v4.channel.k8s.io"])?;
        let (namespace, pod) = (&call.target.namespace, &call.target.name);
        let session = match call.target.subresource.as_str() {
            "attach" => runtime.attach(namespace, pod, &container, options).await,
            _ => runtime.exec(namespace, pod, &container, options).await,
        };
        let session = session.map_err(runtime_error)?;
        let stop = call.stop.clone();
        let (response, socket) = handshake.accept();
        tokio::spawn(async move {
            tokio::select! {
                () = channels::run_exec(socket, session) => {}
                () = stop.cancelled() => {}
            }
        });
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
        self.operations.find("", "pods", &namespace, &pod).ok_or_else(|| call.target.not_found())?;
        if !wants_upgrade(request.headers()) {
            return Err(ApiError::bad_request("Upgrade request required"));
        }
        let ports: Vec<u16> = call
            .query
            .all("ports")
            .flat_map(|list| list.split(','))
            .filter_map(|port| port.parse().ok())
            .collect();
        if ports.is_empty() || ports.len() > PORT_LIMIT {
            return Err(ApiError::bad_request(format!(
                "query parameter \"ports\" must name 1 to {PORT_LIMIT} ports"
            )));
        }
        let handshake = handshake::websocket(request, &["v4.channel.k8s.io"])?;
        let mut streams: Vec<channels::ForwardedPort> = Vec::new();
        for port in ports {
            let opened = runtime.port_forward(&namespace, &pod, port).await;
            streams.push((port, opened.map_err(|error| error.to_string())));
        }
        let stop = call.stop.clone();
        let (response, socket) = handshake.accept();
        tokio::spawn(async move {
            tokio::select! {
                () = channels::run_port_forward(socket, streams) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(response)
    }
}
