//! Which findings have a safe answer, and which.

use std::sync::Arc;

use sagene_api::istio::networking::VirtualService;

use super::edit::Edit;
use super::names;
use super::site::Site;
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;
use crate::path::{FieldPath, Step};
use crate::validation::{Problem, unreachable};
use crate::yaml::Arena;

/// Protocols that a port may say, longest first where one begins another.
const PROTOCOLS: &[&str] =
    &["https", "http2", "http", "grpc-web", "grpc", "tls", "tcp", "mongo", "mysql", "redis", "udp"];
const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const INJECT: &str = "sidecar.istio.io/inject";

/// An answer: what is done, in words and in edits.
pub(super) struct Answer {
    pub(super) description: String,
    pub(super) edits: Vec<Edit>,
    /// The file that changes, where it is not that of the finding's object.
    pub(super) file: Option<Arc<str>>,
}

fn answer(description: String, edit: Option<Edit>) -> Option<Answer> {
    Some(Answer { description, edits: vec![edit?], file: None })
}

/// The answer to a finding; `None` where there is no safe one.
pub(super) fn answer_to(input: &Input, message: &Message, site: &Site<'_>) -> Option<Answer> {
    match message.code {
        Code::ReferencedResourceNotFound => rename(input, message, site)
            .or_else(|| define_subset(input, message, site))
            .or_else(|| port(input, message, site)),
        Code::NamespaceNotInjected => inject(site),
        Code::PortNameIsNotUnderNamingConvention => protocol(message, site),
        Code::VirtualServiceIneffectiveMatch => duplicate(input, message, site),
        Code::VirtualServiceUnreachableRule => repeated(message, site),
        Code::Deprecated => successor(message, site).or_else(|| ignored(message, site)),
        Code::SchemaValidationError | Code::SchemaWarning => {
            repeated(message, site).or_else(|| field(message, site)).or_else(|| successor(message, site))
        }
        Code::DeprecatedAnnotation => label(message, site),
        Code::UnknownAnnotation => annotation(message, site),
        Code::NamespaceMultipleInjectionLabels => one_label(site),
        Code::UnknownDestinationRuleHost | Code::NoMatchingWorkloadsFound => rename(input, message, site),
        _ => None,
    }
}

/// A name with exactly one near match.
fn rename(input: &Input, message: &Message, site: &Site<'_>) -> Option<Answer> {
    let written = site.word(&message.path)?;
    let beside = message.path.parent()?.key("host");
    let meant = names::meant(input, message, written, site.word(&beside))?;
    answer(format!("{written:?} → {meant:?}"), site.replace(&message.path, &meant))
}

/// The subset that a route names, where the host has one DestinationRule and pods of that version.
fn define_subset(input: &Input, message: &Message, site: &Site<'_>) -> Option<Answer> {
    if message.path.steps().last() != Some(Step::Key("subset")) {
        return None;
    }
    let subset = site.scalar(&message.path)?;
    let host = site.scalar(&message.path.parent()?.key("host"))?;
    let (rule, label) = names::rule_that_lacks(input, &message.object.namespace, host, subset)?;
    let document = input.sources.get(&rule)?;
    let arena = Arena::new();
    let of_rule = Site::of(document, &arena)?;
    let lines = [format!("- name: {subset}"), "  labels:".to_owned(), format!("    {label}: {subset}")];
    // Names of subsets, as labels of DNS, need no escapes.
    let flow = |mark: &str| {
        let of = |word: &str| format!("{mark}{word}{mark}");
        let (name, labels, own, key) = (of("name"), of("labels"), of(subset), of(label));
        format!("{{{name}: {own}, {labels}: {{{key}: {own}}}}}")
    };
    let edit = of_rule.append(&FieldPath::parse("spec.subsets"), &lines, flow)?;
    let description = format!("subset {subset} in DestinationRule {}", rule.name);
    Some(Answer { description, edits: vec![edit], file: Some(document.file.name.clone()) })
}

/// The only port of the service that a route names another port of.
fn port(input: &Input, message: &Message, site: &Site<'_>) -> Option<Answer> {
    if message.path.steps().last() != Some(Step::Key("number")) {
        return None;
    }
    let written = site.scalar(&message.path)?;
    let host = site.scalar(&message.path.parent()?.parent()?.key("host"))?;
    let only = names::only_port(input, &message.object.namespace, host)?.to_string();
    answer(format!("port {written} → {only}, the only one of {host}"), site.replace(&message.path, &only))
}

/// The label that enables injection.
fn inject(site: &Site<'_>) -> Option<Answer> {
    let labels = FieldPath::parse("metadata.labels");
    let name = FieldPath::parse("metadata.name");
    let edit = match site.anchor(&labels) {
        Some(anchor) => site.insert_after(&anchor, INJECTION, "enabled"),
        None if site.has(&labels) => site.fill(&labels, INJECTION, "enabled"),
        None => site.insert_map_after(&name, "labels", INJECTION, "enabled"),
    };
    answer(format!("label {INJECTION}: enabled"), edit)
}

/// Of two labels that contradict each other the one without effect.
fn one_label(site: &Site<'_>) -> Option<Answer> {
    let labels = FieldPath::parse("metadata.labels");
    site.scalar(&labels.key(INJECTION))?;
    answer(
        format!("without label {REVISION}, which {INJECTION} overrides"),
        site.remove(&labels.key(REVISION)),
    )
}

