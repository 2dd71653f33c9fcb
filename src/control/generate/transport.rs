//! Transport sockets: who proves what to whom.

use sagene_api::istio::mesh_config::{MeshTlsProtocol, TlsConfig};
use sagene_api::istio::networking::gateway::{ServerTlsMode, ServerTlsSettings, TlsProtocol};
use sagene_api::istio::networking::traffic_policy::{ClientTlsMode, ClientTlsSettings};

use super::proto::{ads_with_timeout, duration};
use super::proto::{any, boolean, core, exact, matcher, regex, string_matcher, tls, transport_socket};
use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use sagene_api::Duration;
use tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use tls::tls_parameters::TlsProtocol as Version;

/// Name of the workload's own certificate.
const IDENTITY: &str = "default";
/// Name of the roots that verify the mesh's certificates.
const ROOT_CA: &str = "ROOTCA";
/// What Istio offers for inbound mutual TLS.
const INBOUND_CIPHERS: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];

/// No TLS.
pub(crate) fn raw_buffer() -> core::TransportSocket {
    transport_socket("envoy.transport_sockets.raw_buffer", any(&RawBuffer {}))
}

fn socket_of<M: prost::Message + prost::Name>(context: &M) -> core::TransportSocket {
    transport_socket("envoy.transport_sockets.tls", any(context))
}

/// A secret that the proxy's own agent hands out.
fn agent_secret(name: &str) -> tls::SdsSecretConfig {
    let grpc = core::GrpcService {
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(
            core::grpc_service::EnvoyGrpc {
                cluster_name: "sds-grpc".to_owned(),
                ..core::grpc_service::EnvoyGrpc::default()
            },
        )),
        ..core::GrpcService::default()
    };
    let source = core::ApiConfigSource {
        api_type: core::api_config_source::ApiType::Grpc as i32,
        transport_api_version: core::ApiVersion::V3 as i32,
        grpc_services: vec![grpc],
        set_node_on_first_message_only: true,
        ..core::ApiConfigSource::default()
    };
    let config = core::ConfigSource {
        initial_fetch_timeout: Some(duration(Duration::ZERO)),
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::ApiConfigSource(source)),
        ..core::ConfigSource::default()
    };
    tls::SdsSecretConfig { name: name.to_owned(), sds_config: Some(config) }
}

/// A secret that the control plane hands out.
fn served_secret(name: &str) -> tls::SdsSecretConfig {
    tls::SdsSecretConfig { name: name.to_owned(), sds_config: Some(ads_with_timeout()) }
}

fn san(pattern: matcher::StringMatcher) -> tls::SubjectAltNameMatcher {
    tls::SubjectAltNameMatcher {
        san_type: tls::subject_alt_name_matcher::SanType::Uri as i32,
        matcher: Some(pattern),
        ..tls::SubjectAltNameMatcher::default()
    }
}

/// Names a certificate must carry, whatever kind of name.
fn any_sans(names: &[String]) -> Vec<tls::SubjectAltNameMatcher> {
    use tls::subject_alt_name_matcher::SanType::{Dns, Email, IpAddress, Uri};
    let kinds = [Uri, Dns, Email, IpAddress];
    let pairs = names.iter().flat_map(|name| kinds.iter().map(move |kind| (name, *kind)));
    pairs
        .map(|(name, kind)| tls::SubjectAltNameMatcher {
            san_type: kind as i32,
            matcher: Some(exact(name)),
            ..tls::SubjectAltNameMatcher::default()
        })
        .collect()
}

fn combined(sans: Vec<tls::SubjectAltNameMatcher>, roots: tls::SdsSecretConfig) -> ValidationContextType {
    ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
        default_validation_context: Some(tls::CertificateValidationContext {
            match_typed_subject_alt_names: sans,
            ..tls::CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(roots),
        ..CombinedCertificateValidationContext::default()
    })
}

fn versions(least: Version, most: Version) -> tls::TlsParameters {
    tls::TlsParameters {
        tls_minimum_protocol_version: least as i32,
        tls_maximum_protocol_version: most as i32,
        ..tls::TlsParameters::default()
    }
}

