//! Envoy's command operators (`%REQ(X-REQUEST-ID)%`): compiled templates and their rendering.

use std::io::Write;

use crate::config::FieldError;
use crate::http::headers::HeaderList;
use crate::http::info::{ConnectionInfo, StreamInfo};

/// What a template is rendered from.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'f> {
    pub(crate) info: &'f StreamInfo,
    pub(crate) connection: &'f ConnectionInfo,
    pub(crate) request: &'f HeaderList,
    pub(crate) response: &'f HeaderList,
    /// Method, path, authority, scheme.
    pub(crate) pseudo: [&'f [u8]; 4],
}

/// A compiled format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(Box<[u8]>),
    Command(Command, Option<usize>),
}

#[derive(Debug, Clone)]
enum Command {
    StartTime(Option<String>),
    Request { name: Box<[u8]>, other: Option<Box<[u8]>> },
    Response { name: Box<[u8]>, other: Option<Box<[u8]>> },
    Plain(Plain),
    Literal(Box<[u8]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Protocol,
    ResponseCode,
    ResponseFlags,
    ResponseFlagsLong,
    ResponseCodeDetails,
    TerminationDetails,
    TransportFailure,
    BytesReceived,
    BytesSent,
    Duration,
    UpstreamHost,
    UpstreamCluster,
    UpstreamLocal,
    DownstreamLocal,
    DownstreamLocalIp,
    DownstreamLocalPort,
    DownstreamRemote,
    DownstreamRemoteIp,
    DownstreamRemotePort,
    DirectRemote,
    DirectRemoteIp,
    ServerName,
    RouteName,
    PeerUri,
    PeerSubject,
    LocalUri,
    AttemptCount,
    GrpcStatus,
    GrpcStatusNumber,
    TraceId,
    SpanId,
    ResponseDuration,
    ResponseTxDuration,
    RequestHeadersBytes,
    ResponseHeadersBytes,
    UpstreamHostIp,
    UpstreamHostPort,
    UpstreamLocalIp,
    UpstreamLocalPort,
    DirectRemotePort,
    PeerFingerprint,
    PeerDns,
    LocalReplyBody,
}

const PLAIN: &[(&str, Plain)] = &[
    ("PROTOCOL", Plain::Protocol),
    ("RESPONSE_CODE", Plain::ResponseCode),
    ("RESPONSE_FLAGS", Plain::ResponseFlags),
    ("RESPONSE_FLAGS_LONG", Plain::ResponseFlagsLong),
    ("RESPONSE_CODE_DETAILS", Plain::ResponseCodeDetails),
    ("CONNECTION_TERMINATION_DETAILS", Plain::TerminationDetails),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Plain::TransportFailure),
    ("BYTES_RECEIVED", Plain::BytesReceived),
    ("BYTES_SENT", Plain::BytesSent),
    ("DURATION", Plain::Duration),
    ("UPSTREAM_HOST", Plain::UpstreamHost),
    ("UPSTREAM_REMOTE_ADDRESS", Plain::UpstreamHost),
    ("UPSTREAM_CLUSTER", Plain::UpstreamCluster),
    ("UPSTREAM_CLUSTER_RAW", Plain::UpstreamCluster),
    ("UPSTREAM_LOCAL_ADDRESS", Plain::UpstreamLocal),
    ("DOWNSTREAM_LOCAL_ADDRESS", Plain::DownstreamLocal),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Plain::DownstreamLocalIp),
    ("DOWNSTREAM_LOCAL_PORT", Plain::DownstreamLocalPort),
    ("DOWNSTREAM_REMOTE_ADDRESS", Plain::DownstreamRemote),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Plain::DownstreamRemoteIp),
    ("DOWNSTREAM_REMOTE_PORT", Plain::DownstreamRemotePort),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Plain::DirectRemote),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Plain::DirectRemoteIp),
    ("REQUESTED_SERVER_NAME", Plain::ServerName),
    ("ROUTE_NAME", Plain::RouteName),
    ("DOWNSTREAM_PEER_URI_SAN", Plain::PeerUri),
    ("DOWNSTREAM_PEER_SUBJECT", Plain::PeerSubject),
    ("DOWNSTREAM_LOCAL_URI_SAN", Plain::LocalUri),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Plain::AttemptCount),
    ("GRPC_STATUS_NUMBER", Plain::GrpcStatusNumber),
    ("GRPC_STATUS", Plain::GrpcStatus),
    ("TRACE_ID", Plain::TraceId),
    ("SPAN_ID", Plain::SpanId),
    ("RESPONSE_DURATION", Plain::ResponseDuration),
    ("RESPONSE_TX_DURATION", Plain::ResponseTxDuration),
    ("REQUEST_HEADERS_BYTES", Plain::RequestHeadersBytes),
    ("RESPONSE_HEADERS_BYTES", Plain::ResponseHeadersBytes),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Plain::UpstreamHostIp),
    ("UPSTREAM_REMOTE_PORT", Plain::UpstreamHostPort),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Plain::UpstreamLocalIp),
    ("UPSTREAM_LOCAL_PORT", Plain::UpstreamLocalPort),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", Plain::DirectRemotePort),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Plain::PeerFingerprint),
    ("DOWNSTREAM_PEER_DNS_SAN", Plain::PeerDns),
    ("LOCAL_REPLY_BODY", Plain::LocalReplyBody),
];

