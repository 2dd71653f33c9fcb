//! Limits and timeouts of the connections to a destination.

use crate::Duration;

shape! {
    /// Limits and timeouts of connections.
    #[derive(Eq)]
    pub struct ConnectionPoolSettings {
        /// Of every connection.
        pub tcp: Option<TcpSettings>,
        /// Of HTTP connections.
        pub http: Option<HttpSettings>,
    }

    /// Settings of every connection.
    #[derive(Eq)]
    pub struct TcpSettings {
        /// Most connections at a time; zero means no limit.
        pub max_connections: i32,
        /// Time allowed to connect; absent means 10 s.
        pub connect_timeout: Option<Duration>,
        /// Keepalive of the socket.
        pub tcp_keepalive: Option<TcpKeepalive>,
        /// Longest life of a connection.
        pub max_connection_duration: Option<Duration>,
        /// Longest silence; absent means one hour, 0s never.
        #[shape(like = String)]
        pub idle_timeout: Option<Duration>,
    }

    /// Keepalive of a socket; what is absent is the kernel's default.
    #[derive(Eq)]
    pub struct TcpKeepalive {
        /// Probes without answer until the connection is given up.
        pub probes: u32,
        /// Silence until the first probe.
        pub time: Option<Duration>,
        /// Time between probes.
        pub interval: Option<Duration>,
    }

    /// Settings of HTTP connections.
    #[derive(Eq)]
    pub struct HttpSettings {
        /// Most requests waiting for a connection; zero means no limit.
        pub http1_max_pending_requests: i32,
        /// Most requests at a time; zero means no limit.
        pub http2_max_requests: i32,
        /// Most requests on one connection; zero means no limit.
        pub max_requests_per_connection: i32,
        /// Most retries at a time; zero means no limit.
        pub max_retries: i32,
        /// Longest time without a request; absent means one hour.
        pub idle_timeout: Option<Duration>,
        /// Whether HTTP/1.1 requests are sent over HTTP/2.
        pub h2_upgrade_policy: H2UpgradePolicy,
        /// Whether the client's protocol version is kept.
        pub use_client_protocol: bool,
        /// Most streams on one HTTP/2 connection; zero means no limit.
        pub max_concurrent_streams: i32,
        /// PINGs on HTTP/2 connections.
        #[shape(name = "http2KeepAlive")]
        pub http2_keep_alive: Option<Http2KeepAlive>,
    }

    /// PINGs on HTTP/2 connections.
    #[derive(Eq)]
    pub struct Http2KeepAlive {
        /// Time between PINGs.
        pub interval: Option<Duration>,
        /// Time allowed for the answer.
        pub timeout: Option<Duration>,
    }
}

string_enum! {
    /// Whether HTTP/1.1 requests are sent over HTTP/2.
    pub enum H2UpgradePolicy {
        /// As the mesh says.
        Default = "DEFAULT",
        /// No.
        DoNotUpgrade = "DO_NOT_UPGRADE",
        /// Yes.
        Upgrade = "UPGRADE",
    }
}
