//! The WorkloadGroup, from a file or from the cluster.

use sagene_api::Object;
use sagene_api::istio::networking::WorkloadGroup;

use crate::exit::Failure;
use crate::files;
use crate::kubernetes::{Objects, Resource, server_failure, text};
use crate::validate;

/// The only WorkloadGroup of a file; where it names no namespace, `namespace` counts, then `default`.
pub(super) fn of_file(path: &str, namespace: Option<&str>) -> Result<Object<WorkloadGroup>, Failure> {
    let mut groups = Vec::new();
    for input in files::read(path, false)? {
        validate::refuse_errors(&input.name, input.text.clone().into_bytes())?;
        groups
            .extend(files::documents(&input)?.into_iter().filter(|it| text(it, "/kind") == "WorkloadGroup"));
    }
    let group = match <[_; 1]>::try_from(groups) {
        Ok([group]) => group,
        Err(groups) => {
            return Err(Failure::new(format!("{path} holds {} WorkloadGroups; want one", groups.len()))
                .hint("sagene experimental workload group create prints one"));
        }
    };
    let mut group =
        Object::from_value(group).map_err(|error| Failure::from(error).context(path.to_owned()))?;
    if group.metadata.name.is_empty() {
        return Err(Failure::new(format!("{path}: the WorkloadGroup has no metadata.name")));
    }
    if group.metadata.namespace.is_empty() {
        namespace.unwrap_or("default").clone_into(&mut group.metadata.namespace);
    }
    Ok(group)
}

/// That of the cluster.
pub(super) async fn of_cluster(
    objects: &Objects,
    namespace: &str,
    name: &str,
) -> Result<Object<WorkloadGroup>, Failure> {
    let resource = Resource::known("networking.istio.io", "v1", "WorkloadGroup", "workloadgroups", true);
    let found = objects.get(&resource, Some(namespace), name).await.map_err(server_failure)?;
    let found = found
        .ok_or_else(|| Failure::new(format!("workloadgroup {name} not found in namespace {namespace}")))?;
    Ok(Object::from_value(found)?)
}

/// The account whose identity the workload gets; `default` where the group names none, as for pods.
pub(super) fn service_account(group: &Object<WorkloadGroup>) -> &str {
    match group.spec.template.service_account.as_str() {
        "" => "default",
        named => named,
    }
}
