//! Rules of extension providers. What is wrong with one hurts nobody until a policy or Telemetry names it: settings with such a provider
//! are taken, so that most of it is told as a warning.

use sagene_api::istio::mesh_config::ExtensionProvider;

use super::super::Report;
use super::super::host::{host_problem, is_dns_label};
use crate::path::FieldPath;

pub(super) fn rules(report: &mut Report, providers: &[ExtensionProvider]) {
    for (index, provider) in providers.iter().enumerate() {
        let path = FieldPath::parse("extensionProviders").index(index);
        report.advise(!provider.name.is_empty(), &path.key("name"), "empty extension provider name");
        let repeated = providers[..index].iter().any(|other| other.name == provider.name);
        report.advise(
            !repeated,
            &path.key("name"),
            format_args!("duplicate extension provider name {}", provider.name),
        );
        let words = format_args!(
            "extension provider {:?} must have exactly one kind, such as envoyExtAuthzGrpc or zipkin",
            provider.name
        );
        let count = kinds(provider);
        report.advise(count > 0, &path, words);
        report.require(count < 2, &path, words);
        services(report, &path, provider);
        authorization(report, &path, provider);
    }
}

fn kinds(provider: &ExtensionProvider) -> usize {
    let set = [
        provider.envoy_ext_authz_http.is_some(),
        provider.envoy_ext_authz_grpc.is_some(),
        provider.zipkin.is_some(),
        provider.lightstep.is_some(),
        provider.datadog.is_some(),
        provider.stackdriver.is_some(),
        provider.opencensus.is_some(),
        provider.skywalking.is_some(),
        provider.opentelemetry.is_some(),
        provider.prometheus.is_some(),
        provider.envoy_file_access_log.is_some(),
        provider.envoy_http_als.is_some(),
        provider.envoy_tcp_als.is_some(),
        provider.envoy_otel_als.is_some(),
        provider.sds.is_some(),
    ];
    set.iter().filter(|set| **set).count()
}

/// Those that are reached by the name and port of a service.
fn services(report: &mut Report, path: &FieldPath, provider: &ExtensionProvider) {
    let mut named: Vec<(&str, &str, u32)> = Vec::new();
    macro_rules! name {
        ($($field:ident as $written:literal),+) => {
            $(if let Some(it) = &provider.$field {
                named.push(($written, &it.service, it.port));
            })+
        };
    }
    name!(
        envoy_ext_authz_http as "envoyExtAuthzHttp",
        envoy_ext_authz_grpc as "envoyExtAuthzGrpc",
        zipkin as "zipkin",
        datadog as "datadog",
        skywalking as "skywalking",
        opentelemetry as "opentelemetry",
        envoy_http_als as "envoyHttpAls",
        envoy_tcp_als as "envoyTcpAls",
        envoy_otel_als as "envoyOtelAls"
    );
    for (kind, service, number) in named {
        let path = path.key(kind);
        let (namespace, host) =
            service.split_once('/').map_or((None, service), |(namespace, host)| (Some(namespace), host));
        let fits = namespace.is_none_or(is_dns_label) && host_problem(host, false).is_none();
        report.advise(
            fits,
            &path.key("service"),
            format_args!("{service:?} is no service; want a host name, or NAMESPACE/HOST"),
        );
        let is_port = (1..=65535).contains(&number);
        let words = format_args!("port number {number} must be in the range 1..65535");
        report.advise(is_port, &path.key("port"), words);
    }
}

fn authorization(report: &mut Report, path: &FieldPath, provider: &ExtensionProvider) {
    if let Some(http) = &provider.envoy_ext_authz_http {
        let path = path.key("envoyExtAuthzHttp");
        report.advise(
            http.path_prefix.is_empty() || http.path_prefix.starts_with('/'),
            &path.key("pathPrefix"),
            "pathPrefix must begin with \"/\"",
        );
        status(report, &path.key("statusOnError"), &http.status_on_error);
    }
    if let Some(grpc) = &provider.envoy_ext_authz_grpc {
        status(report, &path.key("envoyExtAuthzGrpc").key("statusOnError"), &grpc.status_on_error);
    }
}

fn status(report: &mut Report, path: &FieldPath, text: &str) {
    let fits = text.is_empty() || text.parse::<u16>().is_ok_and(|status| (100..600).contains(&status));
    report.advise(fits, path, format_args!("{text:?} is no HTTP status code"));
}