impl Template {
    /// Compiles a format; unknown operators are refused.
    pub(crate) fn compile(text: &str) -> Result<Self, FieldError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('%') {
            push_text(&mut parts, &rest[..start]);
            let after = &rest[start + 1..];
            if let Some(tail) = after.strip_prefix('%') {
                push_text(&mut parts, "%");
                rest = tail;
                continue;
            }
            let end = operator_end(after).ok_or_else(|| {
                FieldError::new(
                    "",
                    format!("{text:?} has a % without its partner; write %% for a percent sign"),
                )
            })?;
            parts.push(compile_operator(&after[..end])?);
            rest = &after[end + 1..];
        }
        push_text(&mut parts, rest);
        Ok(Self(parts))
    }

    /// Appends the rendered text; missing values are `-`, or nothing with `omit_empty`.
    pub(crate) fn render(&self, facts: &Facts<'_>, omit_empty: bool, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Command(command, limit) => {
                    let start = out.len();
                    command.render(facts, out);
                    if let Some(limit) = limit {
                        out.truncate(start + limit);
                    }
                    if out.len() == start && !omit_empty {
                        out.push(b'-');
                    }
                }
            }
        }
    }

    /// The text itself when the template has no operator.
    pub(crate) fn constant(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(&[]),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the template is nothing but one operator.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Command(..)])
    }

    /// Whether the template is one numeric operator (written without quotes in JSON).
    pub(crate) fn is_number(&self) -> bool {
        use Plain::{
            AttemptCount, BytesReceived, BytesSent, DirectRemotePort, DownstreamLocalPort,
            DownstreamRemotePort, Duration, GrpcStatusNumber, RequestHeadersBytes, ResponseCode,
            ResponseDuration, ResponseHeadersBytes, ResponseTxDuration, UpstreamHostPort, UpstreamLocalPort,
        };
        matches!(
            self.0.as_slice(),
            [Part::Command(
                Command::Plain(
                    BytesReceived
                        | BytesSent
                        | Duration
                        | ResponseCode
                        | AttemptCount
                        | DownstreamLocalPort
                        | DownstreamRemotePort
                        | GrpcStatusNumber
                        | ResponseDuration
                        | ResponseTxDuration
                        | RequestHeadersBytes
                        | ResponseHeadersBytes
                        | UpstreamHostPort
                        | UpstreamLocalPort
                        | DirectRemotePort
                ),
                None
            )]
        )
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Part::Text(last)) = parts.last_mut() {
        *last = [&**last, text.as_bytes()].concat().into();
    } else {
        parts.push(Part::Text(text.as_bytes().into()));
    }
}

/// The closing `%`: one outside of parentheses.
fn operator_end(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'%' if depth == 0 => return Some(index),
            _ => {}
        }
    }
    None
}

