//! Names that could have been meant: hosts, subsets, gateways, credentials.

use std::collections::BTreeSet;

use sagene_model::Hostname;

use crate::input::Input;
use crate::message::{Message, ObjectRef};
use crate::near::nearest;
use crate::path::Step;

/// Label that tells versions of a workload apart.
const VERSION: &str = "version";

/// The only name near to `written` in the place of a message; `None` where none or several are near.
pub(super) fn meant(
    input: &Input,
    message: &Message,
    written: &str,
    host_beside: Option<&str>,
) -> Option<String> {
    let namespace = message.object.namespace.as_str();
    let candidates: BTreeSet<String> = match message.path.steps().last()? {
        Step::Key("host") => hosts(input, namespace, written),
        Step::Key("subset") => subsets(input, namespace, host_beside?),
        Step::Key("credentialName") => credentials(input),
        Step::Index(_) if is_list_of(message, "gateways") => gateways(input, namespace, written),
        _ => return None,
    };
    let words: Vec<&str> = candidates.iter().map(String::as_str).filter(|name| *name != written).collect();
    nearest(written, &words).map(str::to_owned)
}

fn is_list_of(message: &Message, key: &str) -> bool {
    let steps: Vec<Step<'_>> = message.path.steps().collect();
    matches!(steps[..], [.., Step::Key(name), Step::Index(_)] if name == key)
}

/// Hosts in the spelling of `written`: short for the own namespace, with the namespace, or in full.
fn hosts(input: &Input, namespace: &str, written: &str) -> BTreeSet<String> {
    let domain = &input.mesh.domain;
    let entries = input.snapshot.service_entries.iter().flat_map(|entry| &entry.spec.hosts);
    let mut hosts: BTreeSet<String> = entries.filter(|host| !host.starts_with('*')).cloned().collect();
    let dots = written.matches('.').count();
    for service in input.snapshot.services.iter() {
        let (name, place) = (&service.metadata.name, &service.metadata.namespace);
        match dots {
            0 if place == namespace => hosts.insert(name.clone()),
            0 => false,
            1 => hosts.insert(format!("{name}.{place}")),
            2 => hosts.insert(format!("{name}.{place}.svc")),
            _ => hosts.insert(format!("{name}.{place}.svc.{domain}")),
        };
    }
    hosts
}

/// The subsets that DestinationRules define for a host.
fn subsets(input: &Input, namespace: &str, host: &str) -> BTreeSet<String> {
    let domain = &input.mesh.domain;
    let host = Hostname::resolve(host, namespace, domain);
    let rules = input.snapshot.destination_rules.iter();
    let of_host = rules.filter(|rule| {
        let own = Hostname::resolve(&rule.spec.host, &rule.metadata.namespace, domain);
        own == host || own.covers(&host)
    });
    of_host.flat_map(|rule| &rule.spec.subsets).map(|subset| subset.name.clone()).collect()
}

fn gateways(input: &Input, namespace: &str, written: &str) -> BTreeSet<String> {
    let qualified = written.contains('/');
    let gateways = input.snapshot.gateways.iter().map(|gateway| &gateway.metadata);
    gateways
        .filter(|gateway| qualified || gateway.namespace == namespace)
        .map(|gateway| match qualified {
            true => format!("{}/{}", gateway.namespace, gateway.name),
            false => gateway.name.clone(),
        })
        .collect()
}

fn credentials(input: &Input) -> BTreeSet<String> {
    let secrets = input.snapshot.secrets.iter();
    secrets.map(|secret| secret.metadata.name.clone()).collect()
}

/// The only DestinationRule of a host, and the label its subsets go by, where some workload of the host has that label with `subset`.
pub(super) fn rule_that_lacks(
    input: &Input,
    namespace: &str,
    host: &str,
    subset: &str,
) -> Option<(ObjectRef, &'static str)> {
    let domain = &input.mesh.domain;
    let host = Hostname::resolve(host, namespace, domain);
    let mut rules = input
        .snapshot
        .destination_rules
        .iter()
        .filter(|rule| Hostname::resolve(&rule.spec.host, &rule.metadata.namespace, domain) == host);
    let (rule, None) = (rules.next()?, rules.next()) else { return None };
    let named_by_version = |subset: &sagene_api::istio::networking::destination_rule::Subset| {
        subset.labels.len() == 1 && subset.labels.get(VERSION) == Some(&subset.name)
    };
    if rule.spec.subsets.is_empty() || !rule.spec.subsets.iter().all(named_by_version) {
        return None;
    }
    let name = host.to_string();
    let (name, rest) = name.split_once('.')?;
    let service = input.snapshot.services.get(rest.split('.').next()?, name)?;
    let selector = &service.spec.selector;
    let has = |labels: &sagene_model::labels::Labels| {
        labels.get(VERSION).is_some_and(|version| version == subset)
            && !selector.is_empty()
            && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    let namespace = service.metadata.namespace.as_str();
    let snapshot = &input.snapshot;
    let runs = snapshot.pods.in_namespace(namespace).any(|pod| has(&pod.metadata.labels))
        || snapshot
            .deployments
            .in_namespace(namespace)
            .any(|deployment| has(&deployment.spec.template.metadata.labels));
    runs.then(|| (crate::input::reference(rule), VERSION))
}
