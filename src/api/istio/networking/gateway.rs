//! Gateway: ports opened at the edge of the mesh.

use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::schema::rules;

shape! {
    /// Servers of the gateway workloads a selector names.
    pub struct Gateway {
        /// Listening ports.
        pub servers: Vec<Server>,
        /// Labels of the pods; empty selects every gateway.
        pub selector: SortedMap<String, String>,
    }

    /// A port, and the hosts served on it.
    #[shape(extend("required" = ["port", "hosts"]))]
    pub struct Server {
        /// The port.
        pub port: Port,
        /// Address or `unix://` path to listen on; empty means all addresses.
        pub bind: String,
        /// Hosts as `[namespace/]host`; the namespace (`.`, `*` or a name) limits whose routes bind.
        pub hosts: Vec<String>,
        /// TLS of the port.
        pub tls: Option<ServerTlsSettings>,
        /// Where traffic goes by default; not used by gateways.
        pub default_endpoint: String,
        /// Name, unique among the servers.
        pub name: String,
    }

    /// A port and its protocol.
    #[derive(Eq)]
    #[shape(extend("required" = ["number", "protocol", "name"]))]
    pub struct Port {
        /// Number.
        pub number: u32,
        /// HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS, in any case.
        pub protocol: String,
        /// Label of the port.
        pub name: String,
        /// Deprecated: not used.
        pub target_port: u32,
    }

    /// TLS of a listening port.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" = tls_rules()))]
    pub struct ServerTlsSettings {
        /// Whether plain HTTP is answered with a redirect to HTTPS.
        pub https_redirect: bool,
        /// How TLS is handled.
        pub mode: ServerTlsMode,
        /// File of the server's certificate chain.
        pub server_certificate: String,
        /// File of the server's key.
        pub private_key: String,
        /// File of the CAs that verify clients (MUTUAL, OPTIONAL_MUTUAL).
        pub ca_certificates: String,
        /// File of the certificate revocation list.
        pub ca_crl: String,
        /// Secret with the certificates.
        pub credential_name: String,
        /// Secrets, one per key type.
        #[shape(length(min = 1, max = 2))]
        pub credential_names: Vec<String>,
        /// Secret or ConfigMap with the CAs that verify clients.
        pub ca_cert_credential_name: String,
        /// Files, one entry per key type.
        #[shape(length(min = 1, max = 2))]
        pub tls_certificates: Vec<TlsCertificate>,
        /// Names, one of which the client's certificate must carry.
        pub subject_alt_names: Vec<String>,
        /// Hashes of accepted client public keys (base64 SHA-256).
        pub verify_certificate_spki: Vec<String>,
        /// Hashes of accepted client certificates (hex SHA-256).
        pub verify_certificate_hash: Vec<String>,
        /// Lowest TLS version.
        pub min_protocol_version: TlsProtocol,
        /// Highest TLS version.
        pub max_protocol_version: TlsProtocol,
        /// Accepted cipher suites; empty means the default.
        pub cipher_suites: Vec<String>,
        /// Accepted elliptic curves; empty means the default.
        pub ecdh_curves: Vec<String>,
        /// Not used by servers.
        #[shape(extend("nullable" = true))]
        pub insecure_skip_verify: Option<bool>,
    }

    /// A certificate in files.
    #[derive(Eq)]
    pub struct TlsCertificate {
        /// File of the chain.
        pub server_certificate: String,
        /// File of the key.
        pub private_key: String,
        /// File of the CAs that verify clients.
        pub ca_certificates: String,
    }
}

string_enum! {
    /// How a server handles TLS.
    pub enum ServerTlsMode {
        /// Routed by SNI, not decrypted.
        Passthrough = "PASSTHROUGH",
        /// Decrypted; clients need no certificate.
        Simple = "SIMPLE",
        /// Decrypted; clients must show a certificate.
        Mutual = "MUTUAL",
        /// Routed by an SNI that names the cluster, without any VirtualService.
        AutoPassthrough = "AUTO_PASSTHROUGH",
        /// As MUTUAL, with the workload's own identity.
        IstioMutual = "ISTIO_MUTUAL",
        /// As MUTUAL, but a certificate is checked only if shown.
        OptionalMutual = "OPTIONAL_MUTUAL",
    }

    /// Versions of TLS.
    pub enum TlsProtocol {
        /// The default.
        TlsAuto = "TLS_AUTO",
        /// 1.0.
        TlsV1_0 = "TLSV1_0",
        /// 1.1.
        TlsV1_1 = "TLSV1_1",
        /// 1.2.
        TlsV1_2 = "TLSV1_2",
        /// 1.3.
        TlsV1_3 = "TLSV1_3",
    }
}

/// The ways to name certificates exclude each other.
fn tls_rules() -> serde_json::Value {
    let pair = |first: &str, second: &str| {
        (
            format!("only one of {first} or {second} can be set"),
            format!("(has(self.{second}) ? 1 : 0) + (has(self.{first}) ? 1 : 0) <= 1"),
        )
    };
    let all = [
        pair("credentialNames", "tlsCertificates"),
        pair("credentialName", "credentialNames"),
        pair("credentialName", "tlsCertificates"),
    ];
    rules::rules(&all.each_ref().map(|(message, rule)| (message.as_str(), rule.as_str())))
}

resource!(
    Gateway,
    "networking.istio.io",
    "Gateway",
    "gateways",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = IstioStatus
);