/// Mutual TLS towards workloads with these identities (none: any of the mesh), with the workload's own certificate.
pub(crate) fn upstream_mutual(sni: &str, identities: &[String], http2: bool) -> core::TransportSocket {
    let mut alpn = vec!["istio-peer-exchange".to_owned(), "istio".to_owned()];
    if http2 {
        alpn.push("h2".to_owned());
    }
    let sans = identities.iter().map(|identity| san(exact(identity))).collect();
    let common = tls::CommonTlsContext {
        tls_params: Some(versions(Version::TlSv12, Version::TlSv13)),
        tls_certificate_sds_secret_configs: vec![agent_secret(IDENTITY)],
        alpn_protocols: alpn,
        validation_context_type: Some(combined(sans, agent_secret(ROOT_CA))),
        ..tls::CommonTlsContext::default()
    };
    socket_of(&tls::UpstreamTlsContext {
        common_tls_context: Some(common),
        sni: sni.to_owned(),
        ..tls::UpstreamTlsContext::default()
    })
}

/// TLS as a DestinationRule says; `None` for DISABLE. ISTIO_MUTUAL uses `sni` and `identities` where the rule names none.
pub(crate) fn upstream(
    settings: &ClientTlsSettings,
    sni: &str,
    identities: &[String],
    http2: bool,
    defaults: &TlsConfig,
) -> Option<core::TransportSocket> {
    let own_sni = if settings.sni.is_empty() { sni } else { &settings.sni };
    match settings.mode {
        ClientTlsMode::Disable => None,
        ClientTlsMode::IstioMutual => {
            let named = &settings.subject_alt_names;
            Some(upstream_mutual(own_sni, if named.is_empty() { identities } else { named }, http2))
        }
        ClientTlsMode::Simple | ClientTlsMode::Mutual => Some(originate(settings, http2, defaults)),
    }
}

/// TLS with certificates from files or a secret.
fn originate(settings: &ClientTlsSettings, http2: bool, defaults: &TlsConfig) -> core::TransportSocket {
    let says_any = !defaults.ecdh_curves.is_empty() || !defaults.cipher_suites.is_empty();
    let mut common = tls::CommonTlsContext {
        tls_params: says_any.then(|| tls::TlsParameters {
            ecdh_curves: defaults.ecdh_curves.clone(),
            cipher_suites: defaults.cipher_suites.clone(),
            ..tls::TlsParameters::default()
        }),
        alpn_protocols: if http2 { vec!["h2".to_owned()] } else { Vec::new() },
        ..tls::CommonTlsContext::default()
    };
    let sans = any_sans(&settings.subject_alt_names);
    let skip = settings.insecure_skip_verify.unwrap_or(false);
    let credential = credential_url(&settings.credential_name);
    let uses_secret = !settings.credential_name.is_empty();
    let mutual = settings.mode == ClientTlsMode::Mutual;
    if mutual && uses_secret {
        common.tls_certificate_sds_secret_configs = vec![served_secret(&credential)];
    } else if mutual {
        let name = format!("file-cert:{}~{}", settings.client_certificate, settings.private_key);
        common.tls_certificate_sds_secret_configs = vec![agent_secret(&name)];
    }
    common.validation_context_type = match () {
        () if skip => None,
        () if uses_secret => Some(combined(sans, served_secret(&format!("{credential}-cacert")))),
        () if !settings.ca_certificates.is_empty() => {
            Some(combined(sans, agent_secret(&format!("file-root:{}", settings.ca_certificates))))
        }
        // As Istio has it: the agent serves what the proxy's system trusts. Envoy has no other form that checks names too.
        () => Some(combined(sans, agent_secret("file-root:system"))),
    };
    socket_of(&tls::UpstreamTlsContext {
        common_tls_context: Some(common),
        sni: settings.sni.clone(),
        ..tls::UpstreamTlsContext::default()
    })
}