fn compile_operator(text: &str) -> Result<Part, FieldError> {
    let (body, limit) = match text.rsplit_once(':') {
        Some((body, digits))
            if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && !body.is_empty() =>
        {
            (body, digits.parse().ok())
        }
        _ => (text, None),
    };
    let (name, argument) = match body.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')),
        None => (body, None),
    };
    let header = |argument: Option<&str>| {
        let argument = argument.unwrap_or_default().to_ascii_lowercase();
        let (name, other) = match argument.split_once('?') {
            Some((name, other)) => (name.to_owned(), Some(other.as_bytes().into())),
            None => (argument, None),
        };
        (name.into_bytes().into_boxed_slice(), other)
    };
    let command = match name {
        "START_TIME" => Command::StartTime(argument.map(str::to_owned)),
        "REQ" => {
            let (name, other) = header(argument);
            Command::Request { name, other }
        }
        "RESP" | "TRAILER" => {
            let (name, other) = header(argument);
            Command::Response { name, other }
        }
        "HOSTNAME" => Command::Literal(
            std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default().trim_ascii().into(),
        ),
        "ENVIRONMENT" => Command::Literal(
            std::env::var(argument.unwrap_or_default()).unwrap_or_default().into_bytes().into(),
        ),
        // Access to metadata of filters that this proxy does not run: always empty, as in Envoy without them.
        "DYNAMIC_METADATA" | "CLUSTER_METADATA" | "UPSTREAM_METADATA" | "FILTER_STATE" => {
            Command::Literal(Box::default())
        }
        other => match PLAIN.iter().find(|(known, _)| *known == other) {
            Some((_, plain)) => Command::Plain(*plain),
            None => {
                return Err(FieldError::new("", format!("%{other}% is not a supported command operator")));
            }
        },
    };
    Ok(Part::Command(command, limit))
}

impl Command {
    fn render(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        match self {
            Self::StartTime(format) => render_time(facts.info.start_time, format.as_deref(), out),
            Self::Request { name, other } => {
                let value = find_request(facts, name)
                    .or_else(|| other.as_ref().and_then(|other| find_request(facts, other)));
                write_escaped(value.unwrap_or_default(), out);
            }
            Self::Response { name, other } => {
                let value = facts
                    .response
                    .get(name)
                    .or_else(|| other.as_ref().and_then(|other| facts.response.get(other)));
                write_escaped(value.unwrap_or_default(), out);
            }
            Self::Plain(plain) => plain.render(facts, out),
            Self::Literal(text) => out.extend_from_slice(text),
        }
    }
}

fn find_request<'f>(facts: &Facts<'f>, name: &[u8]) -> Option<&'f [u8]> {
    let value = match name {
        b":method" => facts.pseudo[0],
        b":path" => facts.pseudo[1],
        b":authority" => facts.pseudo[2],
        b":scheme" => facts.pseudo[3],
        _ => return facts.request.get(name),
    };
    (!value.is_empty()).then_some(value)
}

/// Keeps a log line one line: control bytes become `\xNN`.
fn write_escaped(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        if byte.is_ascii_control() {
            let _ = write!(out, "\\x{byte:02x}");
        } else {
            out.push(*byte);
        }
    }
}

