//! `kubectl create role`, `clusterrole`, `rolebinding` and `clusterrolebinding`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::super::session::{Session, error};
use super::Making;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::Resource;
use crate::output;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Verbs of requests for objects; others are taken with a warning, as kubectl does.
const VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];

/// Verbs of requests for paths.
const PATH_VERBS: [&str; 8] = ["*", "get", "post", "put", "delete", "patch", "head", "options"];

#[derive(Debug, Args)]
pub(super) struct Role {
    /// Its name
    name: String,
    #[command(flatten)]
    rights: Rights,
    #[command(flatten)]
    making: Making,
}

#[derive(Debug, Args)]
pub(super) struct ClusterRole {
    /// Its name
    name: String,
    #[command(flatten)]
    rights: Rights,
    /// Path that the verbs are for, such as /metrics or /logs/*; may be repeated
    #[arg(long = "non-resource-url", value_name = "PATH", value_delimiter = ',')]
    paths: Vec<String>,
    /// Made of the ClusterRoles with this label, instead of verbs and resources; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    aggregation_rule: Vec<String>,
    #[command(flatten)]
    making: Making,
}

/// Who may do what with which objects.
#[derive(Debug, Args)]
struct Rights {
    /// get, list, create, … or *; may be repeated
    #[arg(long = "verb", value_name = "VERB", value_delimiter = ',')]
    verbs: Vec<String>,
    /// TYPE, TYPE.GROUP or either with /SUBRESOURCE; may be repeated
    #[arg(long = "resource", value_name = "TYPE", value_delimiter = ',')]
    resources: Vec<String>,
    /// Only the object of this name; may be repeated
    #[arg(long = "resource-name", value_name = "NAME")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct RoleBinding {
    /// Its name
    name: String,
    /// Role whose rights it gives
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// ClusterRole whose rights it gives, in its namespace
    #[arg(long, value_name = "NAME")]
    clusterrole: Option<String>,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    making: Making,
}

#[derive(Debug, Args)]
pub(super) struct ClusterRoleBinding {
    /// Its name
    name: String,
    /// ClusterRole whose rights it gives
    #[arg(long, value_name = "NAME")]
    clusterrole: String,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    making: Making,
}

/// Whom a binding gives rights.
#[derive(Debug, Args)]
struct Subjects {
    /// A user; may be repeated
    #[arg(long = "user", value_name = "NAME", value_delimiter = ',')]
    users: Vec<String>,
    /// A group; may be repeated
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',')]
    groups: Vec<String>,
    /// A service account; may be repeated
    #[arg(long = "serviceaccount", value_name = "NAMESPACE:NAME", value_delimiter = ',')]
    accounts: Vec<String>,
}

impl Role {
    pub(super) async fn create(&self, session: &Session) -> Outcome {
        let rules = self.rights.rules(session).await?;
        make(session, &self.making, "Role", &self.name, json!({"rules": rules})).await
    }
}

impl ClusterRole {
    pub(super) async fn create(&self, session: &Session) -> Outcome {
        let body = self.body(session).await?;
        make(session, &self.making, "ClusterRole", &self.name, body).await
    }

    async fn body(&self, session: &Session) -> Result<Value, Failure> {
        let rights = &self.rights;
        if !self.aggregation_rule.is_empty() {
            let others = [&self.paths, &rights.verbs, &rights.resources, &rights.names];
            if others.iter().any(|given| !given.is_empty()) {
                return Err(error(
                    "aggregation rule must be specified without nonResourceURLs, verbs, resources or resourceNames",
                ));
            }
            let mut labels = serde_json::Map::new();
            for pair in &self.aggregation_rule {
                let (key, value) = pair.split_once('=').ok_or_else(|| {
                    error(format!("invalid aggregation rule {pair:?}: write it as KEY=VALUE"))
                })?;
                labels.insert(key.to_owned(), json!(value));
            }
            let selectors = json!([{"matchLabels": labels}]);
            return Ok(json!({"aggregationRule": {"clusterRoleSelectors": selectors}, "rules": []}));
        }
        if self.paths.is_empty() {
            return Ok(json!({"rules": rights.rules(session).await?}));
        }
        let verbs = rights.verbs()?;
        let mut rules = Vec::new();
        if !rights.resources.is_empty() {
            rules = rights.rules(session).await?;
        } else if !rights.names.is_empty() {
            return Err(error("at least one resource must be specified for the resource names"));
        }
        if let Some(verb) = verbs.iter().find(|verb| !PATH_VERBS.contains(verb)) {
            return Err(error(format!("invalid verb: '{verb}' for nonResourceURL")));
        }
        for path in &self.paths {
            check_path(path)?;
        }
        rules.push(json!({"verbs": verbs, "nonResourceURLs": self.paths}));
        Ok(json!({"rules": rules}))
    }
}

impl Rights {
    /// The verbs, each once; `*` stands for all of them.
    fn verbs(&self) -> Result<Vec<&str>, Failure> {
        if self.verbs.iter().any(|verb| verb == "*") {
            return Ok(vec!["*"]);
        }
        let mut verbs: Vec<&str> = Vec::new();
        for verb in self.verbs.iter().map(|verb| verb.trim()).filter(|verb| !verb.is_empty()) {
            if !verbs.contains(&verb) {
                verbs.push(verb);
            }
        }
        if verbs.is_empty() { Err(error("at least one verb must be specified")) } else { Ok(verbs) }
    }