/// Without a server name of its own, originated TLS is for the host of each request: `auto_sni` and, where nothing else says which
/// names the server must prove, `auto_san_validation`.
pub(crate) fn automatic_names(settings: &ClientTlsSettings) -> Option<core::UpstreamHttpProtocolOptions> {
    let originates = matches!(settings.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    (originates && settings.sni.is_empty()).then(|| core::UpstreamHttpProtocolOptions {
        auto_sni: true,
        auto_san_validation: settings.subject_alt_names.is_empty()
            && !settings.insecure_skip_verify.unwrap_or(false),
        ..core::UpstreamHttpProtocolOptions::default()
    })
}

/// Inbound mutual TLS with the workload's own certificate; clients must be of one of the trust domains.
pub(crate) fn downstream_mutual(
    trust_domains: &[String],
    alpn: &[&str],
    mesh: &TlsConfig,
) -> core::TransportSocket {
    use matcher::string_matcher::MatchPattern::Prefix;
    let sans = trust_domains
        .iter()
        .map(|domain| san(string_matcher(Prefix(format!("spiffe://{domain}/")))))
        .collect();
    let least = match mesh.min_protocol_version {
        MeshTlsProtocol::TlsAuto | MeshTlsProtocol::TlsV1_2 => Version::TlSv12,
        MeshTlsProtocol::TlsV1_3 => Version::TlSv13,
    };
    let mut parameters = versions(least, Version::TlsAuto);
    parameters.cipher_suites = match mesh.cipher_suites.as_slice() {
        [] => INBOUND_CIPHERS.map(str::to_owned).to_vec(),
        chosen => chosen.to_vec(),
    };
    let common = tls::CommonTlsContext {
        tls_params: Some(parameters),
        tls_certificate_sds_secret_configs: vec![agent_secret(IDENTITY)],
        alpn_protocols: alpn.iter().map(|&protocol| protocol.to_owned()).collect(),
        validation_context_type: Some(combined(sans, agent_secret(ROOT_CA))),
        ..tls::CommonTlsContext::default()
    };
    socket_of(&tls::DownstreamTlsContext {
        common_tls_context: Some(common),
        require_client_certificate: boolean(true),
        ..tls::DownstreamTlsContext::default()
    })
}

/// TLS of a gateway's server, with the mesh's settings for ISTIO_MUTUAL and for all else.
pub(crate) fn gateway_server(
    settings: &ServerTlsSettings,
    trust_domains: &[String],
    http: bool,
    (mesh, defaults): (&TlsConfig, &TlsConfig),
) -> core::TransportSocket {
    let alpn: &[&str] = if http { &["h2", "http/1.1"] } else { &[] };
    if settings.mode == ServerTlsMode::IstioMutual {
        let alpn: &[&str] = if http { alpn } else { &["istio-peer-exchange", "h2", "http/1.1"] };
        return downstream_mutual(trust_domains, alpn, mesh);
    }
    let mutual = matches!(settings.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    let mut common = tls::CommonTlsContext {
        tls_params: Some(server_parameters(settings, defaults)),
        alpn_protocols: alpn.iter().map(|&protocol| protocol.to_owned()).collect(),
        ..tls::CommonTlsContext::default()
    };
    let names = server_credentials(settings);
    let roots = if !settings.ca_cert_credential_name.is_empty() {
        Some(credential_url(&settings.ca_cert_credential_name))
    } else {
        names.first().map(|name| format!("{name}-cacert"))
    };
    common.tls_certificate_sds_secret_configs = if names.is_empty() {
        files(settings).into_iter().map(|name| agent_secret(&name)).collect()
    } else {
        names.iter().map(|name| served_secret(name)).collect()
    };
    if mutual {
        let sans = any_sans(&settings.subject_alt_names);
        let roots = match roots {
            Some(name) => served_secret(&name),
            None => agent_secret(&format!("file-root:{}", settings.ca_certificates)),
        };
        common.validation_context_type = Some(combined(sans, roots));
    }
    let required = settings.mode == ServerTlsMode::Mutual;
    socket_of(&tls::DownstreamTlsContext {
        common_tls_context: Some(common),
        require_client_certificate: boolean(required),
        ..tls::DownstreamTlsContext::default()
    })
}

/// The secrets a server names, as SDS asks for them.
fn server_credentials(settings: &ServerTlsSettings) -> Vec<String> {
    let one = std::iter::once(&settings.credential_name).filter(|name| !name.is_empty());
    one.chain(&settings.credential_names).map(|name| credential_url(name)).collect()
}

/// A bare name means the namespace of the proxy that asks.
fn credential_url(name: &str) -> String {
    if name.contains("://") { name.to_owned() } else { format!("kubernetes://{name}") }
}

fn files(settings: &ServerTlsSettings) -> Vec<String> {
    let pair = |chain: &str, key: &str| format!("file-cert:{chain}~{key}");
    if settings.tls_certificates.is_empty() {
        return vec![pair(&settings.server_certificate, &settings.private_key)];
    }
    settings.tls_certificates.iter().map(|one| pair(&one.server_certificate, &one.private_key)).collect()
}

fn server_parameters(settings: &ServerTlsSettings, defaults: &TlsConfig) -> tls::TlsParameters {
    let version = |version: TlsProtocol, default: Version| match version {
        TlsProtocol::TlsAuto => default,
        TlsProtocol::TlsV1_0 => Version::TlSv10,
        TlsProtocol::TlsV1_1 => Version::TlSv11,
        TlsProtocol::TlsV1_2 => Version::TlSv12,
        TlsProtocol::TlsV1_3 => Version::TlSv13,
    };
    let least = version(settings.min_protocol_version, Version::TlSv12);
    let most = version(settings.max_protocol_version, Version::TlsAuto);
    let mut parameters = versions(least, most);
    let chosen = |own: &[String], default: &[String]| if own.is_empty() { default } else { own }.to_vec();
    parameters.cipher_suites = chosen(&settings.cipher_suites, &defaults.cipher_suites);
    parameters.ecdh_curves = chosen(&settings.ecdh_curves, &defaults.ecdh_curves);
    parameters
}

/// A regular expression as string matcher.
pub(crate) fn regex_matcher(expression: &str) -> matcher::StringMatcher {
    string_matcher(matcher::string_matcher::MatchPattern::SafeRegex(regex(expression)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(socket: &core::TransportSocket) -> tls::TlsParameters {
        let Some(core::transport_socket::ConfigType::TypedConfig(config)) = &socket.config_type else {
            panic!("a configuration")
        };
        let context = <tls::DownstreamTlsContext as prost::Message>::decode(&*config.value);
        let common = context.expect("a context").common_tls_context.expect("what both ends have");
        common.tls_params.expect("parameters")
    }

    #[test]
    fn versions_and_curves_are_those_of_the_mesh_where_a_server_names_none() {
        let mesh = TlsConfig { min_protocol_version: MeshTlsProtocol::TlsV1_3, ..TlsConfig::default() };
        let defaults = TlsConfig { ecdh_curves: vec!["P-256".to_owned()], ..TlsConfig::default() };
        let server = |mode, curves: &[&str]| ServerTlsSettings {
            mode,
            credential_name: "cert".to_owned(),
            ecdh_curves: curves.iter().map(|&curve| curve.to_owned()).collect(),
            ..ServerTlsSettings::default()
        };
        let of =
            |server: ServerTlsSettings| parameters(&gateway_server(&server, &[], true, (&mesh, &defaults)));
        let mutual = of(server(ServerTlsMode::IstioMutual, &[]));
        assert_eq!(mutual.tls_minimum_protocol_version, Version::TlSv13 as i32);
        assert!(mutual.ecdh_curves.is_empty());
        let simple = of(server(ServerTlsMode::Simple, &[]));
        assert_eq!(simple.tls_minimum_protocol_version, Version::TlSv12 as i32);
        assert_eq!(simple.ecdh_curves, ["P-256"]);
        assert_eq!(of(server(ServerTlsMode::Simple, &["X25519"])).ecdh_curves, ["X25519"]);
    }
}
