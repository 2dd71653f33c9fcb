//! Statuses of configuration: what the Gateway API demands of its objects, and on Istio's whether they are in force as written.
//!
//! Only what differs from what was written last is looked at; a condition keeps the time at which its status last changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use sagene_base::{
    backoff::{Backoff, BackoffPolicy},
    task::error_chain,
};
use sagene_model::Kind;
use sagene_store::{Feed, kubernetes::resource_of};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{gateways::Refused, leader::Leadership, references::Finder, refusals};
use crate::{discovery::Discovery, generate::not_yet_effective};

/// Type of the condition that says whether all fields of an object have their effect.
const EFFECTIVE: &str = "Effective";
/// Type of the condition that says whether the newest version is in force.
const RECONCILED: &str = "Reconciled";
/// Quiet time after a change, so that a row of changes is written once.
const QUIET: Duration = Duration::from_millis(200);
/// Looking at everything takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// Kind, namespace and name.
type Name = (Kind, String, String);

/// Keeps statuses right for as long as this replica leads.
pub(crate) async fn write(
    client: Client,
    discovery: Arc<Discovery>,
    mut feed: Feed,
    mut leadership: Leadership,
    mut refused_parameters: watch::Receiver<Refused>,
) {
    let mut indexed = discovery.indexed.subscribe();
    let mut refusals = discovery.refusals.subscribe();
    let mut written: BTreeMap<Name, Value> = BTreeMap::new();
    // Objects that may be others than those that were written, with the same names and nothing written.
    let mut other: BTreeSet<Name> = BTreeSet::new();
    let mut finder = Finder::default();
    let mut backoff = Backoff::new(BackoffPolicy::default());
    loop {
        let mut failed = false;
        let mut quiet = QUIET;
        if leadership.is_leader() && discovery.is_synced() {
            let began = Instant::now();
            let looked;
            (finder, looked) = looked_at(&discovery, finder).await;
            let Some(mut wanted) = looked else {
                backoff.wait().await;
                continue;
            };
            not_accepted(&mut wanted, &refused_parameters.borrow_and_update());
            quiet = quiet.max(began.elapsed() * SHARE);
            for (name, status) in &wanted {
                if written.get(name) == Some(status) && !other.contains(name) {
                    continue;
                }
                match patch(&client, name, status).await {
                    Ok(()) => {
                        other.remove(name);
                        written.insert(name.clone(), status.clone());
                    }
                    Err(error) => {
                        let (kind, namespace, object) = name;
                        debug!(kind = kind.name(), namespace, object, error = %error_chain(&error), "status not written");
                        failed = true;
                    }
                }
            }
            failed |= !clear(&client, &mut written, &wanted).await;
            other.retain(|name| wanted.contains_key(name));
        } else {
            written.clear();
        }
        if failed {
            backoff.wait().await;
        } else {
            backoff.reset();
            tokio::select! {
                changes = feed.changed() => {
                    let names = changes.contents().map(|it| (it.kind, it.namespace.clone(), it.name.clone()));
                    other.extend(names.filter(|name| written.contains_key(name)));
                }
                // The index follows the store, and may follow it late: only then is what it says of the change known.
                Ok(()) = indexed.changed() => {}
                Ok(()) = refusals.changed() => {}
                () = leadership.changed() => {}
                Ok(()) = refused_parameters.changed() => {}
            }
        }
        tokio::time::sleep(quiet).await;
    }
}

/// Gateways whose parameters cannot be used.
fn not_accepted(wanted: &mut BTreeMap<Name, Value>, refused: &Refused) {
    for ((namespace, name), problem) in refused {
        let status = wanted.get_mut(&(Kind::KubernetesGateway, namespace.clone(), name.clone()));
        let conditions = status.and_then(|status| status["conditions"].as_array_mut());
        if let Some(accepted) = conditions.into_iter().flatten().find(|one| one["type"] == "Accepted") {
            accepted["status"] = json!("False");
            accepted["reason"] = json!("InvalidParameters");
            accepted["message"] = json!(problem);
        }
    }
}

/// What was said about objects of which nothing is to be said any more.
async fn clear(client: &Client, written: &mut BTreeMap<Name, Value>, wanted: &BTreeMap<Name, Value>) -> bool {
    let stale: Vec<Name> = written.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
    let mut all = true;
    for name in stale {
        let istio = written.get(&name).is_some_and(of_istio);
        if !istio || patch(client, &name, &effective()).await.is_ok() {
            written.remove(&name);
        } else {
            all = false;
        }
    }
    all
}

fn of_istio(status: &Value) -> bool {
    let conditions = status["conditions"].as_array();
    conditions.is_some_and(|list| list.iter().any(|one| one["type"] == EFFECTIVE))
}

fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message})
}

fn istio_status(generation: i64, reconciled: &Value, effect: &Value) -> Value {
    json!({"observedGeneration": generation, "conditions": [reconciled, effect], "validationMessages": null})
}

fn effective() -> Value {
    let conditions = [RECONCILED, EFFECTIVE].map(|name| condition(name, "True", "", ""));
    json!({"conditions": conditions, "validationMessages": null})
}

/// What all statuses have to say; looking may take a while in a large mesh.
async fn looked_at(
    discovery: &Arc<Discovery>,
    mut finder: Finder,
) -> (Finder, Option<BTreeMap<Name, Value>>) {
    let discovery = discovery.clone();
    let look = move || {
        let wanted = wanted(&discovery, &mut finder);
        (finder, Some(wanted))
    };
    let looked = tokio::task::spawn_blocking(look).await;
    looked.inspect_err(|error| warn!(%error, "statuses not looked at")).unwrap_or_default()
}

