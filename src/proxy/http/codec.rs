//! HTTP/1 heads: strict parsing, and writing. What could be read in two ways is refused.

use bytes::{Buf, BytesMut};

use super::body::Framing;
use super::headers::{HeaderList, tokens};

/// Headers the parser has room for; the configured limit is checked afterwards.
const PARSE_ROOM: usize = 256;

/// A request head.
#[derive(Debug, Default, Clone)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) path: Vec<u8>,
    pub(crate) authority: Vec<u8>,
    pub(crate) scheme: &'static str,
    pub(crate) headers: HeaderList,
    /// 0 or 1 for HTTP/1, 2 for HTTP/2.
    pub(crate) version: u8,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: Option<String>,
    pub(crate) expect_continue: bool,
}

/// A response head.
#[derive(Debug, Default, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderList,
    pub(crate) keep_alive: bool,
}

/// Why a head is refused; the text goes to the log as response code details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("http1.codec_error")]
    Malformed,
    #[error("http1.too_many_headers")]
    TooManyHeaders,
    #[error("http1.headers_too_large")]
    TooLarge,
    #[error("http1.invalid_transfer_encoding")]
    TransferEncoding,
    #[error("http1.content_length_and_chunked_not_allowed")]
    LengthAndChunked,
    #[error("http1.codec_error")]
    ContentLength,
    #[error("http.invalid_authority")]
    Host,
    #[error("missing_host_header")]
    NoHost,
    #[error("stream_idle_timeout")]
    Idle,
    #[error("http1.unexpected_underscore")]
    Underscore,
    #[error("http1.invalid_url")]
    Target,
    #[error("low_version")]
    LowVersion,
    #[error("request_header_timeout")]
    Timeout,
}

impl HeadError {
    /// The status of the answer.
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyHeaders => 431,
            Self::LowVersion => 426,
            Self::TransferEncoding => 501,
            Self::Timeout | Self::Idle => 408,
            _ => 400,
        }
    }

    /// The text of the answer.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoHost => "",
            Self::Timeout => "request header timeout",
            Self::Idle => "stream timeout",
            _ => reason(self.status()),
        }
    }
}

/// Limits of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits<'h> {
    pub(crate) bytes: usize,
    pub(crate) count: usize,
    pub(crate) reject_underscores: bool,
    pub(crate) accept_http_10: bool,
    /// Methods that no standard knows are let through.
    pub(crate) custom_methods: bool,
    /// The host of HTTP/1.0 requests without one.
    pub(crate) default_host: Option<&'h str>,
}

/// What the last head of a connection says about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    /// The client's version of HTTP/1.
    pub(crate) version: u8,
    pub(crate) close: bool,
}

/// The methods that Envoy knows.
const METHODS: [&str; 34] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// A byte that may stand in a header name.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The end of the head, if it is there. Looks for the empty line and refuses bare CR or LF on the way.
fn head_end(input: &[u8], limit: usize) -> Result<Option<usize>, HeadError> {
    let end = memchr::memmem::find(input, b"\r\n\r\n").map(|at| at + 4);
    let scanned = &input[..end.unwrap_or(input.len())];
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &scanned[from..]) {
        let at = from + at;
        if at == 0 || scanned[at - 1] != b'\r' {
            return Err(HeadError::Malformed);
        }
        from = at + 1;
    }
    if scanned.len() > limit { Err(HeadError::TooLarge) } else { Ok(end) }
}

/// Takes a request head off the buffer; `None` = more bytes are needed.
pub(crate) fn take_request(
    input: &mut BytesMut,
    request: &mut Request,
    limits: HeadLimits<'_>,
) -> Result<Option<Framing>, HeadError> {
    // An empty line before a request is tolerated, as RFC 9112 asks.
    while input.starts_with(b"\r\n") {
        input.advance(2);
    }
    let Some(end) = head_end(input, limits.bytes)? else { return plausible(input).map(|()| None) };
    let mut room = [const { std::mem::MaybeUninit::uninit() }; PARSE_ROOM];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(&input[..end], &mut room) {
        Ok(httparse::Status::Complete(length)) if length == end => {}
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyHeaders),
        Err(httparse::Error::Version) => return Err(HeadError::LowVersion),
        _ => return Err(HeadError::Malformed),
    }
    let (Some(method), Some(path), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(HeadError::Malformed);
    };
    if !limits.custom_methods && !METHODS.contains(&method) {
        return Err(HeadError::Malformed);
    }
    request.method.clear();
    request.method.extend_from_slice(method.as_bytes());
    request.path.clear();
    request.path.extend_from_slice(path.as_bytes());
    request.version = version;
    if version == 0 && !limits.accept_http_10 {
        return Err(HeadError::LowVersion);
    }
    copy_headers(parsed.headers, &mut request.headers, limits)?;
    finish_request(request, limits)?;
    let framing = framing(&request.headers, version)?.unwrap_or(Framing::Length(0));
    input.advance(end);
    Ok(Some(framing))
}

