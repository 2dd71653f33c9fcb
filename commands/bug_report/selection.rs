//! Which pods and containers: `namespaces/deployments/pods/label=value/annotation=value/containers`, every part a list with commas, an
//! empty one for all, `*` for any text.

use serde::Deserialize;
use serde_json::Value;

use crate::exit::Failure;
use crate::kubernetes::text;

/// One specification; a container has to fit every part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Selection {
    namespaces: Vec<String>,
    deployments: Vec<String>,
    daemonsets: Vec<String>,
    pods: Vec<String>,
    containers: Vec<String>,
    labels: std::collections::BTreeMap<String, String>,
    annotations: std::collections::BTreeMap<String, String>,
}

impl Selection {
    /// Reads a specification.
    pub(super) fn parse(specification: &str) -> Result<Self, Failure> {
        let parts: Vec<&str> = specification.split('/').collect();
        if parts.len() > 6 {
            return Err(Failure::usage(format!("{specification:?} has more than six parts")).hint(
                "the form is namespaces/deployments/pods/label=value/annotation=value/containers, as in default,shop//reviews-*",
            ));
        }
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        let list = |index: usize| -> Vec<String> {
            part(index).split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let pairs = |index: usize| {
            let pair = |entry: String| match entry.split_once('=') {
                Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
                None => Err(Failure::usage(format!("{entry:?} in {specification:?} is not key=value"))),
            };
            list(index).into_iter().map(pair).collect::<Result<_, Failure>>()
        };
        Ok(Self {
            namespaces: list(0),
            deployments: list(1),
            daemonsets: Vec::new(),
            pods: list(2),
            labels: pairs(3)?,
            annotations: pairs(4)?,
            containers: list(5),
        })
    }

    fn fits_pod(&self, pod: &Value) -> bool {
        let (kind, owner) = owner(pod);
        let workload = (self.deployments.is_empty() && self.daemonsets.is_empty())
            || kind != "DaemonSet" && !self.deployments.is_empty() && any(&self.deployments, &owner)
            || kind == "DaemonSet" && !self.daemonsets.is_empty() && any(&self.daemonsets, &owner);
        workload
            && any(&self.namespaces, text(pod, "/metadata/namespace"))
            && any(&self.pods, text(pod, "/metadata/name"))
            && all(&self.labels, &pod["metadata"]["labels"])
            && all(&self.annotations, &pod["metadata"]["annotations"])
    }

    /// Whether a container of a pod fits.
    pub(super) fn fits(&self, pod: &Value, container: &str) -> bool {
        self.fits_pod(pod) && any(&self.containers, container)
    }
}

/// The workload that a pod belongs to: its kind and name. A ReplicaSet's name ends in the hash of its template.
fn owner(pod: &Value) -> (&str, String) {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let owner = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
    let Some(owner) = owner else { return ("", String::new()) };
    let name = text(owner, "/name");
    match text(owner, "/kind") {
        "ReplicaSet" => ("Deployment", name.rsplit_once('-').map_or(name, |(name, _)| name).to_owned()),
        kind => (kind, name.to_owned()),
    }
}

fn any(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, name))
}

fn all(wanted: &std::collections::BTreeMap<String, String>, given: &Value) -> bool {
    wanted.iter().all(|(key, pattern)| {
        given.get(key).and_then(Value::as_str).is_some_and(|value| glob(pattern, value))
    })
}

/// Whether the whole of `name` is as `pattern` says, `*` being any text.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("*b*b", "b", false),
            ("a*a", "a", false),
            ("*x*", "axb", true),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn every_part_has_to_fit() {
        let pod = json!({"metadata": {"namespace": "shop", "name": "reviews-v1-5f-x", "labels": {"app": "reviews"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "reviews-v1-5f", "controller": true}]}});
        for (specification, fits) in [
            ("", true),
            ("shop,other", true),
            ("other", false),
            ("shop/reviews-v1", true),
            ("shop/reviews-v2", false),
            ("//reviews-*", true),
            ("///app=rev*", true),
            ("///app=ratings", false),
            ("////note=x", false),
            ("/////istio-proxy", true),
            ("/////app", false),
        ] {
            let selection = Selection::parse(specification).expect(specification);
            assert_eq!(selection.fits(&pod, "istio-proxy"), fits, "{specification}");
        }
        assert!(Selection::parse("a/b/c/d").is_err() && Selection::parse("a/b/c///f/g").is_err());
    }
}
