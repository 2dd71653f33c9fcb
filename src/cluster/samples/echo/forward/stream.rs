//! A message over TCP or a WebSocket, and what comes back.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::super::grpc::ForwardEchoRequest;
use super::super::tcp::MAGIC;
use super::Lines;
use super::aim::{resolved, split};

/// Most bytes of an answer.
const LARGEST: usize = 1 << 20;

pub(super) async fn tcp(request: &ForwardEchoRequest, lines: &mut Lines) -> Result<(), String> {
    lines.put("Url", &request.url);
    lines.put("Echo", &request.message);
    let mut stream = connect(request.authority(), 9090).await?;
    let mut read = Vec::new();
    if request.server_first {
        read_until(&mut stream, &mut read, MAGIC).await?;
        read.clear();
    }
    let message = format!("{}\n", request.message);
    stream.write_all(message.as_bytes()).await.map_err(|error| error.to_string())?;
    read_until(&mut stream, &mut read, &message).await?;
    let answer = String::from_utf8_lossy(&read).into_owned();
    lines.body(&answer);
    if answer.contains("StatusCode=200") {
        Ok(())
    } else {
        Err(format!("expect to recv message with StatusCode=200, got {answer:?}. Return EOF"))
    }
}

/// Reads until what was read ends so, or the server is done.
async fn read_until(stream: &mut TcpStream, read: &mut Vec<u8>, end: &str) -> Result<(), String> {
    while !read.ends_with(end.as_bytes()) && read.len() < LARGEST {
        if stream.read_buf(read).await.map_err(|error| error.to_string())? == 0 {
            return Ok(());
        }
    }
    Ok(())
}

pub(super) async fn web_socket(request: &ForwardEchoRequest, lines: &mut Lines) -> Result<(), String> {
    lines.put("Url", &request.url);
    lines.put("Echo", &request.message);
    let stream = connect(request.authority(), 80).await?;
    let mut handshake = http::Request::get(&request.url)
        .header("host", request.header("host").unwrap_or_else(|| request.authority()))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", tokio_tungstenite::tungstenite::handshake::client::generate_key());
    for header in request.headers.iter().filter(|header| !header.key.eq_ignore_ascii_case("host")) {
        lines.put("Header", format_args!("{}:{}", header.key, header.value));
        handshake = handshake.header(&header.key, &header.value);
    }
    let handshake = handshake.body(()).map_err(|error| error.to_string())?;
    let opened = tokio_tungstenite::client_async(handshake, stream).await;
    let (mut socket, _) = opened.map_err(|error| error.to_string())?;
    socket.send(Message::text(request.message.clone())).await.map_err(|error| error.to_string())?;
    let answer = loop {
        match socket.next().await {
            Some(Ok(message)) if message.is_text() || message.is_binary() => break message.into_data(),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the server left without an answer".to_owned()),
        }
    };
    lines.body(&String::from_utf8_lossy(&answer));
    Ok(())
}

async fn connect(authority: &str, default: u16) -> Result<TcpStream, String> {
    let (host, port) = split(authority, default)?;
    let address = SocketAddr::from((resolved(host).await?, port));
    TcpStream::connect(address).await.map_err(|error| format!("dial tcp {address}: {error}"))
}
