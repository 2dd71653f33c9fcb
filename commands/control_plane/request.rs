//! `pilot-discovery request METHOD PATH`: asks the control plane of the same container, as tools do by `kubectl exec`.

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::exit::{Exit, Failure, Outcome};
use crate::output;

/// Port of the control plane's plain HTTP server, which trusts this host.
const PORT: u16 = 8080;

/// Makes the request and prints the answer.
pub(crate) async fn request(arguments: Vec<String>) -> Outcome {
    let [method, path] = arguments.as_slice() else {
        return Err(Failure::usage(
            "expected a method and a path, as in: pilot-discovery request GET /debug/syncz",
        ));
    };
    let path = if path.starts_with('/') { path.clone() } else { format!("/{path}") };
    let stream = TcpStream::connect(("127.0.0.1", PORT)).await.map_err(|error| {
        Failure::from(error).context(format!("the control plane does not listen on port {PORT}"))
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method.as_str())
        .uri(&path)
        .header(http::header::HOST, "localhost")
        .body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.abort();
    output::bytes(&body);
    if status.is_success() {
        return Ok(Exit::Success);
    }
    Err(Failure::new(format!("{method} {path}: status code {}", status.as_u16())))
}
