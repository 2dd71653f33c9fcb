//! IST0163 and IST0164: webhooks of a remote cluster that lead to no control plane, or to an address instead of a name.

use std::net::IpAddr;

use sagene_api::Resource;
use sagene_api::kubernetes::MutatingWebhookConfiguration;
use serde_json::Value;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::{Message, ObjectRef};

pub(super) const CHECK: Check = Check {
    name: "externalcontrolplane.ExternalControlPlaneAnalyzer",
    description: "Webhooks that lead to no external control plane, or to an address instead of a name",
    codes: &[Code::InvalidExternalControlPlaneConfig, Code::ExternalControlPlaneAddressIsNotAHostname],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for configuration in input.snapshot.mutating_webhook_configurations.iter() {
        let object = refer(configuration.as_ref());
        for (index, hook) in configuration.spec.webhooks.iter().enumerate() {
            let client = &hook.client_config;
            let url = (!client.url.is_empty()).then_some(client.url.as_str());
            messages.extend(of_hook(&object, index, &hook.name, url, client.service.is_some()));
        }
    }
    for (object, value) in input.untyped.iter().filter(|(object, _)| is_configuration(object)) {
        for (index, hook) in value["webhooks"].as_array().into_iter().flatten().enumerate() {
            let name = hook["name"].as_str().unwrap_or_default();
            let client = &hook["clientConfig"];
            let url = client["url"].as_str().filter(|url| !url.is_empty());
            messages.extend(of_hook(
                object,
                index,
                name,
                url,
                client.get("service").is_some_and(Value::is_object),
            ));
        }
    }
    messages
}

fn is_configuration(object: &ObjectRef) -> bool {
    object.kind == "ValidatingWebhookConfiguration" || object.kind == MutatingWebhookConfiguration::KIND
}

fn of_hook(
    object: &ObjectRef,
    index: usize,
    name: &str,
    url: Option<&str>,
    has_service: bool,
) -> Option<Message> {
    if !object.name.contains("istio") && !name.ends_with("istio.io") {
        return None;
    }
    let path = format!("webhooks[{index}].clientConfig");
    let invalid = |address: &str, what: &str| {
        let text = format!(
            "The hostname ({address}) that was provided for the webhook ({name}) to reach the ingress gateway on the external control plane \
             cluster {what}. Traffic may not flow properly."
        );
        Message::new(Code::InvalidExternalControlPlaneConfig, object.clone(), text)
    };
    let Some(url) = url else {
        return (!has_service).then(|| invalid("", "is blank").at(at(&path)));
    };
    let path = at(&format!("{path}.url"));
    match host_of(url) {
        None => Some(invalid(url, "was provided in an invalid format").at(path)),
        Some(host) if host.parse::<IpAddr>().is_ok() => {
            let text = format!(
                "The address ({host}) that was provided for the webhook ({name}) to reach the ingress gateway on the external control plane \
                 cluster is an IP address. This is not recommended for a production environment."
            );
            Some(Message::new(Code::ExternalControlPlaneAddressIsNotAHostname, object.clone(), text).at(path))
        }
        Some(_) => None,
    }
}

/// The host of `https://host[:port]/…`; `None` for what is no such URL.
fn host_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, port) = inner.split_once(']')?;
        return is_port(port).then_some(host);
    }
    let (host, port) = authority.find(':').map_or((authority, ""), |at| authority.split_at(at));
    let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    (!host.is_empty() && host.chars().all(is_name) && is_port(port)).then_some(host)
}

/// Nothing, or `:` and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(kind: &str, name: &str, client: &str) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nwebhooks:\n- name: rev.object.{name}.io\n  clientConfig: {client}\n"
        )
    }

    #[test]
    fn blank_malformed_and_numeric_addresses() {
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let found = |client: &str| findings(&CHECK, &yaml(kind, "istio-external", client));
            assert_eq!(found("{}"), [format!("IST0163 {kind} istio-external@6")]);
            assert_eq!(
                found("{url: 'https://host name/inject'}"),
                [format!("IST0163 {kind} istio-external@6")]
            );
            assert_eq!(
                found("{url: 'https://10.1.2.3:15017/inject'}"),
                [format!("IST0164 {kind} istio-external@6")]
            );
            assert!(found("{url: 'https://edge.example.com:15017/inject'}").is_empty());
            assert!(found("{service: {name: istiod, namespace: istio-system}}").is_empty());
            assert!(findings(&CHECK, &yaml(kind, "other", "{}")).is_empty());
        }
        let text = texts(&CHECK, &yaml("MutatingWebhookConfiguration", "istio-external", "{}"));
        assert!(text[0].starts_with(
            "The hostname () that was provided for the webhook (rev.object.istio-external.io) to reach"
        ));
    }
}