/// `appProtocol` for a port whose name says a protocol in another way than Istio reads it.
fn protocol(message: &Message, site: &Site<'_>) -> Option<Answer> {
    let port = message.path.parent()?;
    let name = site.scalar(&port.key("name"))?.to_ascii_lowercase();
    if site.has(&port.key("appProtocol")) {
        return None;
    }
    let mut words = name.split(['-', '_', '.']);
    let by_word = words.find_map(|word| PROTOCOLS.iter().find(|protocol| **protocol == word));
    let by_beginning = || PROTOCOLS.iter().find(|protocol| name.starts_with(**protocol));
    let protocol = by_word.or_else(by_beginning).filter(|protocol| **protocol != "udp")?;
    answer(format!("appProtocol: {protocol}"), site.insert_after(&port.key("name"), "appProtocol", protocol))
}

/// A condition that an earlier route of the same conditions has already. One of a route has to stay: without any it takes everything.
fn duplicate(input: &Input, message: &Message, site: &Site<'_>) -> Option<Answer> {
    let list = message.path.parent()?;
    let object = &message.object;
    let service = input.snapshot.get::<VirtualService>(&object.namespace, &object.name)?;
    let is_beside = |problem: &Problem| problem.path.parent().as_ref() == Some(&list);
    let gone = unreachable(&service.spec).into_iter().filter(is_beside).count();
    if !matches!(message.path.steps().last(), Some(Step::Index(_))) || site.length(&list) <= gone {
        return None;
    }
    answer(format!("without {}, which never applies", message.path), site.remove_item(&message.path))
}

/// An element of a list that is the same as one before it.
fn repeated(message: &Message, site: &Site<'_>) -> Option<Answer> {
    let path = &message.path;
    let element = match path.steps().last()? {
        Step::Index(_) => path.clone(),
        Step::Key(_) => path.parent()?,
    };
    if !site.repeats(&element) {
        return None;
    }
    answer(format!("without {element}, which stands there before"), site.remove_item(&element))
}

/// The name of the field, or the word, that an unknown one was meant to be, as the finding says.
fn field(message: &Message, site: &Site<'_>) -> Option<Answer> {
    let path = &message.path;
    let (before, rest) = message.text.rsplit_once("; did you mean \"")?;
    let meant = rest.strip_suffix("\"?")?;
    if let Some(Step::Key(written)) = path.steps().last()
        && before.ends_with(&format!("unknown field {written:?}"))
    {
        let is_there = site.has(&path.parent()?.key(meant));
        return if is_there {
            None
        } else {
            answer(format!("{written} → {meant}"), site.rename(path, meant))
        };
    }
    let written =
        site.scalar(path).filter(|written| before.contains(&format!("{written:?} is not one of ")))?;
    answer(format!("{written:?} → {meant:?}"), site.replace(path, meant))
}

/// A field that has no effect any more.
fn ignored(message: &Message, site: &Site<'_>) -> Option<Answer> {
    if message.path.steps().last() != Some(Step::Key("egressProxy")) {
        return None;
    }
    answer(format!("without {}, which is ignored", message.path), site.remove_entry(&message.path))
}

/// The label that took the place of an annotation.
fn label(message: &Message, site: &Site<'_>) -> Option<Answer> {
    if message.path.steps().last() != Some(Step::Key(INJECT)) {
        return None;
    }
    let value = site.scalar(&message.path).filter(|value| ["true", "false"].contains(value))?;
    let annotations = message.path.parent()?;
    let metadata = annotations.parent()?;
    let labels = metadata.key("labels");
    let added = match site.anchor(&labels) {
        Some(anchor) => site.insert_after(&anchor, INJECT, value),
        None if site.has(&labels) => site.fill(&labels, INJECT, value),
        None => site.insert_map_after(&metadata.key("name"), "labels", INJECT, value),
    }?;
    let gone = site.remove_entry(&message.path).or_else(|| site.remove_entry(&annotations))?;
    if added.meets(&gone) {
        return None;
    }
    Some(Answer {
        description: format!("label {INJECT} in place of the annotation"),
        edits: vec![added, gone],
        file: None,
    })
}

/// The field that took the place of a deprecated one.
fn successor(message: &Message, site: &Site<'_>) -> Option<Answer> {
    let path = &message.path;
    let Some(Step::Key(key)) = path.steps().last() else { return None };
    let holder = path.parent()?;
    let (new, within) = match key {
        "percent" => ("percentage", "value"),
        "mirrorPercent" | "mirror_percent" => ("mirrorPercentage", "value"),
        "minimumRingSize" => ("ringHash", "minimumRingSize"),
        _ => return None,
    };
    let value = site.scalar(path)?;
    if site.has(&holder.key(new)) || value.parse::<u32>().is_err() {
        return None;
    }
    answer(format!("{new} in place of {key}"), site.replace_entry(path, new, within, value))
}

/// An annotation's name with exactly one near match.
fn annotation(message: &Message, site: &Site<'_>) -> Option<Answer> {
    let Some(Step::Key(written)) = message.path.steps().last() else { return None };
    let meant = crate::near::nearest(written, &crate::checks::annotations::names())?;
    if site.has(&message.path.parent()?.key(meant)) {
        return None;
    }
    answer(format!("{written} → {meant}"), site.rename(&message.path, meant))
}