    /// One rule for each group, with the types by their plural names.
    async fn rules(&self, session: &Session) -> Result<Vec<Value>, Failure> {
        let verbs = self.verbs()?;
        if self.resources.is_empty() {
            return Err(error("at least one resource must be specified"));
        }
        for verb in verbs.iter().filter(|verb| !VERBS.contains(verb)) {
            output::progress(&format!("Warning: '{verb}' is not a standard resource verb"));
        }
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for written in &self.resources {
            let (kind, subresource) = written.split_once('/').unwrap_or((written, ""));
            if kind.is_empty() {
                return Err(error("resource must be specified if apiGroup/subresource specified"));
            }
            let (group, plural) = resolved(session, kind).await?;
            if let Some(verb) = verbs.iter().find(|verb| !is_possible(verb, &group, &plural)) {
                return Err(error(format!("can not perform '{verb}' on '{plural}' in group '{group}'")));
            }
            let named = if subresource.is_empty() { plural } else { format!("{plural}/{subresource}") };
            let resources = groups.entry(group).or_default();
            if !resources.contains(&named) {
                resources.push(named);
            }
        }
        // It stands for all others of its group.
        for resources in groups.values_mut().filter(|resources| resources.iter().any(|one| one == "*")) {
            resources.retain(|one| one == "*");
        }
        let rule = |(group, resources)| {
            let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
            if !self.names.is_empty() {
                rule["resourceNames"] = json!(self.names);
            }
            rule
        };
        Ok(groups.into_iter().map(rule).collect())
    }
}

/// Group and plural of a type. `*` is all of a group, `users` and `groups` are types that no server lists.
async fn resolved(session: &Session, kind: &str) -> Result<(String, String), Failure> {
    match kind.split_once('.').unwrap_or((kind, "")) {
        ("*", group) => Ok((group.to_owned(), "*".to_owned())),
        (kind @ ("users" | "groups"), "") => Ok((String::new(), kind.to_owned())),
        _ => {
            let resource = session.resource(kind).await?;
            Ok((resource.group, resource.plural))
        }
    }
}

/// Whether a verb that few types know can be meant for this one.
fn is_possible(verb: &str, group: &str, plural: &str) -> bool {
    match verb {
        "bind" | "escalate" => group == GROUP && matches!(plural, "roles" | "clusterroles" | "*"),
        "impersonate" => {
            matches!((group, plural), ("", "users" | "groups" | "serviceaccounts" | "*"))
        }
        _ => true,
    }
}

impl RoleBinding {
    pub(super) async fn create(&self, session: &Session) -> Outcome {
        let role = match (&self.role, &self.clusterrole) {
            (Some(role), None) => reference("Role", role),
            (None, Some(role)) => reference("ClusterRole", role),
            _ => return Err(error("exactly one of clusterrole or role must be specified")),
        };
        let body = json!({"roleRef": role, "subjects": self.subjects.list()?});
        make(session, &self.making, "RoleBinding", &self.name, body).await
    }
}

impl ClusterRoleBinding {
    pub(super) async fn create(&self, session: &Session) -> Outcome {
        let role = reference("ClusterRole", &self.clusterrole);
        let body = json!({"roleRef": role, "subjects": self.subjects.list()?});
        make(session, &self.making, "ClusterRoleBinding", &self.name, body).await
    }
}

impl Subjects {
    fn list(&self) -> Result<Vec<Value>, Failure> {
        let named = |kind: &'static str, names: &[String]| {
            let subject = move |name: &String| json!({"kind": kind, "apiGroup": GROUP, "name": name});
            names.iter().map(subject).collect::<Vec<_>>()
        };
        let mut subjects = named("User", &self.users);
        subjects.extend(named("Group", &self.groups));
        for account in &self.accounts {
            let (namespace, name) = account
                .split_once(':')
                .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
                .ok_or_else(|| error("serviceaccount must be <namespace>:<name>"))?;
            subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
        }
        Ok(subjects)
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({"apiGroup": GROUP, "kind": kind, "name": name})
}

/// A path is `*` or begins with `/`, and an asterisk is its last step alone.
fn check_path(path: &str) -> Result<(), Failure> {
    if path != "*" && !path.starts_with('/') {
        return Err(error("nonResourceURL should start with /"));
    }
    match path.strip_suffix('*').unwrap_or(path).contains('*') {
        true => Err(error("nonResourceURL only supports wildcard matches when '*' is at the end")),
        false => Ok(()),
    }
}

async fn make(session: &Session, making: &Making, kind: &str, name: &str, body: Value) -> Outcome {
    let plural = format!("{}s", kind.to_lowercase());
    let resource = Resource::known(GROUP, "v1", kind, &plural, !kind.starts_with("Cluster"));
    let mut object = json!({"apiVersion": resource.api_version(), "kind": kind, "metadata": {"name": name}});
    for (key, value) in body.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    making.create(session, &resource, object, "created").await?;
    Ok(Exit::Success)
}
