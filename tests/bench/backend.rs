//! The server behind the proxies: answers every request with the same bytes, as cheaply as it can.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::affinity;

/// Starts it on a thread of its own; it serves until the process ends.
pub(crate) fn start(body: usize) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {body}\r\n\r\n");
    let answer: &'static [u8] = [head.into_bytes(), vec![b'x'; body]].concat().leak();
    affinity::on_last(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(accept(listener, answer));
        }
    });
    Ok(address)
}

async fn accept(listener: std::net::TcpListener, answer: &'static [u8]) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        tokio::spawn(serve(socket, answer));
    }
}

async fn serve(mut socket: TcpStream, answer: &'static [u8]) {
    let (mut input, mut kept) = (vec![0; 16 * 1024], 0);
    loop {
        match socket.read(&mut input[kept..]).await {
            Ok(count) if count > 0 => kept += count,
            _ => return,
        }
        while let Some(end) = input[..kept].windows(4).position(|four| four == b"\r\n\r\n") {
            input.copy_within(end + 4..kept, 0);
            kept -= end + 4;
            if socket.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}