fn wanted(discovery: &Discovery, finder: &mut Finder) -> BTreeMap<Name, Value> {
    let index = discovery.index.load_full();
    let mut wanted: BTreeMap<Name, Value> = BTreeMap::new();
    for report in index.statuses() {
        wanted.insert((report.kind, report.namespace.clone(), report.name.clone()), report.status.clone());
    }
    let mut parts: BTreeMap<Name, (i64, Vec<String>)> = BTreeMap::new();
    for one in not_yet_effective(&discovery.snapshot()) {
        let (_, parts) =
            parts.entry((one.kind, one.namespace, one.name)).or_insert((one.generation, Vec::new()));
        parts.push(format!("{}: {}", one.field, one.what));
    }
    for (name, (generation, parts)) in parts {
        // The Gateway API's own objects say the same in their own words.
        let message = parts.join("; ");
        let effect = condition(EFFECTIVE, "False", "NotYetImplemented", &message);
        let status = istio_status(generation, &condition(RECONCILED, "True", "", ""), &effect);
        wanted.entry(name).or_insert(status);
    }
    for (name, unresolved) in finder.unresolved(discovery) {
        let effect =
            condition(EFFECTIVE, "False", "ReferencedResourceNotFound", &unresolved.messages.join("; "));
        let reconciled = condition(RECONCILED, "True", "", "");
        let mut status = istio_status(unresolved.generation, &reconciled, &effect);
        status["validationMessages"] = Value::Array(unresolved.validation);
        wanted.insert(name, status);
    }
    for ((namespace, name), refusal) in refusals::of_envoy_filters(discovery) {
        let message = refusal.told();
        let conditions =
            [RECONCILED, EFFECTIVE].map(|name| condition(name, "False", "RefusedByProxy", &message));
        let status = istio_status(refusal.generation, &conditions[0], &conditions[1]);
        wanted.insert((Kind::EnvoyFilter, namespace, name), status);
    }
    for one in discovery.store.rejected() {
        let kept = if one.last_good { "the last good version stays in force" } else { "it has no effect" };
        let message = format!("{}; {kept}", one.message);
        let conditions = [RECONCILED, EFFECTIVE].map(|name| condition(name, "False", "Invalid", &message));
        let status = istio_status(one.generation, &conditions[0], &conditions[1]);
        wanted.insert((one.kind, one.namespace, one.name), status);
    }
    wanted
}

/// What is not in force as written, for the debug view `conditionz`: kind, namespace, name and the condition's message.
pub(crate) fn ineffective(discovery: &Discovery) -> Value {
    let entry = |((kind, namespace, name), status): (Name, Value)| {
        let mut conditions = status["conditions"].as_array()?.iter();
        let effect = conditions.find(|one| one["type"] == EFFECTIVE && one["status"] == "False")?;
        let message = effect["message"].clone();
        Some(json!({"kind": kind.name(), "namespace": namespace, "name": name, "message": message}))
    };
    wanted(discovery, &mut Finder::default()).into_iter().filter_map(entry).collect()
}

async fn patch(client: &Client, (kind, namespace, name): &Name, wanted: &Value) -> Result<(), kube::Error> {
    let resource = resource_of(*kind);
    let api: Api<DynamicObject> = match namespace.as_str() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    // Gone by now: nothing is to be said about it.
    let Some(current) = api.get_opt(name).await? else { return Ok(()) };
    let before = current.data.get("status").cloned().unwrap_or_default();
    let mut status = wanted.clone();
    if of_istio(&status) && status.get("observedGeneration").is_none() {
        status["observedGeneration"] = json!(current.metadata.generation.unwrap_or_default());
    }
    timed(&mut status, &before);
    if contains(&before, &status) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"status": status}));
    match api.patch_status(name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(refused)) if refused.code == 404 => Ok(()),
        Err(error) => {
            warn!(kind = kind.name(), namespace, name, error = %error_chain(&error), "status refused");
            Err(error)
        }
    }
}

/// True where `whole` says all that `part` says.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| match whole.get(key) {
                Some(known) => contains(known, value),
                // A patch with null takes away what is not there.
                None => value.is_null(),
            })
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(known, value)| contains(known, value))
        }
        (whole, part) => whole == part,
    }
}

/// Gives every condition the time since when it is so; conditions of others stay.
fn timed(status: &mut Value, before: &Value) {
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    stamp(status, before, &now);
    let others = before["conditions"].as_array().cloned().unwrap_or_default();
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        let known: Vec<Value> = conditions.iter().map(|one| one["type"].clone()).collect();
        conditions.extend(others.into_iter().filter(|one| !known.contains(&one["type"])));
    }
}

fn stamp(status: &mut Value, before: &Value, now: &str) {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        let known = before["conditions"].as_array();
        for condition in conditions {
            let same = known.and_then(|known| {
                known
                    .iter()
                    .find(|one| one["type"] == condition["type"] && one["status"] == condition["status"])
            });
            let since = same.map(|one| one["lastTransitionTime"].clone()).filter(Value::is_string);
            condition["lastTransitionTime"] = since.unwrap_or_else(|| json!(now));
        }
    }
    // Listeners and parents have conditions of their own.
    for (key, identity) in [("listeners", "name"), ("parents", "parentRef")] {
        let Some(entries) = status.get_mut(key).and_then(Value::as_array_mut) else { continue };
        for entry in entries {
            let known = before[key]
                .as_array()
                .and_then(|list| list.iter().find(|one| one[identity] == entry[identity]));
            stamp(entry, known.unwrap_or(&Value::Null), now);
        }
    }
}

#[cfg(test)]
mod tests;
