//! The address families of a Service: what it may ask for and what it gets, as Kubernetes' dual-stack rules say
//! (<https://kubernetes.io/docs/concepts/services-networking/dual-stack/>).
//!
//! `clusterIPs`, `ipFamilies` and `ipFamilyPolicy` are completed from each other; what is left to the caller is to hand out the addresses that
//! are missing.

mod check;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::apiserver::error::Cause;

pub(super) const V4: &str = "IPv4";
pub(super) const V6: &str = "IPv6";
const SINGLE: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";

/// Completes `spec`, which replaces `old` if that is given. Of a Service with addresses `ipFamilies` then has one entry for each it gets.
pub(super) fn settle(spec: &mut Value, old: Option<&Value>, dual_stack: bool) -> Result<(), Vec<Cause>> {
    if spec["type"] == "ExternalName" {
        if spec["clusterIP"] == ""
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove("clusterIP");
        }
        let causes = check::shape(spec);
        return if causes.is_empty() { Ok(()) } else { Err(causes) };
    }
    if let Some(old) = old {
        inherit(spec, old);
    }
    agree(spec, old);
    // Only a change of the policy or of the families changes a Service that prefers both: a cluster that gets a second one leaves it alone.
    if old.is_some_and(|old| spec["ipFamilyPolicy"] == PREFER && is_same(spec, old)) {
        return Ok(());
    }
    if let Some(old) = old.filter(|_| spec["ipFamilyPolicy"] == SINGLE) {
        release_second(spec, old);
    }
    let mut causes = check::shape(spec);
    if causes.is_empty() {
        causes = complete(spec, old, dual_stack);
    }
    if causes.is_empty() { Ok(()) } else { Err(causes) }
}

/// Whether the Service has no address of its own.
pub(super) fn is_headless(spec: &Value) -> bool {
    spec["clusterIP"] == "None"
}

pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { V4 } else { V6 }
}

/// The entries of a list of texts.
pub(super) fn texts<'a>(spec: &'a Value, field: &str) -> Vec<&'a str> {
    spec[field].as_array().into_iter().flatten().map(|text| text.as_str().unwrap_or("")).collect()
}

/// An update that empties the addresses keeps them.
fn inherit(spec: &mut Value, old: &Value) {
    if spec["clusterIP"].as_str().is_none_or(str::is_empty) && !old["clusterIP"].is_null() {
        spec["clusterIP"] = old["clusterIP"].clone();
    }
    if texts(spec, "clusterIPs").is_empty() && spec["clusterIP"] == old["clusterIP"] {
        spec["clusterIPs"] = old["clusterIPs"].clone();
    }
}

/// Whoever writes `clusterIP` alone means `clusterIPs`, too.
fn agree(spec: &mut Value, old: Option<&Value>) {
    let Some(first) = spec["clusterIP"].as_str().filter(|address| !address.is_empty()) else { return };
    let stale = match old {
        None => texts(spec, "clusterIPs").is_empty(),
        Some(old) => spec["clusterIP"] != old["clusterIP"] && spec["clusterIPs"] == old["clusterIPs"],
    };
    if stale || texts(spec, "clusterIPs").is_empty() {
        spec["clusterIPs"] = json!([first]);
    }
}

fn is_same(spec: &Value, old: &Value) -> bool {
    ["type", "clusterIPs", "ipFamilies", "ipFamilyPolicy"].iter().all(|field| spec[field] == old[field])
}

/// `SingleStack` alone is enough to give the second family up.
fn release_second(spec: &mut Value, old: &Value) {
    for field in ["clusterIPs", "ipFamilies"] {
        if spec[field] == old[field]
            && let Some(list) = spec[field].as_array_mut()
        {
            list.truncate(1);
        }
    }
}

fn complete(spec: &mut Value, old: Option<&Value>, dual_stack: bool) -> Vec<Cause> {
    let selects = spec["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    // It belongs to whoever writes its endpoints, of either family.
    let open = is_headless(spec) && !selects;
    if spec["ipFamilyPolicy"].is_null() {
        spec["ipFamilyPolicy"] = json!(if open { REQUIRE } else { SINGLE });
    }
    let mut causes = check::policy(spec, old);
    if causes.is_empty() && !open && !dual_stack {
        causes = check::one_family(spec);
    }
    if !causes.is_empty() {
        return causes;
    }
    let mut families: Vec<String> = texts(spec, "ipFamilies").into_iter().map(str::to_owned).collect();
    let addresses = texts(spec, "clusterIPs");
    let further = addresses.iter().skip(families.len()).filter_map(|address| address.parse().ok());
    families.extend(further.map(|address| family(address).to_owned()));
    if families.is_empty() {
        families.push(V4.to_owned());
    }
    if families.len() == 1 && spec["ipFamilyPolicy"] != SINGLE && (dual_stack || open) {
        families.push(if families[0] == V4 { V6 } else { V4 }.to_owned());
    }
    spec["ipFamilies"] = json!(families);
    old.map(|old| check::kept(spec, old)).unwrap_or_default()
}
