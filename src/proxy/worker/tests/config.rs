//! Builds bootstraps for the tests from Envoy's own messages.

use std::net::SocketAddr;

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Any, BoolValue, Duration, ListValue, Struct, UInt32Value, Value};
use prost::Message;

use crate::config::proto::network::http_connection_manager::v3 as hcm;
use crate::config::proto::{
    accesslog, bootstrap, cluster, core, endpoint, http, listener, matcher, route, tls, upstream_http,
};

/// Where requests end up.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
}

/// One listener, one cluster.
pub(super) struct Setup {
    listener: listener::Listener,
    cluster: cluster::Cluster,
}

/// PEM texts of a mesh: root, then chain and key of server and client.
pub(super) struct Certificates {
    root: String,
    server: (String, String),
    client: (String, String),
}

pub(super) fn certificates() -> Certificates {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
    let root_key = KeyPair::generate().expect("key");
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).expect("root").pem();
    let issuer = Issuer::new(root, root_key);
    let leaf = |name: &str| {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        let uri = format!("spiffe://cluster.local/ns/a/sa/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().expect("uri"))];
        (params.signed_by(&key, &issuer).expect("leaf").pem(), key.serialize_pem())
    };
    Certificates { root: root_pem, server: leaf("server"), client: leaf("client") }
}

pub(super) fn any<M: Message>(name: &str, message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn address(of: SocketAddr) -> core::Address {
    let port = core::socket_address::PortSpecifier::PortValue(of.port().into());
    let socket = core::SocketAddress {
        address: of.ip().to_string(),
        port_specifier: Some(port),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

fn prefix_route(prefix: &str, retry: Option<route::RetryPolicy>) -> route::Route {
    let action = route::RouteAction {
        cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster("backend".into())),
        retry_policy: retry,
        ..Default::default()
    };
    route::Route {
        r#match: Some(route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Prefix(prefix.into())),
            ..Default::default()
        }),
        action: Some(route::route::Action::Route(action)),
        ..Default::default()
    }
}

