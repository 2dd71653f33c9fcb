//! Names that could have been meant: hosts, subsets, gateways, credentials.

use std::collections::BTreeSet;

use sagene_api::Object;
use sagene_api::istio::networking::destination_rule::Subset;
use sagene_api::kubernetes::Service;
use sagene_model::Hostname;
use sagene_model::labels::has_all;

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
    if message.path.steps().last() == Some(Step::Key("host"))
        && let Some(full) = completed(input, written)
    {
        return Some(full);
    }
    let candidates: BTreeSet<String> = match message.path.steps().last()? {
        Step::Key("host") => hosts(input, namespace, written),
        Step::Key("subset") => subsets(input, namespace, host_beside?),
        Step::Key("credentialName") => credentials(input),
        Step::Key(label) if is_selector(message) => {
            // A label that some workload has is not the wrong one of the selector.
            let values = values(input, label);
            if values.contains(written) { return None } else { values }
        }
        Step::Index(_) if is_list_of(message, "gateways") => gateways(input, namespace, written),
        Step::Index(_) if ["namespaces", "notNamespaces"].iter().any(|list| is_list_of(message, list)) => {
            input.snapshot.namespaces.iter().map(|namespace| namespace.metadata.name.clone()).collect()
        }
        _ => return None,
    };
    let words: Vec<&str> = candidates.iter().map(String::as_str).filter(|name| *name != written).collect();
    nearest(written, &words).map(str::to_owned)
}

fn is_list_of(message: &Message, key: &str) -> bool {
    let steps: Vec<Step<'_>> = message.path.steps().collect();
    matches!(steps[..], [.., Step::Key(name), Step::Index(_)] if name == key)
}

/// True for a label of a selector.
fn is_selector(message: &Message) -> bool {
    let steps: Vec<Step<'_>> = message.path.steps().collect();
    let ends = [&["selector"][..], &["selector", "matchLabels"], &["workloadSelector", "labels"]];
    let above = steps.split_last().map_or(&[][..], |(_, above)| above);
    ends.iter().any(|end| {
        let end: Vec<Step<'_>> = end.iter().map(|key| Step::Key(key)).collect();
        above.ends_with(&end)
    })
}

/// The values of a label that workloads have, or will have once files are applied.
fn values(input: &Input, label: &str) -> BTreeSet<String> {
    let pods = input.snapshot.pods.iter().map(|pod| &pod.metadata.labels);
    let makers = input.snapshot.deployments.iter();
    let templates = makers.map(|maker| &maker.spec.template.metadata.labels);
    pods.chain(templates).filter_map(|labels| labels.get(label).cloned()).collect()
}

/// Hosts in the spelling of `written`: short for the own namespace, else in full.
fn hosts(input: &Input, namespace: &str, written: &str) -> BTreeSet<String> {
    let entries = input.snapshot.service_entries.iter().flat_map(|entry| &entry.spec.hosts);
    let mut hosts: BTreeSet<String> = entries.filter(|host| !host.starts_with('*')).cloned().collect();
    let is_short = !written.contains('.');
    for service in input.snapshot.services.iter().map(|service| &service.metadata) {
        if !is_short {
            hosts.insert(
                Hostname::of_service(&service.name, &service.namespace, &input.mesh.domain).to_string(),
            );
        } else if service.namespace == namespace {
            hosts.insert(service.name.clone());
        }
    }
    hosts
}

/// The full name of the service that a host means by its name and namespace, which DNS completes and routes do not.
fn completed(input: &Input, written: &str) -> Option<String> {
    let (name, namespace) = written.strip_suffix(".svc").unwrap_or(written).split_once('.')?;
    let service = input.snapshot.services.get(namespace, name)?;
    let (name, namespace) = (&service.metadata.name, &service.metadata.namespace);
    Some(Hostname::of_service(name, namespace, &input.mesh.domain).to_string())
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

/// The only DestinationRule of a host, where all its subsets go by the label `version`: a subset more is defined in the same way, where a
/// workload is of that version or, where no workload is known, its name is one more of a series such as `v1`, `v2`.
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
    let named_by_version =
        |subset: &Subset| subset.labels.len() == 1 && subset.labels.get(VERSION) == Some(&subset.name);
    let is_conventional = !rule.spec.subsets.is_empty() && rule.spec.subsets.iter().all(named_by_version);
    let mut versions = versions(input, service_of(input, &host)).peekable();
    let may_run = match versions.peek() {
        Some(_) => versions.any(|version| version == Some(subset)),
        None => input.files_alone && rule.spec.subsets.iter().any(|own| alike(&own.name, subset)),
    };
    (is_conventional && may_run).then(|| (crate::input::reference(rule), VERSION))
}

/// True for names that differ in their numbers alone.
fn alike(left: &str, right: &str) -> bool {
    let letters = |name: &str| name.chars().filter(|it| !it.is_ascii_digit()).collect::<String>();
    let has_number = |name: &str| name.bytes().any(|byte| byte.is_ascii_digit());
    has_number(left) && has_number(right) && letters(left) == letters(right)
}

fn service_of<'i>(input: &'i Input, host: &Hostname) -> Option<&'i Object<Service>> {
    let (name, rest) = host.as_str().split_once('.')?;
    input.snapshot.services.get(rest.split('.').next()?, name).map(AsRef::as_ref)
}

/// The versions of a service's workloads, of those without one too; none where no workload is known.
fn versions<'i>(
    input: &'i Input,
    service: Option<&'i Object<Service>>,
) -> impl Iterator<Item = Option<&'i str>> {
    let service = service.filter(|service| !service.spec.selector.is_empty());
    service.into_iter().flat_map(|service| {
        let namespace = service.metadata.namespace.as_str();
        let pods = input.snapshot.pods.in_namespace(namespace).map(|pod| &pod.metadata.labels);
        let makers = input.snapshot.deployments.in_namespace(namespace);
        let templates = makers.map(|maker| &maker.spec.template.metadata.labels);
        pods.chain(templates)
            .filter(|labels| has_all(labels, &service.spec.selector))
            .map(|labels| labels.get(VERSION).map(String::as_str))
    })
}

/// The number of the only port that the service of a host has.
pub(super) fn only_port(input: &Input, namespace: &str, host: &str) -> Option<u16> {
    let host = Hostname::resolve(host, namespace, &input.mesh.domain);
    match service_of(input, &host)?.spec.ports.as_slice() {
        [port] => Some(port.port),
        _ => None,
    }
}