impl Plain {
    fn render(self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        let (info, connection) = (facts.info, facts.connection);
        let peer = connection.peer.as_ref();
        let remote = info.client.unwrap_or(connection.remote);
        // Writing into a Vec cannot fail.
        let _ = match self {
            Self::Protocol => out.write_all(info.protocol.as_bytes()),
            Self::ResponseCode => write!(out, "{}", info.response_code),
            Self::ResponseFlags => write!(out, "{}", info.flags.short()),
            Self::ResponseFlagsLong => write!(out, "{}", info.flags.long()),
            Self::ResponseCodeDetails => out.write_all(info.details.as_bytes()),
            Self::TerminationDetails => Ok(()),
            Self::TransportFailure => out.write_all(info.transport_failure.as_bytes()),
            Self::BytesReceived => write!(out, "{}", info.bytes_received),
            Self::BytesSent => write!(out, "{}", info.bytes_sent),
            Self::Duration => write!(out, "{}", info.duration.as_millis()),
            Self::UpstreamHost => info.upstream_host.map_or(Ok(()), |a| write!(out, "{a}")),
            Self::UpstreamCluster => out.write_all(info.cluster.as_deref().unwrap_or_default().as_bytes()),
            Self::UpstreamLocal => info.upstream_local.map_or(Ok(()), |a| write!(out, "{a}")),
            Self::DownstreamLocal => write!(out, "{}", connection.local),
            Self::DownstreamLocalIp => write!(out, "{}", connection.local.ip()),
            Self::DownstreamLocalPort => write!(out, "{}", connection.local.port()),
            Self::DownstreamRemote => write!(out, "{remote}"),
            Self::DownstreamRemoteIp => write!(out, "{}", remote.ip()),
            Self::DownstreamRemotePort => write!(out, "{}", remote.port()),
            Self::DirectRemote => write!(out, "{}", connection.direct_remote),
            Self::DirectRemoteIp => write!(out, "{}", connection.direct_remote.ip()),
            Self::ServerName => {
                write_escaped(connection.server_name.as_bytes(), out);
                Ok(())
            }
            Self::RouteName => out.write_all(info.route_name.as_deref().unwrap_or_default().as_bytes()),
            Self::PeerUri => out.write_all(peer.map(|p| p.uris.join(",")).unwrap_or_default().as_bytes()),
            Self::PeerSubject => out.write_all(peer.map_or("", |p| p.subject.as_str()).as_bytes()),
            Self::LocalUri => {
                out.write_all(connection.local_principal.as_deref().unwrap_or_default().as_bytes())
            }
            Self::AttemptCount => write!(out, "{}", info.attempts),
            Self::GrpcStatusNumber => info.grpc_status.map_or(Ok(()), |code| write!(out, "{code}")),
            Self::GrpcStatus => {
                info.grpc_status.map_or(Ok(()), |code| match sagene_base::grpc_status::word(code) {
                    Some(name) => out.write_all(name.as_bytes()),
                    None => write!(out, "{code}"),
                })
            }
            Self::TraceId => match info.trace {
                Some(ids) if ids.wide => write!(out, "{:032x}", ids.trace),
                Some(ids) => write!(out, "{:016x}", ids.trace),
                None => Ok(()),
            },
            Self::SpanId => info.trace.map_or(Ok(()), |ids| write!(out, "{:016x}", ids.span)),
            Self::ResponseDuration => {
                info.response_began.map_or(Ok(()), |began| write!(out, "{}", began.as_millis()))
            }
            Self::ResponseTxDuration => info
                .response_began
                .map_or(Ok(()), |began| write!(out, "{}", info.duration.saturating_sub(began).as_millis())),
            Self::RequestHeadersBytes => write!(out, "{}", facts.request.byte_size()),
            Self::ResponseHeadersBytes => write!(out, "{}", facts.response.byte_size()),
            Self::UpstreamHostIp => info.upstream_host.map_or(Ok(()), |a| write!(out, "{}", a.ip())),
            Self::UpstreamHostPort => info.upstream_host.map_or(Ok(()), |a| write!(out, "{}", a.port())),
            Self::UpstreamLocalIp => info.upstream_local.map_or(Ok(()), |a| write!(out, "{}", a.ip())),
            Self::UpstreamLocalPort => info.upstream_local.map_or(Ok(()), |a| write!(out, "{}", a.port())),
            Self::DirectRemotePort => write!(out, "{}", connection.direct_remote.port()),
            Self::PeerFingerprint => out.write_all(peer.map_or("", |p| p.hash.as_str()).as_bytes()),
            Self::LocalReplyBody => out.write_all(&info.local_reply),
            Self::PeerDns => out.write_all(peer.map(|p| p.dns.join(",")).unwrap_or_default().as_bytes()),
        };
    }
}

/// `2026-11-21T04:05:06`; most lines of a second share it.
fn up_to_second(second: u64) -> [u8; 19] {
    thread_local! {
        static LAST: std::cell::Cell<(u64, [u8; 19])> = const { std::cell::Cell::new((u64::MAX, [b'0'; 19])) };
    }
    let (known, mut text) = LAST.get();
    if known != second {
        let stamp = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        let utc = stamp.map(|stamp| stamp.to_zoned(jiff::tz::TimeZone::UTC));
        let made = utc.and_then(|utc| jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%S", &utc).ok());
        if let Some(made) = made.and_then(|made| made.into_bytes().try_into().ok()) {
            text = made;
        }
        LAST.set((second, text));
    }
    text
}

/// `2026-11-21T04:05:06.789Z`, or the given strftime format.
fn render_time(time: std::time::SystemTime, format: Option<&str>, out: &mut Vec<u8>) {
    let Ok(since) = time.duration_since(std::time::UNIX_EPOCH) else { return };
    if format.is_none_or(str::is_empty) {
        out.extend_from_slice(&up_to_second(since.as_secs()));
        let millis = since.subsec_millis();
        let digit = |unit: u32| b'0' + (millis / unit % 10) as u8;
        out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
        return;
    }
    let Ok(stamp) = jiff::Timestamp::try_from(time) else { return };
    let utc = stamp.to_zoned(jiff::tz::TimeZone::UTC);
    let format = format.unwrap_or_default();
    if let Ok(text) = jiff::fmt::strtime::format(format, &utc) {
        out.extend_from_slice(text.as_bytes());
    }
}