fn manager() -> hcm::HttpConnectionManager {
    let retry = route::RetryPolicy {
        retry_on: "connect-failure,503".into(),
        num_retries: Some(UInt32Value { value: 3 }),
        retry_host_predicate: vec![route::retry_policy::RetryHostPredicate {
            name: "previous_hosts".into(),
            config_type: None,
        }],
        ..Default::default()
    };
    let host = route::VirtualHost {
        name: "all".into(),
        domains: vec!["*".into()],
        routes: vec![prefix_route("/hello", None), prefix_route("/retry", Some(retry))],
        ..Default::default()
    };
    let table =
        route::RouteConfiguration { name: "local".into(), virtual_hosts: vec![host], ..Default::default() };
    let router = any("envoy.extensions.filters.http.router.v3.Router", &http::router::v3::Router::default());
    hcm::HttpConnectionManager {
        stat_prefix: "ingress".into(),
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(table)),
        http_filters: vec![hcm::HttpFilter {
            name: "envoy.filters.http.router".into(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(router)),
            ..Default::default()
        }],
        forward_client_cert_details: 2,
        set_current_client_cert_details: Some(hcm::http_connection_manager::SetCurrentClientCertDetails {
            uri: true,
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Setup {
    pub(super) fn plain(backends: &[Backend]) -> Self {
        let name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        let filter = listener::Filter {
            name: "hcm".into(),
            config_type: Some(listener::filter::ConfigType::TypedConfig(any(name, &manager()))),
        };
        let lb_endpoints = backends.iter().map(|backend| endpoint::LbEndpoint {
            host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint {
                address: Some(address(backend.address)),
                ..Default::default()
            })),
            ..Default::default()
        });
        let group =
            endpoint::LocalityLbEndpoints { lb_endpoints: lb_endpoints.collect(), ..Default::default() };
        Self {
            listener: listener::Listener {
                name: "front".into(),
                address: Some(address("127.0.0.1:0".parse().expect("address"))),
                filter_chains: vec![listener::FilterChain { filters: vec![filter], ..Default::default() }],
                ..Default::default()
            },
            cluster: cluster::Cluster {
                name: "backend".into(),
                connect_timeout: Some(Duration { seconds: 2, nanos: 0 }),
                load_assignment: Some(endpoint::ClusterLoadAssignment {
                    endpoints: vec![group],
                    ..Default::default()
                }),
                ..Default::default()
            },
        }
    }

    /// Every request goes to the cluster in this way.
    pub(super) fn with_action(self, change: impl FnOnce(&mut route::RouteAction)) -> Self {
        self.with_manager(|manager| {
            let Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(table)) =
                &mut manager.route_specifier
            else {
                panic!("the routes are not inline");
            };
            let route = &mut table.virtual_hosts[0].routes[0];
            if let Some(route::route::Action::Route(action)) = &mut route.action {
                change(action);
            }
        })
    }

    /// Requests are logged in this format.
    pub(super) fn with_access_log(self, path: &std::path::Path, format: &str) -> Self {
        use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
            FileAccessLog, file_access_log::AccessLogFormat,
        };
        #[allow(deprecated, reason = "the short form of the same")]
        let format = Some(AccessLogFormat::Format(format.into()));
        let file = FileAccessLog { path: path.to_string_lossy().into_owned(), access_log_format: format };
        let name = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
        let config = accesslog::access_log::ConfigType::TypedConfig(any(name, &file));
        let log = accesslog::AccessLog { config_type: Some(config), ..Default::default() };
        self.with_manager(|manager| manager.access_log = vec![log])
    }

    /// Requests are logged as JSON of this shape.
    pub(super) fn with_json_access_log(self, path: &std::path::Path, format: &str) -> Self {
        use envoy_types::pb::envoy::extensions::access_loggers::file::v3::{
            FileAccessLog, file_access_log::AccessLogFormat,
        };
        let format = serde_json::from_str(format).expect("JSON");
        let Some(Kind::StructValue(fields)) = protobuf(format).kind else { panic!("no object") };
        let format = core::SubstitutionFormatString {
            format: Some(core::substitution_format_string::Format::JsonFormat(fields)),
            ..Default::default()
        };
        let file = FileAccessLog {
            path: path.to_string_lossy().into_owned(),
            access_log_format: Some(AccessLogFormat::LogFormat(format)),
        };
        let name = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
        let config = accesslog::access_log::ConfigType::TypedConfig(any(name, &file));
        let log = accesslog::AccessLog { config_type: Some(config), ..Default::default() };
        self.with_manager(|manager| manager.access_log = vec![log])
    }

    pub(super) fn with_http2(self) -> Self {
        self.with_cluster(|cluster| {
            #[allow(deprecated, reason = "the short form of the same")]
            let options = &mut cluster.http2_protocol_options;
            *options = Some(core::Http2ProtocolOptions::default());
        })
    }

    /// The resources as discovery would bring them.
    pub(super) fn updates(&self) -> [crate::config::Update; 2] {
        let update = |url: &str, name: &str, value: Vec<u8>| crate::config::Update {
            type_url: url.to_owned(),
            upserts: vec![(name.to_owned(), "2".to_owned(), Any { type_url: url.to_owned(), value })],
            removed: Vec::new(),
        };
        [
            update(crate::config::type_url::CLUSTER, "backend", self.cluster.encode_to_vec()),
            update(crate::config::type_url::LISTENER, "front", self.listener.encode_to_vec()),
        ]
    }

    pub(super) fn with_cluster(mut self, change: impl FnOnce(&mut cluster::Cluster)) -> Self {
        change(&mut self.cluster);
        self
    }

    /// The cluster is that of a service of the mesh.
    pub(super) fn for_service(self, name: &str) -> Self {
        let services = serde_json::json!({"services": [{"name": name, "namespace": "a", "host": name}]});
        self.with_cluster(|cluster| {
            let Some(Kind::StructValue(fields)) = protobuf(services).kind else { panic!("no object") };
            let filter_metadata = [("istio".to_owned(), fields)].into();
            cluster.metadata = Some(core::Metadata { filter_metadata, ..Default::default() });
        })
    }

    pub(super) fn with_listener(mut self, change: impl FnOnce(&mut listener::Listener)) -> Self {
        change(&mut self.listener);
        self
    }

    pub(super) fn with_manager(mut self, change: impl FnOnce(&mut hcm::HttpConnectionManager)) -> Self {
        let filter = &mut self.listener.filter_chains[0].filters[0];
        let Some(listener::filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else {
            panic!("the filter has no configuration");
        };
        let mut manager = hcm::HttpConnectionManager::decode(any.value.as_slice()).expect("manager");
        change(&mut manager);
        any.value = manager.encode_to_vec();
        self
    }

    pub(super) fn with_downstream_tls(mut self, certificates: &Certificates) -> Self {
        let context = tls::DownstreamTlsContext {
            common_tls_context: Some(common(certificates, &certificates.server, None, &["h2", "http/1.1"])),
            require_client_certificate: Some(BoolValue { value: true }),
            ..Default::default()
        };
        let socket = socket("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", &context);
        self.listener.filter_chains[0].transport_socket = Some(socket);
        self
    }

    pub(super) fn with_upstream_tls(mut self, certificates: &Certificates, name: &str, http2: bool) -> Self {
        let alpn: &[&str] = if http2 { &["h2"] } else { &[] };
        let context = tls::UpstreamTlsContext {
            common_tls_context: Some(common(certificates, &certificates.client, Some(name), alpn)),
            sni: "outbound_.80_._.a.test".into(),
            ..Default::default()
        };
        self.cluster.transport_socket =
            Some(socket("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", &context));
        if http2 {
            use upstream_http::http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
            };
            let explicit = ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(
                    core::Http2ProtocolOptions::default(),
                )),
            };
            let options = upstream_http::HttpProtocolOptions {
                upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
                ..Default::default()
            };
            let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
            self.cluster.typed_extension_protocol_options.insert(key.into(), any(key, &options));
        }
        self
    }

    /// Without rules for names; `by_name` = `auto_sni_san_validation`.
    pub(super) fn with_upstream_tls_for_any_name(
        mut self,
        certificates: &Certificates,
        by_name: bool,
    ) -> Self {
        let context = tls::UpstreamTlsContext {
            common_tls_context: Some(common(certificates, &certificates.client, None, &[])),
            sni: "a.test".into(),
            auto_sni_san_validation: by_name,
            ..Default::default()
        };
        self.cluster.transport_socket =
            Some(socket("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", &context));
        self
    }

    pub(super) fn bootstrap(self) -> bootstrap::Bootstrap {
        let resources = bootstrap::bootstrap::StaticResources {
            listeners: vec![self.listener],
            clusters: vec![self.cluster],
            secrets: Vec::new(),
        };
        bootstrap::Bootstrap { static_resources: Some(resources), ..Default::default() }
    }
}