/// Whether the first bytes of a request line can become one: what cannot is refused without waiting for more.
fn plausible(input: &[u8]) -> Result<(), HeadError> {
    let method = input.iter().position(|byte| *byte == b' ').unwrap_or(input.len());
    let known = input[..method].iter().all(|byte| is_token(*byte)) && method <= 32;
    if known { Ok(()) } else { Err(HeadError::Malformed) }
}

fn copy_headers(
    from: &[httparse::Header<'_>],
    to: &mut HeaderList,
    limits: HeadLimits<'_>,
) -> Result<(), HeadError> {
    to.clear();
    if from.len() > limits.count {
        return Err(HeadError::TooManyHeaders);
    }
    for header in from {
        if limits.reject_underscores && header.name.contains('_') {
            return Err(HeadError::Underscore);
        }
        if header.value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            return Err(HeadError::Malformed);
        }
        to.append(header.name.as_bytes(), header.value.trim_ascii());
    }
    Ok(())
}

fn finish_request(request: &mut Request, limits: HeadLimits<'_>) -> Result<(), HeadError> {
    let headers = std::mem::take(&mut request.headers);
    let mut hosts = headers.get_all(b"host");
    let host = hosts.next();
    if hosts.next().is_some() || !host.is_none_or(is_authority) {
        return Err(HeadError::Host);
    }
    request.authority.clear();
    request.authority.extend_from_slice(host.unwrap_or_default());
    let close = headers.has_token(b"connection", b"close");
    let keep = headers.has_token(b"connection", b"keep-alive");
    request.keep_alive = if request.version == 0 { keep && !close } else { !close };
    request.upgrade = (request.version == 1 && headers.has_token(b"connection", b"upgrade"))
        .then(|| headers.get_text(b"upgrade").map(str::to_ascii_lowercase))
        .flatten()
        // Cleartext HTTP/2 begins with its preface here; the offer to switch is not taken up.
        .filter(|wanted| wanted != "h2c");
    request.expect_continue = headers.get(b"expect").is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
    drop(hosts);
    request.headers = headers;
    let star = request.path == b"*" && request.method == b"OPTIONS";
    if !request.path.starts_with(b"/") && !star && request.method != b"CONNECT" {
        absolute_form(request)?;
    }
    if let (true, 0, Some(host)) = (request.authority.is_empty(), request.version, limits.default_host) {
        request.authority.extend_from_slice(host.as_bytes());
    }
    if request.authority.is_empty() {
        return Err(HeadError::NoHost);
    }
    request.headers.remove(b"host");
    Ok(())
}

/// Whether this can be the name of a host: routes and policies must see the one that the application will take it for. User information
/// (`user@host`) hides it.
pub(super) fn is_authority(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'/' | b'@' | b','))
}

/// `GET http://host/path`: the host of the target replaces the header.
fn absolute_form(request: &mut Request) -> Result<(), HeadError> {
    let lower = request.path.to_ascii_lowercase();
    let skip = [b"http://".as_slice(), b"https://"]
        .iter()
        .find(|s| lower.starts_with(s))
        .map(|s| s.len())
        .ok_or(HeadError::Target)?;
    let rest = request.path.split_off(skip);
    let slash = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    if !is_authority(&rest[..slash]) {
        return Err(HeadError::Host);
    }
    request.authority = rest[..slash].to_vec();
    request.path = match rest.get(slash) {
        Some(b'/') => rest[slash..].to_vec(),
        _ => [b"/", &rest[slash..]].concat(),
    };
    Ok(())
}

/// How the body of a message ends; `None` = nothing is said.
fn framing(headers: &HeaderList, version: u8) -> Result<Option<Framing>, HeadError> {
    let mut encodings = headers.get_all(b"transfer-encoding");
    let encoding = encodings.next();
    let mut lengths = headers.get_all(b"content-length");
    let length = lengths.next();
    if let Some(encoding) = encoding {
        if version == 0 || encodings.next().is_some() || !encoding.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadError::TransferEncoding);
        }
        return if length.is_some() { Err(HeadError::LengthAndChunked) } else { Ok(Some(Framing::Chunked)) };
    }
    let Some(length) = length else { return Ok(None) };
    if lengths.next().is_some()
        || length.is_empty()
        || length.len() > 18
        // Some read a leading zero as the mark of octal digits.
        || (length.len() > 1 && length[0] == b'0')
        || !length.iter().all(u8::is_ascii_digit)
    {
        return Err(HeadError::ContentLength);
    }
    let text = std::str::from_utf8(length).map_err(|_| HeadError::ContentLength)?;
    text.parse().map(|n| Some(Framing::Length(n))).map_err(|_| HeadError::ContentLength)
}

/// What a response answers, as far as its framing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Head,
    Connect,
    Other,
}

