//! What is known of a connection and of a stream: what logs, metrics and policies read.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::config::Direction;
use crate::filter::metadata::DynamicMetadata;
use crate::upstream::original::Caller;

/// The identity that a TLS peer proved.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsPeer {
    /// URI names of the certificate, first one the principal.
    pub(crate) uris: Vec<String>,
    /// The first of them, to be shared.
    pub(crate) principal: Option<Arc<str>>,
    /// DNS names.
    pub(crate) dns: Vec<String>,
    /// E-mail names.
    pub(crate) emails: Vec<String>,
    /// IP names, as text.
    pub(crate) addresses: Vec<String>,
    /// Subject in RFC 2253 form.
    pub(crate) subject: String,
    /// SHA-256 of the certificate, lower-case hex.
    pub(crate) hash: String,
    /// The certificate (DER).
    pub(crate) certificate: Vec<u8>,
}

/// Facts of a downstream connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) direct_remote: SocketAddr,
    /// In whose name the upstream is connected to, where the listener asks for that.
    pub(crate) caller: Option<Caller>,
    pub(crate) server_name: String,
    pub(crate) tls: bool,
    pub(crate) peer: Option<Arc<TlsPeer>>,
    /// URI names of our own certificate on this connection.
    pub(crate) local_principal: Option<Arc<str>>,
    pub(crate) direction: Direction,
    /// Most bytes of a request that are kept to be sent again.
    pub(crate) buffer_limit: usize,
}

impl ConnectionInfo {
    /// As [`Self::principal`], to be kept.
    pub(crate) fn shared_principal(&self) -> Option<&Arc<str>> {
        self.peer.as_ref()?.principal.as_ref()
    }

    /// The peer's SPIFFE identity.
    pub(crate) fn principal(&self) -> Option<&str> {
        self.peer.as_ref()?.uris.first().map(String::as_str)
    }
}

/// Envoy's response flags (`URX` of a TCP proxy is one of its own), in the order in which a request can meet them: that is the order Envoy writes them in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags(u32);

macro_rules! flags {
    ($($name:ident = $bit:literal $short:literal $long:literal),* $(,)?) => {
        impl Flags {
            $(
                #[doc = $long]
                #[allow(dead_code, reason = "the list is Envoy's, whatever sets them here")]
                pub(crate) const $name: Self = Self(1 << $bit);
            )*
            const NAMES: &'static [(u32, &'static str, &'static str)] = &[$((1 << $bit, $short, $long)),*];
        }
    };
}

flags! {
    DOWNSTREAM_PROTOCOL_ERROR = 0 "DPE" "DownstreamProtocolError",
    UNAUTHORIZED_EXTERNAL = 1 "UAEX" "UnauthorizedExternalService",
    RATE_LIMITED = 2 "RL" "RateLimited",
    RATE_LIMIT_SERVICE_ERROR = 20 "RLSE" "RateLimitServiceError",
    DELAY_INJECTED = 3 "DI" "DelayInjected",
    FAULT_INJECTED = 4 "FI" "FaultInjected",
    NO_ROUTE = 5 "NR" "NoRouteFound",
    NO_CLUSTER = 6 "NC" "NoClusterFound",
    RETRY_LIMIT = 7 "URX" "UpstreamRetryLimitExceeded",
    UPSTREAM_OVERFLOW = 8 "UO" "UpstreamOverflow",
    NO_HEALTHY_UPSTREAM = 9 "UH" "NoHealthyUpstream",
    UPSTREAM_CONNECTION_FAILURE = 10 "UF" "UpstreamConnectionFailure",
    UPSTREAM_TERMINATION = 11 "UC" "UpstreamConnectionTermination",
    UPSTREAM_RESET = 12 "UR" "UpstreamRemoteReset",
    UPSTREAM_PROTOCOL_ERROR = 13 "UPE" "UpstreamProtocolError",
    UPSTREAM_TIMEOUT = 14 "UT" "UpstreamRequestTimeout",
    LOCAL_RESET = 15 "LR" "LocalReset",
    STREAM_IDLE_TIMEOUT = 16 "SI" "StreamIdleTimeout",
    DURATION_TIMEOUT = 17 "DT" "DurationTimeout",
    DOWNSTREAM_TERMINATION = 18 "DC" "DownstreamConnectionTermination",
    CONNECT_ATTEMPTS = 19 "URX" "UpstreamRetryLimitExceeded",
}

