//! What is wrong with the families and addresses that a Service asks for, in Kubernetes' words.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::{PREFER, REQUIRE, SINGLE, V4, V6, family, is_headless, texts};
use crate::apiserver::error::Cause;

/// What is wrong with the fields by themselves and with each other.
pub(super) fn shape(spec: &Value) -> Vec<Cause> {
    if spec["type"] == "ExternalName" {
        return of_alias(spec);
    }
    let mut causes = Vec::new();
    first_address(spec, &mut causes);
    names(spec, &mut causes);
    addresses(spec, &mut causes);
    causes
}

/// A name for another host has no addresses.
fn of_alias(spec: &Value) -> Vec<Cause> {
    let is_set = |field: &str| match &spec[field] {
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    let fields = [
        ("clusterIPs", is_set("clusterIPs") || is_set("clusterIP")),
        ("ipFamilies", is_set("ipFamilies")),
        ("ipFamilyPolicy", is_set("ipFamilyPolicy")),
    ];
    let named = fields.into_iter().filter(|(_, is_set)| *is_set);
    named
        .map(|(field, _)| {
            Cause::forbidden(format!("spec.{field}"), "may not be set for ExternalName services")
        })
        .collect()
}

fn first_address(spec: &Value, causes: &mut Vec<Cause>) {
    let first = spec["clusterIP"].as_str().unwrap_or("");
    let Some(listed) = texts(spec, "clusterIPs").first().copied() else { return };
    if first.is_empty() {
        let detail = "must be empty when `clusterIP` is not specified";
        causes.push(Cause::invalid("spec.clusterIPs", &spec["clusterIPs"], detail));
    } else if listed != first {
        let detail = "first value must match `clusterIP`";
        causes.push(Cause::invalid("spec.clusterIPs", &spec["clusterIPs"], detail));
    }
}

fn names(spec: &Value, causes: &mut Vec<Cause>) {
    let mut seen = HashSet::new();
    for (at, name) in texts(spec, "ipFamilies").into_iter().enumerate() {
        let field = format!("spec.ipFamilies[{at}]");
        if ![V4, V6].contains(&name) {
            causes.push(Cause::not_supported(field.as_str(), &json!(name), &[V4, V6].map(str::to_owned)));
        }
        if !seen.insert(name) {
            causes.push(Cause::duplicate(field, &json!(name)));
        }
    }
    let policy = &spec["ipFamilyPolicy"];
    let known = [PREFER, REQUIRE, SINGLE];
    if !policy.is_null() && !known.iter().any(|known| policy == known) {
        causes.push(Cause::not_supported("spec.ipFamilyPolicy", policy, &known.map(str::to_owned)));
    }
}

fn addresses(spec: &Value, causes: &mut Vec<Cause>) {
    let listed = texts(spec, "clusterIPs");
    let all = &spec["clusterIPs"];
    if listed.len() > 2 {
        causes.push(Cause::invalid("spec.clusterIPs", all, "may only hold up to 2 values"));
    }
    let headless = listed.first() == Some(&"None");
    let mut wrong = Vec::new();
    if headless && listed.len() > 1 {
        wrong.push(Cause::invalid("spec.clusterIPs", all, "'None' must be the first and only value"));
    }
    let mut parsed: Vec<IpAddr> = Vec::new();
    for (at, text) in listed.iter().enumerate().skip(usize::from(headless)) {
        match text.parse() {
            Ok(address) => parsed.push(address),
            Err(_) => wrong.push(Cause::invalid(
                format!("spec.clusterIPs[{at}]"),
                &json!(text),
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            )),
        }
    }
    let readable = wrong.is_empty();
    causes.append(&mut wrong);
    // What is no address has no family.
    if !readable || headless {
        return;
    }
    let both = parsed.iter().any(IpAddr::is_ipv4) && parsed.iter().any(IpAddr::is_ipv6);
    if parsed.len() > 1 && !both {
        let detail = "may specify no more than one IP for each IP family";
        causes.push(Cause::invalid("spec.clusterIPs", all, detail));
    }
    for (at, (address, wanted)) in parsed.iter().zip(texts(spec, "ipFamilies")).enumerate() {
        if family(*address) != wanted && [V4, V6].contains(&wanted) {
            let detail = format!("expected an {wanted} value as indicated by `ipFamilies[{at}]`");
            causes.push(Cause::invalid(format!("spec.clusterIPs[{at}]"), &json!(listed[at]), &detail));
        }
    }
}

/// Whether the policy allows as many addresses and families as there are, and to have fewer than before.
pub(super) fn policy(spec: &Value, old: Option<&Value>) -> Vec<Cause> {
    let policy = &spec["ipFamilyPolicy"];
    let fields = [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")];
    let refused = |detail: String| Cause::invalid("spec.ipFamilyPolicy", policy, &detail);
    let wrong = fields.into_iter().filter_map(|(field, what)| {
        let (count, before) = (texts(spec, field).len(), old.map_or(0, |old| texts(old, field).len()));
        if policy == SINGLE && count == 2 {
            let many = if field == "clusterIPs" { "cluster IPs" } else { "IP families" };
            return Some(refused(format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple {many} are specified"
            )));
        }
        (policy != SINGLE && before == 2 && count == 1)
            .then(|| refused(format!("must be 'SingleStack' to release the secondary {what}")))
    });
    wrong.collect()
}

/// What only a cluster with two families has. `PreferDualStack` is content with one.
pub(super) fn one_family(spec: &Value) -> Vec<Cause> {
    let families = texts(spec, "ipFamilies");
    if let Some((at, other)) = families.into_iter().enumerate().find(|(_, family)| *family != V4) {
        let detail = "not configured on this cluster";
        return vec![Cause::invalid(format!("spec.ipFamilies[{at}]"), &json!(other), detail)];
    }
    if spec["ipFamilyPolicy"] == REQUIRE {
        let detail = "this cluster is not configured for dual-stack services";
        return vec![Cause::invalid("spec.ipFamilyPolicy", &spec["ipFamilyPolicy"], detail)];
    }
    Vec::new()
}

/// Addresses and their families stay what they are: `spec` may have one more or one fewer than `old`, behind the same first one. A headless
/// Service has no addresses, and its families may change.
pub(super) fn kept(spec: &Value, old: &Value) -> Vec<Cause> {
    let fields = ["clusterIPs", "ipFamilies"].into_iter().take(if is_headless(old) { 1 } else { 2 });
    fields.flat_map(|field| changed(spec, old, field)).collect()
}

fn changed(spec: &Value, old: &Value, field: &str) -> Vec<Cause> {
    let (before, after) = (texts(old, field), texts(spec, field));
    let compared = if before.len() == after.len() { before.len() } else { 1 };
    let pairs = before.iter().zip(&after).take(compared).enumerate();
    let refused =
        |at: usize| Cause::invalid(format!("spec.{field}[{at}]"), &spec[field], "may not change once set");
    pairs.filter(|(_, (old, new))| old != new).map(|(at, _)| refused(at)).collect()
}
