//! What a command line speaks of: `pods`, `pod x y`, `deploy/x svc/y`, `pods,services`, files.

use serde_json::Value;

use super::manifests;
use super::session::{Session, error};
use crate::exit::Failure;
use crate::files;
use crate::kubernetes::{Resource, kubectl_failure, text};

/// One type and, if named, one object of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) name: Option<String>,
}

/// Resolves positional arguments.
pub(super) async fn parse(session: &Session, arguments: &[String]) -> Result<Vec<Target>, Failure> {
    let Some(first) = arguments.first() else {
        return Err(error("You must specify the type of resource to get."));
    };
    // The address of an object without a name is that of all objects.
    if arguments.iter().any(|argument| argument.is_empty() || argument.ends_with('/')) {
        return Err(error("resource name may not be empty"));
    }
    let mut targets = Vec::new();
    if first.contains('/') {
        for argument in arguments {
            let Some((kind, name)) = argument.split_once('/') else {
                return Err(error(
                    "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form",
                ));
            };
            targets.push(Target { resource: session.resource(kind).await?, name: Some(name.to_owned()) });
        }
        return Ok(targets);
    }
    for kind in first.split(',').filter(|kind| !kind.is_empty()) {
        let discovery = session.discovery().await?;
        // `all`, `istio-io`: a name of several types, unless one is called so itself.
        let of_category = if discovery.named(kind).is_none() { discovery.category(kind) } else { Vec::new() };
        let resources = match of_category.as_slice() {
            [] => vec![session.resource(kind).await?],
            types => types.iter().map(|resource| (*resource).clone()).collect(),
        };
        for resource in resources {
            if arguments.len() == 1 {
                targets.push(Target { resource, name: None });
            } else {
                let named = |name: &String| Target { resource: resource.clone(), name: Some(name.clone()) };
                targets.extend(arguments[1..].iter().map(named));
            }
        }
    }
    Ok(targets)
}

/// An object found on the server.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) resource: Resource,
    pub(super) object: Value,
}

impl Found {
    /// Namespace for requests.
    pub(super) fn namespace(&self) -> Option<&str> {
        Some(text(&self.object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty())
    }

    pub(super) fn name(&self) -> &str {
        text(&self.object, "/metadata/name")
    }

    /// `deployment.apps/x`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.resource.qualified_singular(), self.name())
    }
}

/// How objects are chosen, shared by the commands that change them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Selection {
    /// Manifests that name the objects
    #[arg(short, long = "filename", value_name = "FILE")]
    pub(super) filename: Vec<String>,
    /// Read directories with their subdirectories
    #[arg(short = 'R', long)]
    pub(super) recursive: bool,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(super) selector: Option<String>,
    /// All objects of the given types
    #[arg(long)]
    pub(super) all: bool,
    /// In all namespaces
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
}

/// Fetches the chosen objects. A named object that does not exist is an error, unless `ignore_missing`.
pub(super) async fn find(
    session: &Session,
    arguments: &[String],
    selection: &Selection,
    ignore_missing: bool,
) -> Result<Vec<Found>, Failure> {
    let mut wanted = Vec::new();
    for name in &selection.filename {
        for input in manifests::read(session, name, selection.recursive).await? {
            for object in files::documents(&input)? {
                wanted.push(from_file(session, &object, &input.name).await?);
            }
        }
    }
    if !arguments.is_empty() || wanted.is_empty() {
        for target in parse(session, arguments).await? {
            wanted.push((target, session.namespace.clone()));
        }
    }
    let mut found = Vec::new();
    for (target, namespace) in wanted {
        let resource = target.resource;
        let in_namespace = resource.namespaced.then_some(namespace.as_str());
        match &target.name {
            Some(name) => {
                let answer = session.objects.get_path(&resource.object(in_namespace, name), None).await;
                match answer {
                    Ok(object) => found.push(Found { resource, object }),
                    Err(missing) if ignore_missing && crate::kubernetes::is_not_found(&missing) => {}
                    Err(other) => return Err(kubectl_failure(other)),
                }
            }
            None if selection.all || selection.selector.is_some() => {
                let scope = if selection.all_namespaces { None } else { in_namespace };
                let labels = selection.selector.as_deref().unwrap_or_default();
                let list = session.objects.list(&resource, scope, labels).await.map_err(kubectl_failure)?;
                found.extend(list.into_iter().map(|object| Found { resource: resource.clone(), object }));
            }
            None => {
                return Err(error("resource(s) were provided, but no name was specified"));
            }
        }
    }
    Ok(found)
}

async fn from_file(session: &Session, object: &Value, file: &str) -> Result<(Target, String), Failure> {
    let resource = mapping(session, object, file).await?;
    let namespace = text(object, "/metadata/namespace");
    let namespace = if namespace.is_empty() { session.namespace.clone() } else { namespace.to_owned() };
    Ok((Target { resource, name: Some(text(object, "/metadata/name").to_owned()) }, namespace))
}

/// The type of an object from a file, with kubectl's error when the server does not have it.
pub(super) async fn mapping(session: &Session, object: &Value, file: &str) -> Result<Resource, Failure> {
    let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    if kind.is_empty() {
        return Err(error(format!(
            "unable to decode \"{file}\": Object 'Kind' is missing in '{}'",
            brief(object)
        )));
    }
    if api_version.is_empty() {
        return Err(error(format!("error validating \"{file}\": error validating data: apiVersion not set")));
    }
    session.discovery().await?.of(object).cloned().ok_or_else(|| {
        error(format!(
            "resource mapping not found for name: \"{}\" namespace: \"{}\" from \"{file}\": no matches for kind \"{kind}\" in version \"{api_version}\"\nensure CRDs are installed first",
            text(object, "/metadata/name"),
            text(object, "/metadata/namespace"),
        ))
    })
}

fn brief(object: &Value) -> String {
    object.to_string().chars().take(200).collect()
}
