//! An Envoy bootstrap; Sagene takes the same file.

use std::net::SocketAddr;

use crate::certificates::{Certificates, Leaf, SERVER_IDENTITY, SERVER_NAME};

use super::{Extras, Hop, Side};

pub(super) fn config(hop: &Hop<'_>) -> String {
    let (listener_tls, cluster_tls) = match hop.side {
        Side::Plain => (String::new(), String::new()),
        Side::Receives(certificates) => (downstream(certificates), String::new()),
        Side::Sends(certificates) => (String::new(), upstream(certificates)),
    };
    let (log, filters, retries, limits) = match hop.extras {
        Extras::Nothing => ("", String::new(), "", ""),
        Extras::Logged => (LOG, policy(1), "", ""),
        Extras::Mesh => (LOG, policy(10) + STATS, RETRIES, LIMITS),
    };
    format!(
        r#"static_resources:
  listeners:
  - name: front
    address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          codec_type: HTTP1
{log}          route_config:
            name: all
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: back{retries} }}
          http_filters:
{filters}          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
{listener_tls}  clusters:
  - name: back
    type: STATIC
    connect_timeout: 2s
{limits}    load_assignment:
      cluster_name: back
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {forward} }}
{cluster_tls}"#,
        listen = address(hop.listen),
        forward = address(hop.forward),
    )
}

const LOG: &str = r#"          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
              log_format:
                text_format_source:
                  inline_string: "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n"
"#;

const STATS: &str = r#"          - name: istio.stats
            typed_config:
              "@type": type.googleapis.com/stats.PluginConfig
"#;

const RETRIES: &str = ", retry_policy: { retry_on: \"connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes\", num_retries: 2, retriable_status_codes: [503] }";

const LIMITS: &str = "    circuit_breakers: { thresholds: [{ max_connections: 1024, max_pending_requests: 1024, max_requests: 1024, max_retries: 3 }] }\n";

/// A policy of so many rules, of which the last one allows the request.
fn policy(rules: usize) -> String {
    let mut text = r#"          - name: envoy.filters.http.rbac
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
"#
    .to_owned();
    for rule in 1..=rules {
        let path = if rule == rules { "/bench".to_owned() } else { format!("/other/{rule}") };
        text.push_str(&format!(
            r#"                  bench-{rule:02}:
                    permissions:
                    - and_rules:
                        rules:
                        - or_rules: {{ rules: [{{ header: {{ name: ":method", string_match: {{ exact: GET }} }} }}] }}
                        - or_rules: {{ rules: [{{ url_path: {{ path: {{ prefix: {path} }} }} }}] }}
                    principals:
                    - any: true
"#
        ));
    }
    text
}

fn address(of: SocketAddr) -> String {
    format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", of.ip(), of.port())
}

fn common(certificates: &Certificates, own: &Leaf, accepted: &str) -> String {
    format!(
        r#"          tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }}
          tls_certificates:
          - certificate_chain: {{ filename: {chain} }}
            private_key: {{ filename: {key} }}
          validation_context:
            trusted_ca: {{ filename: {root} }}
{accepted}"#,
        chain = own.chain.display(),
        key = own.key.display(),
        root = certificates.root.display(),
    )
}

fn downstream(certificates: &Certificates) -> String {
    let common = common(certificates, &certificates.server, "");
    format!(
        r#"      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
{}"#,
        indent(&common, "  ")
    )
}

fn upstream(certificates: &Certificates) -> String {
    let accepted = format!(
        "            match_typed_subject_alt_names:\n            - {{ san_type: URI, matcher: {{ exact: \"{SERVER_IDENTITY}\" }} }}\n"
    );
    let common = common(certificates, &certificates.client, &accepted);
    format!(
        r#"    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {SERVER_NAME}
        common_tls_context:
{common}"#
    )
}

fn indent(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}\n")).collect()
}