impl Asked {
    pub(crate) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// Takes a response head off the buffer; `None` = more bytes are needed. Answers to HEAD, 1xx, 204 and 304 have no body;
/// after a CONNECT that succeeded everything is the tunnel's.
pub(crate) fn take_response(
    input: &mut BytesMut,
    response: &mut Response,
    asked: Asked,
    (bytes, count): (usize, usize),
) -> Result<Option<Framing>, HeadError> {
    let limits = HeadLimits {
        bytes,
        count,
        reject_underscores: false,
        accept_http_10: true,
        custom_methods: true,
        default_host: None,
    };
    let Some(end) = head_end(input, limits.bytes)? else { return Ok(None) };
    let mut room = [const { std::mem::MaybeUninit::uninit() }; PARSE_ROOM];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, &input[..end], &mut room) {
        Ok(httparse::Status::Complete(length)) if length == end => {}
        _ => return Err(HeadError::Malformed),
    }
    let (Some(code), Some(version)) = (parsed.code, parsed.version) else { return Err(HeadError::Malformed) };
    response.status = code;
    copy_headers(parsed.headers, &mut response.headers, limits)?;
    let close = response.headers.has_token(b"connection", b"close");
    let keep = response.headers.has_token(b"connection", b"keep-alive");
    response.keep_alive = if version == 0 { keep && !close } else { !close };
    let said = framing(&response.headers, version)?;
    let framing = if asked == Asked::Connect && (200..300).contains(&code) {
        Framing::UntilClose
    } else if asked == Asked::Head || code < 200 || code == 204 || code == 304 {
        Framing::Length(0)
    } else {
        said.unwrap_or(Framing::UntilClose)
    };
    input.advance(end);
    Ok(Some(framing))
}

/// Writes a request head.
pub(crate) fn write_request(
    out: &mut BytesMut,
    request: &Request,
    path: &[u8],
    authority: &[u8],
    chunked: bool,
    upgrade: Option<&str>,
) {
    out.reserve(request.headers.byte_size() + path.len() + authority.len() + 128);
    for part in [&request.method, b" ".as_slice(), path, b" HTTP/1.1\r\nhost: ", authority, b"\r\n"] {
        out.extend_from_slice(part);
    }
    write_headers(out, &request.headers, upgrade);
    let bodiless = matches!(request.method.as_slice(), b"GET" | b"HEAD" | b"DELETE" | b"TRACE" | b"CONNECT");
    if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    } else if !bodiless && !request.headers.contains(b"content-length") {
        // Servers may insist on a length where a body could be.
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head.
pub(crate) fn write_response(
    out: &mut BytesMut,
    response: &Response,
    chunked: bool,
    Ending { version, close }: Ending,
    upgrade: Option<&str>,
) {
    out.reserve(response.headers.byte_size() + 128);
    let mut digits = itoa(response.status);
    out.extend_from_slice(if version == 0 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(&digits);
    digits[0] = b' ';
    out.extend_from_slice(&digits[..1]);
    out.extend_from_slice(reason(response.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    write_headers(out, &response.headers, upgrade);
    if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if close && upgrade.is_none() {
        out.extend_from_slice(b"connection: close\r\n");
    } else if version == 0 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Envoy's reason phrases.
fn reason(status: u16) -> &'static str {
    match status {
        203 => "Non-Authoritative Information",
        103 | 418 | 451 => "Unknown",
        _ => {
            let known = http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
            known.unwrap_or("Unknown")
        }
    }
}

fn itoa(status: u16) -> [u8; 3] {
    let status = status.clamp(100, 999);
    [b'0' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8]
}

fn write_headers(out: &mut BytesMut, headers: &HeaderList, upgrade: Option<&str>) {
    for (name, value) in headers.iter() {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    if let Some(upgrade) = upgrade {
        for part in [b"connection: Upgrade\r\nupgrade: ", upgrade.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

/// Removes what concerns one connection only: the standard list and what `Connection` names, except headers that tell
/// who the client is: a client must not be able to take those away.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderList) {
    const STANDARD: [&[u8]; 6] =
        [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te"];
    let keeps_trailers = headers.has_token(b"te", b"trailers");
    let named: Vec<Vec<u8>> =
        headers.get_all(b"connection").flat_map(tokens).map(<[u8]>::to_ascii_lowercase).collect();
    let protected = |name: &[u8]| {
        [b"x-forwarded-".as_slice(), b"x-envoy-", b"x-real-ip", b"x-request-id", b":"]
            .iter()
            .any(|start| name.starts_with(start))
            || matches!(name, b"host" | b"authorization" | b"content-length" | b"cookie" | b"forwarded")
    };
    headers.remove_if(|name, _| {
        STANDARD.contains(&name) || (named.iter().any(|n| n == name) && !protected(name))
    });
    if keeps_trailers {
        headers.append(b"te", b"trailers");
    }
}