fn protobuf(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().expect("number")),
        Json::String(value) => Kind::StringValue(value),
        Json::Array(list) => Kind::ListValue(ListValue { values: list.into_iter().map(protobuf).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(key, value)| (key, protobuf(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

fn socket<M: Message>(name: &str, context: &M) -> core::TransportSocket {
    let typed = core::transport_socket::ConfigType::TypedConfig(any(name, context));
    core::TransportSocket { name: "envoy.transport_sockets.tls".into(), config_type: Some(typed) }
}

fn text(pem: &str) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(pem.into())),
        ..Default::default()
    }
}

fn common(
    certificates: &Certificates,
    own: &(String, String),
    accepted: Option<&str>,
    alpn: &[&str],
) -> tls::CommonTlsContext {
    let names = accepted.map(|name| tls::SubjectAltNameMatcher {
        san_type: tls::subject_alt_name_matcher::SanType::Uri as i32,
        matcher: Some(matcher::StringMatcher {
            match_pattern: Some(matcher::string_matcher::MatchPattern::Exact(name.into())),
            ..Default::default()
        }),
        ..Default::default()
    });
    let validation = tls::CertificateValidationContext {
        trusted_ca: Some(text(&certificates.root)),
        match_typed_subject_alt_names: names.into_iter().collect(),
        ..Default::default()
    };
    tls::CommonTlsContext {
        tls_certificates: vec![tls::TlsCertificate {
            certificate_chain: Some(text(&own.0)),
            private_key: Some(text(&own.1)),
            ..Default::default()
        }],
        validation_context_type: Some(tls::common_tls_context::ValidationContextType::ValidationContext(
            validation,
        )),
        alpn_protocols: alpn.iter().map(|each| (*each).to_owned()).collect(),
        ..Default::default()
    }
}