impl Flags {
    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the flag of this short name is set.
    pub(crate) fn has(self, short: &str) -> bool {
        Self::NAMES.iter().any(|(bit, name, _)| self.0 & bit != 0 && *name == short)
    }

    /// Short names, comma-separated; `-` for none.
    pub(crate) fn short(self) -> Cow<'static, str> {
        self.join(|(_, short, _)| short)
    }

    /// Long names, comma-separated; `-` for none.
    pub(crate) fn long(self) -> Cow<'static, str> {
        self.join(|(_, _, long)| long)
    }

    fn join(self, pick: impl Fn(&(u32, &'static str, &'static str)) -> &'static str) -> Cow<'static, str> {
        let mut names = Self::NAMES.iter().filter(|(bit, ..)| self.0 & bit != 0).map(pick);
        match (names.next(), names.next()) {
            (None, _) => "-".into(),
            (Some(only), None) => only.into(),
            (Some(first), Some(second)) => {
                let rest: Vec<_> = names.collect();
                [&[first, second], rest.as_slice()].concat().join(",").into()
            }
        }
    }
}

/// By which a trace and a span in it are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceIds {
    pub(crate) trace: u128,
    /// Whether the trace has 128 bits, or 64.
    pub(crate) wide: bool,
    pub(crate) span: u64,
}

/// Facts of one request, or of one TCP connection through the TCP proxy.
#[derive(Debug, Clone)]
pub(crate) struct StreamInfo {
    pub(crate) start: Instant,
    pub(crate) start_time: SystemTime,
    /// `HTTP/1.1`, `HTTP/2`, `HTTP/1.0`; empty on TCP.
    pub(crate) protocol: &'static str,
    pub(crate) response_code: u16,
    pub(crate) flags: Flags,
    pub(crate) details: Cow<'static, str>,
    pub(crate) transport_failure: Cow<'static, str>,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    /// The client that trusted proxies speak of, when it is another than the peer of the connection.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) upstream_host: Option<SocketAddr>,
    pub(crate) upstream_local: Option<SocketAddr>,
    pub(crate) cluster: Option<Arc<str>>,
    pub(crate) route_name: Option<Arc<str>>,
    pub(crate) attempts: u32,
    pub(crate) grpc_status: Option<u32>,
    pub(crate) duration: Duration,
    /// From the start until the upstream's answer began; none where it never did.
    pub(crate) response_began: Option<Duration>,
    /// Where the request is traced, sampled or not.
    pub(crate) trace: Option<TraceIds>,
    /// The body of the proxy's own answer, while another is made of it.
    pub(crate) local_reply: Bytes,
    /// What filters found out about the request.
    pub(crate) metadata: Option<Box<DynamicMetadata>>,
}

impl StreamInfo {
    pub(crate) fn new(protocol: &'static str) -> Self {
        Self {
            start: Instant::now(),
            start_time: SystemTime::now(),
            protocol,
            response_code: 0,
            flags: Flags::default(),
            details: Cow::Borrowed(""),
            transport_failure: Cow::Borrowed(""),
            bytes_received: 0,
            bytes_sent: 0,
            client: None,
            upstream_host: None,
            upstream_local: None,
            cluster: None,
            route_name: None,
            attempts: 0,
            grpc_status: None,
            duration: Duration::ZERO,
            response_began: None,
            trace: None,
            local_reply: Bytes::new(),
            metadata: None,
        }
    }
}
