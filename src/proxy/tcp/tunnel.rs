//! Connections through an HTTP proxy: it is asked with CONNECT or POST, and what follows is the connection's.
//!
//! After CONNECT bytes go as they are; with POST they go in chunks, and come back as the body of the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::config::Tunnel;

/// Longest head of an answer, and longest line within chunks.
const LONGEST_HEAD: usize = 16 * 1024;
/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// Why the proxy gave no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// As Envoy writes it.
    #[error("tunnel_response:{0}")]
    Refused(u16),
    #[error("tunnel_response: not HTTP")]
    NotHttp,
    /// Nothing that Istio's `tunnel` makes leads to such a cluster.
    #[error("tunnel: clusters that speak HTTP/2 are not supported")]
    Http2,
    #[error("tunnel: {0}")]
    Io(#[from] io::Error),
}

/// What the rest of the connection's bytes stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Nothing: they are the connection's own.
    Raw,
    /// A body of so many more bytes.
    Length(u64),
    /// Within a chunk that has so many more bytes.
    Chunk(u64),
    /// Before the line that ends a chunk.
    ChunkEnd,
    /// Before the line that begins a chunk.
    ChunkHead,
    /// After the last chunk.
    Over,
}

/// A connection through a tunnel.
#[derive(Debug)]
pub(super) struct Tunneled<S> {
    stream: S,
    /// Bytes that were read and not yet handed on.
    input: BytesMut,
    framing: Framing,
    /// Chunks go out; those that are on their way.
    output: Option<BytesMut>,
    ended: bool,
}

/// Asks the proxy at the other end of `stream`, which has sent `read` already.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    mut read: BytesMut,
    tunnel: &Tunnel,
) -> Result<Tunneled<S>, TunnelError> {
    let target = &tunnel.target;
    let request = match tunnel.post {
        true => format!("POST / HTTP/1.1\r\nhost: {target}\r\ntransfer-encoding: chunked\r\n\r\n"),
        false => format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n"),
    };
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let framing = loop {
        let (status, framing) = head(&mut stream, &mut read).await?;
        match status {
            100..=199 => {}
            200..=299 => break framing,
            refused => return Err(TunnelError::Refused(refused)),
        }
    };
    let framing = if tunnel.post { framing } else { Framing::Raw };
    Ok(Tunneled { stream, input: read, framing, output: tunnel.post.then(BytesMut::new), ended: false })
}

