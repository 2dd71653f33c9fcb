//! The protocol of a port: declared by `appProtocol` or name, known by number, or left to sniffing.
//!
//! Source of the rule: Istio's protocol selection.

/// What a port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.x.
    Http,
    /// HTTP/2 without TLS.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web over HTTP/1.1.
    GrpcWeb,
    /// HTTP inside TLS that the application terminates.
    Https,
    /// TLS that the application terminates.
    Tls,
    /// Bytes.
    Tcp,
    /// MongoDB, carried as TCP.
    Mongo,
    /// Redis, carried as TCP.
    Redis,
    /// MySQL, carried as TCP.
    MySql,
    /// HTTP/2 CONNECT tunnels between proxies.
    Hbone,
    /// Datagrams; the mesh leaves them alone.
    Udp,
    /// Not declared: found out from the first bytes.
    Unspecified,
}

impl Protocol {
    /// The protocol of a Service's port. Where `appProtocol` is set, the name of the port says nothing: a word that is no protocol's leaves
    /// it to sniffing.
    pub fn of_service_port(transport: &str, app_protocol: &str, name: &str, port: u16) -> Self {
        if transport == "UDP" {
            return Self::Udp;
        }
        let declared = match app_protocol {
            "" => Self::of_name(name),
            "kubernetes.io/h2c" => Self::Http2,
            "kubernetes.io/ws" => Self::Http,
            "kubernetes.io/wss" => Self::Https,
            word => Self::of_name(word),
        };
        match declared {
            Self::Unspecified if matches!(port, 25 | 53 | 3306 | 27017) => Self::Tcp,
            protocol => protocol,
        }
    }

    /// The protocol in a port's name: what stands before the first `-`. `grpc-web` is one word.
    pub fn of_name(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        if lower == "grpc-web" || lower.starts_with("grpc-web-") {
            return Self::GrpcWeb;
        }
        Self::parse(lower.split('-').next().unwrap_or_default())
    }

    /// Reads a protocol's name, in any case; anything unknown is [`Protocol::Unspecified`].
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::MySql,
            "hbone" => Self::Hbone,
            "udp" => Self::Udp,
            _ => Self::Unspecified,
        }
    }

    /// Requests can be told apart: routes, retries and HTTP policies apply.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// The peer is spoken to in HTTP/2.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc)
    }

    /// Bytes are passed on as they come.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Https | Self::Tls | Self::Mongo | Self::Redis | Self::MySql)
    }

    /// TLS of the application's own.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Left to sniffing.
    pub fn is_unspecified(self) -> bool {
        self == Self::Unspecified
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_protocol_beats_name_beats_number() {
        let of = Protocol::of_service_port;
        assert_eq!(of("TCP", "kubernetes.io/h2c", "http", 80), Protocol::Http2);
        assert_eq!(of("TCP", "x.example.com/own", "http-web", 80), Protocol::Unspecified);
        assert_eq!(of("TCP", "x.example.com/own", "http-web", 3306), Protocol::Tcp);
        assert_eq!(of("TCP", "http-web", "tcp", 80), Protocol::Http);
        assert_eq!(of("TCP", "GRPC-Web", "", 80), Protocol::GrpcWeb);
        assert_eq!(of("TCP", "", "grpc-web", 80), Protocol::GrpcWeb);
        assert_eq!(of("TCP", "", "grpc-web-api", 80), Protocol::GrpcWeb);
        assert_eq!(of("TCP", "", "grpc-api", 80), Protocol::Grpc);
        assert_eq!(of("TCP", "", "HTTP2-x", 80), Protocol::Http2);
        assert_eq!(of("TCP", "", "", 3306), Protocol::Tcp);
        assert_eq!(of("TCP", "", "web", 8080), Protocol::Unspecified);
        assert_eq!(of("UDP", "http", "http", 80), Protocol::Udp);
    }
}
