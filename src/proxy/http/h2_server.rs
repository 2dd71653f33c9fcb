//! Serving one HTTP/2 connection: every stream is a request of its own.

use bytes::Bytes;

use crate::listen::stream::Stream;

use super::body::Body;
use super::codec::{Request, is_authority};
use super::exchange::{Exchange, Memory, Scene};
use super::h2_map::to_list;
use super::reply::Replier;

/// Serves until the peer is done or the proxy drains. See [`super::h1_server::serve`] for `current`.
pub(crate) async fn serve(stream: Stream, first: Scene, mut current: impl FnMut() -> Option<Scene>) {
    let manager = first.manager.clone();
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(manager.h2_streams)
        .initial_window_size(manager.h2_stream_window)
        .initial_connection_window_size(manager.h2_connection_window)
        .max_header_list_size(u32::try_from(manager.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_reset_streams(100)
        .max_pending_accept_reset_streams(50)
        .handshake::<_, Bytes>(stream);
    let Ok(Ok(mut connection)) = tokio::time::timeout(std::time::Duration::from_secs(15), handshake).await
    else {
        return;
    };
    let alive = super::h2_keepalive::watch(connection.ping_pong(), manager.h2_keepalive);
    tokio::pin!(alive);
    let (worker, direction) = (first.worker.clone(), first.connection.direction);
    drop(first);
    let mut leaving = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = &mut alive => break,
            () = worker.drain_started(direction), if !leaving => {
                connection.graceful_shutdown();
                leaving = true;
                continue;
            }
        };
        let Some(Ok((head, sender))) = accepted else { break };
        let Some(scene) = current() else {
            connection.graceful_shutdown();
            leaving = true;
            continue;
        };
        tokio::task::spawn_local(serve_stream(scene, head, sender));
    }
}

async fn serve_stream(
    scene: Scene,
    head: http::Request<h2::RecvStream>,
    mut sender: h2::server::SendResponse<Bytes>,
) {
    let (parts, stream) = head.into_parts();
    let Some(request) = request_of(parts, &scene) else {
        sender.send_reset(h2::Reason::PROTOCOL_ERROR);
        return;
    };
    let body = Body::h2(stream);
    let mut replier = Replier::H2(sender);
    let exchange = Exchange::new(scene, Memory { request, ..Memory::default() });
    exchange.run(body, &mut replier).await;
}

/// `None` = the head breaks the rules of HTTP.
fn request_of(parts: http::request::Parts, scene: &Scene) -> Option<Request> {
    let mut headers = to_list(&parts.headers);
    let refused = |name: &[u8]| scene.manager.reject_underscores && name.contains(&b'_');
    if headers.len() > scene.manager.max_header_count || headers.iter().any(|(name, _)| refused(name)) {
        return None;
    }
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str().as_bytes().to_vec(),
        None => headers.get(b"host")?.to_vec(),
    };
    if authority.is_empty() || !is_authority(&authority) {
        return None;
    }
    headers.remove(b"host");
    if headers.contains(b"connection")
        || headers.contains(b"transfer-encoding")
        || headers.contains(b"upgrade")
    {
        return None;
    }
    join_cookies(&mut headers);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let expect_continue = headers.get(b"expect").is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
    Some(Request {
        method: parts.method.as_str().as_bytes().to_vec(),
        path: path.as_bytes().to_vec(),
        authority,
        scheme: "http",
        headers,
        version: 2,
        keep_alive: true,
        upgrade: None,
        expect_continue,
    })
}

/// HTTP/2 splits cookies over several headers; HTTP/1 servers expect one.
fn join_cookies(headers: &mut super::headers::HeaderList) {
    if headers.get_all(b"cookie").nth(1).is_some() {
        let joined = headers.get_all(b"cookie").collect::<Vec<_>>().join(b"; ".as_slice());
        headers.set(b"cookie", &joined);
    }
}
