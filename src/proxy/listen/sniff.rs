//! Looking at the first bytes of a connection: is it TLS (server name, application protocols), is it HTTP.

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Most bytes looked at.
const LIMIT: usize = 64 * 1024;
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes tell.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sniffed {
    pub(crate) tls: bool,
    pub(crate) server_name: String,
    pub(crate) alpn: Vec<String>,
}

/// Which questions are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Questions {
    pub(crate) tls: bool,
    pub(crate) http: bool,
}

/// Reads into `prefix` until every question is answered or the peer is done.
pub(crate) async fn sniff(
    io: &mut TcpStream,
    prefix: &mut BytesMut,
    ask: Questions,
) -> std::io::Result<Sniffed> {
    loop {
        if let Some(found) = judge(prefix, ask) {
            return Ok(found);
        }
        if prefix.len() >= LIMIT {
            return Ok(Sniffed::default());
        }
        prefix.reserve(4096);
        if io.read_buf(prefix).await? == 0 {
            return Ok(Sniffed::default());
        }
    }
}

/// `None` = more bytes are needed.
fn judge(bytes: &[u8], ask: Questions) -> Option<Sniffed> {
    let first = *bytes.first()?;
    if ask.tls && first == 0x16 {
        return client_hello(bytes);
    }
    let alpn = match if ask.http { http_version(bytes) } else { Some("") } {
        None => return None,
        Some("") => Vec::new(),
        Some(found) => vec![found.to_owned()],
    };
    Some(Sniffed { alpn, ..Sniffed::default() })
}

/// The protocol by preface or request line; empty = no HTTP; `None` = more bytes are needed.
fn http_version(bytes: &[u8]) -> Option<&'static str> {
    let shared = bytes.len().min(H2_PREFACE.len());
    if bytes[..shared] == H2_PREFACE[..shared] {
        return (shared == H2_PREFACE.len()).then_some("h2c");
    }
    let method = bytes.iter().position(|b| *b == b' ').unwrap_or(bytes.len());
    if method == 0
        || method > 32
        || !bytes[..method].iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
    {
        return Some("");
    }
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return (bytes.len() > 16 * 1024 || bytes.contains(&0)).then_some("");
    };
    let line = bytes[..end].trim_ascii_end();
    if line.ends_with(b" HTTP/1.1") {
        Some("http/1.1")
    } else if line.ends_with(b" HTTP/1.0") {
        Some("http/1.0")
    } else {
        Some("")
    }
}

/// Reads the ClientHello with rustls' own parser.
fn client_hello(bytes: &[u8]) -> Option<Sniffed> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut cursor = bytes;
    let mut found = Sniffed { tls: true, ..Sniffed::default() };
    loop {
        if !matches!(acceptor.read_tls(&mut cursor), Ok(count) if count > 0) {
            return None;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                found.server_name = hello.server_name().unwrap_or_default().to_ascii_lowercase();
                let alpn =
                    hello.alpn().map(|list| list.map(|p| String::from_utf8_lossy(p).into_owned()).collect());
                found.alpn = alpn.unwrap_or_default();
                return Some(found);
            }
            Ok(None) => {}
            // Looks like TLS but is none that rustls speaks: the handshake will say so.
            Err(_) => return Some(found),
        }
    }
}
