//! RBAC: what a user may do, by the roles bound to the user and the user's groups.

use std::sync::Arc;

use serde_json::Value;

use super::actor::Actor;
use super::error::ApiError;
use super::operations::Operations;
use super::selector::LabelSelector;

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    /// Set for requests that are not about resources.
    pub(crate) path: String,
}

impl Operations {
    /// Whether RBAC allows it; `system:masters` may do everything.
    pub(crate) fn allowed(&self, actor: &Actor, wanted: &Attributes) -> bool {
        actor.is_master()
            || self.rules_of(actor, &wanted.namespace).iter().any(|rule| rule_allows(rule, wanted))
    }

    /// Error: 403 with Kubernetes' text.
    pub(crate) fn authorize(&self, actor: &Actor, wanted: &Attributes) -> Result<(), ApiError> {
        if self.allowed(actor, wanted) {
            return Ok(());
        }
        let user = &actor.name;
        if !wanted.path.is_empty() {
            let message = format!("forbidden: User {user:?} cannot {} path {:?}", wanted.verb, wanted.path);
            return Err(ApiError::new(403, "Forbidden", message));
        }
        let resource = if wanted.subresource.is_empty() {
            wanted.resource.clone()
        } else {
            format!("{}/{}", wanted.resource, wanted.subresource)
        };
        let shown = if wanted.group.is_empty() {
            wanted.resource.clone()
        } else {
            format!("{}.{}", wanted.resource, wanted.group)
        };
        let place = if wanted.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", wanted.namespace)
        };
        let named = if wanted.name.is_empty() { String::new() } else { format!(" {:?}", wanted.name) };
        let message = format!(
            "{shown}{named} is forbidden: User {user:?} cannot {} resource {resource:?} in API group {:?} {place}",
            wanted.verb, wanted.group
        );
        let mut error = ApiError::new(403, "Forbidden", message);
        error.details.group = wanted.group.clone();
        error.details.kind = wanted.resource.clone();
        error.details.name = wanted.name.clone();
        Err(error)
    }

    /// Every rule that is bound to the user in a namespace (`""`: cluster-wide only).
    pub(crate) fn rules_of(&self, actor: &Actor, namespace: &str) -> Vec<Value> {
        let mut rules = Vec::new();
        for binding in self.store.list("rbac.authorization.k8s.io/clusterrolebindings", "").0 {
            self.add_rules(actor, &binding, "", &mut rules);
        }
        if !namespace.is_empty() {
            for binding in self.store.list("rbac.authorization.k8s.io/rolebindings", namespace).0 {
                self.add_rules(actor, &binding, namespace, &mut rules);
            }
        }
        rules
    }

    fn add_rules(&self, actor: &Actor, binding: &Arc<Value>, namespace: &str, rules: &mut Vec<Value>) {
        let subjects = binding["subjects"].as_array();
        if !subjects.into_iter().flatten().any(|subject| is_subject(actor, subject, namespace)) {
            return;
        }
        let reference = &binding["roleRef"];
        let name = reference["name"].as_str().unwrap_or("");
        let role = match reference["kind"].as_str() {
            Some("ClusterRole") => self.find("rbac.authorization.k8s.io", "clusterroles", "", name),
            Some("Role") => self.find("rbac.authorization.k8s.io", "roles", namespace, name),
            _ => None,
        };
        if let Some(role) = role {
            rules.extend(role["rules"].as_array().into_iter().flatten().cloned());
            self.add_aggregated(&role, rules);
        }
    }

    /// The rules of the ClusterRoles that an `aggregationRule` selects.
    fn add_aggregated(&self, role: &Value, rules: &mut Vec<Value>) {
        let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array();
        let selectors: Vec<_> = selectors.into_iter().flatten().map(LabelSelector::from_object).collect();
        if selectors.is_empty() {
            return;
        }
        for other in self.store.list("rbac.authorization.k8s.io/clusterroles", "").0 {
            if selectors.iter().any(|selector| selector.matches(&other["metadata"]["labels"])) {
                rules.extend(other["rules"].as_array().into_iter().flatten().cloned());
            }
        }
    }
}

fn is_subject(actor: &Actor, subject: &Value, namespace: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or("");
    match subject["kind"].as_str() {
        Some("User") => actor.name == name,
        Some("Group") => actor.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let of = subject["namespace"].as_str().unwrap_or(namespace);
            actor.service_account() == Some((of, name))
        }
        _ => false,
    }
}

fn rule_allows(rule: &Value, wanted: &Attributes) -> bool {
    let lists = |field: &str, matches: &dyn Fn(&str) -> bool| {
        rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).any(matches)
    };
    if !lists("verbs", &|verb| verb == "*" || verb == wanted.verb) {
        return false;
    }
    if !wanted.path.is_empty() {
        let covers = |pattern: &str| {
            pattern == wanted.path
                || pattern.strip_suffix('*').is_some_and(|prefix| wanted.path.starts_with(prefix))
        };
        return lists("nonResourceURLs", &covers);
    }
    let combined = format!("{}/{}", wanted.resource, wanted.subresource);
    let resource_matches = |one: &str| match one {
        "*" => true,
        one if wanted.subresource.is_empty() => one == wanted.resource,
        one => {
            one == combined
                || one.strip_prefix("*/").is_some_and(|subresource| subresource == wanted.subresource)
        }
    };
    let named = rule["resourceNames"].as_array().is_none_or(Vec::is_empty)
        || lists("resourceNames", &|name| name == wanted.name);
    lists("apiGroups", &|group| group == "*" || group == wanted.group)
        && lists("resources", &resource_matches)
        && named
}