/// Takes one head of an answer off: its status, and how the body after it ends.
async fn head(
    stream: &mut (impl AsyncRead + Unpin),
    read: &mut BytesMut,
) -> Result<(u16, Framing), TunnelError> {
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if read.len() > LONGEST_HEAD {
            return Err(TunnelError::NotHttp);
        }
        if stream.read_buf(read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    let head = read.split_to(end);
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.split("\r\n");
    let first = lines.next().filter(|line| line.starts_with("HTTP/1.")).ok_or(TunnelError::NotHttp)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(TunnelError::NotHttp)?;
    let mut framing = Framing::Raw;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            return Ok((status, Framing::ChunkHead));
        }
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.parse().map_err(|_| TunnelError::NotHttp)?);
        }
    }
    Ok((status, framing))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tunneled<S> {
    /// Reads what there is; `false` = the peer ended.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut piece = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(!buffer.filled().is_empty()))
    }

    /// A line of the chunks' framing, taken off.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
        loop {
            if let Some(end) = self.input.windows(2).position(|window| window == b"\r\n") {
                let mut line = self.input.split_to(end + 2);
                line.truncate(end);
                return Poll::Ready(Ok(line));
            }
            if self.input.len() > LONGEST_HEAD {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Hands on at most `most` bytes; how many it were, 0 at the end.
    fn poll_some(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, most: u64) -> Poll<io::Result<u64>> {
        if self.input.is_empty() && !ready!(self.poll_more(cx))? {
            return Poll::Ready(Ok(0));
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let count = self.input.len().min(buf.remaining()).min(most);
        buf.put_slice(&self.input[..count]);
        self.input.advance(count);
        Poll::Ready(Ok(count as u64))
    }

    /// Sends the chunks that are on their way.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(output) = self.output.as_mut().filter(|output| !output.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, output))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tunneled<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.framing {
                Framing::Raw if this.input.is_empty() => {
                    return Pin::new(&mut this.stream).poll_read(cx, buf);
                }
                Framing::Raw => return this.poll_some(cx, buf, u64::MAX).map_ok(drop),
                Framing::Over | Framing::Length(0) => return Poll::Ready(Ok(())),
                Framing::Length(left) => {
                    let count = ready!(this.poll_some(cx, buf, left))?;
                    this.framing = Framing::Length(left - count);
                    return Poll::Ready(Ok(()));
                }
                Framing::Chunk(0) => this.framing = Framing::ChunkEnd,
                Framing::Chunk(left) => {
                    let count = ready!(this.poll_some(cx, buf, left))?;
                    this.framing = Framing::Chunk(left - count);
                    return Poll::Ready(Ok(()));
                }
                Framing::ChunkEnd => {
                    ready!(this.poll_line(cx))?;
                    this.framing = Framing::ChunkHead;
                }
                Framing::ChunkHead => {
                    let line = ready!(this.poll_line(cx))?;
                    let size = line[..].split(|byte| *byte == b';').next().unwrap_or_default();
                    let size = std::str::from_utf8(size)
                        .ok()
                        .and_then(|size| u64::from_str_radix(size.trim(), 16).ok());
                    this.framing = match size {
                        Some(0) => Framing::Over,
                        Some(size) => Framing::Chunk(size),
                        None => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                    };
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tunneled<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.output.is_none() {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        ready!(this.poll_output(cx))?;
        if let Some(output) = this.output.as_mut().filter(|_| !buf.is_empty()) {
            output.extend_from_slice(format!("{:x}\r\n", buf.len()).as_bytes());
            output.extend_from_slice(buf);
            output.extend_from_slice(b"\r\n");
        }
        // The chunk is taken; what of it does not go out now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_output(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_output(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(output) = &mut this.output else { return Pin::new(&mut this.stream).poll_shutdown(cx) };
        // The request ends; its answer may still be under way, so the connection stays.
        if !std::mem::replace(&mut this.ended, true) {
            output.extend_from_slice(b"0\r\n\r\n");
        }
        ready!(this.poll_output(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn with_answer(post: bool, answer: &'static [u8]) -> (Result<String, TunnelError>, String) {
        let (near, mut far) = tokio::io::duplex(1024);
        let server = async move {
            far.write_all(answer).await.expect("write");
            let mut asked = vec![0; 1024];
            let count = far.read(&mut asked).await.expect("read");
            let head = String::from_utf8_lossy(&asked[..count]).into_owned();
            let mut rest = Vec::new();
            let sent = async { far.read_to_end(&mut rest).await };
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), sent).await;
            format!("{head}{}", String::from_utf8_lossy(&rest))
        };
        let client = async move {
            let tunnel = Tunnel { target: "db.example.com:5432".to_owned(), post };
            let mut through = open(near, BytesMut::new(), &tunnel).await?;
            through.write_all(b"question").await?;
            through.shutdown().await?;
            let mut got = vec![0; 64];
            let count = through.read(&mut got).await?;
            Ok(String::from_utf8_lossy(&got[..count]).into_owned())
        };
        tokio::join!(client, server)
    }

    #[tokio::test]
    async fn connect_leaves_bytes_as_they_are() {
        let (got, asked) = with_answer(false, b"HTTP/1.1 200 Connection established\r\n\r\nhello").await;
        assert_eq!(got.expect("a tunnel"), "hello");
        let head = "CONNECT db.example.com:5432 HTTP/1.1\r\nhost: db.example.com:5432\r\n\r\n";
        assert_eq!(asked, format!("{head}question"));
        let (refused, _) = with_answer(false, b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        assert_eq!(refused.unwrap_err().to_string(), "tunnel_response:407");
    }

    #[tokio::test]
    async fn post_carries_chunks_both_ways() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n";
        let (got, asked) = with_answer(true, answer).await;
        assert_eq!(got.expect("a tunnel"), "hello");
        assert!(asked.ends_with("transfer-encoding: chunked\r\n\r\n8\r\nquestion\r\n0\r\n\r\n"), "{asked}");
        let (got, _) = with_answer(true, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(got.expect("a tunnel"), "ok");
    }
}
