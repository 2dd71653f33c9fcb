//! The specification of a container's process, from the pod's words.

use std::path::{Component, Path, PathBuf};

use super::PodContext;
use crate::node::capability;
use crate::node::container_spec::{ContainerSpec, MountSpec, ProgramSpec, RootSpec};
use crate::node::environment::{self, Environment, EnvironmentSource};
use crate::node::image;
use crate::node::pod_spec::{Container, VolumeMount};

/// A container that cannot be started now, with Kubernetes' reason.
#[derive(Debug)]
pub(super) struct StartFailure {
    /// `ErrImagePull`, `CreateContainerConfigError`, `CreateContainerError`, `RunContainerError`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

fn config_error(message: impl ToString) -> StartFailure {
    StartFailure { reason: "CreateContainerConfigError", message: message.to_string() }
}

/// Builds the specification; `identity` are the mounts of the pod's `/etc` files.
pub(super) async fn specification(
    pod: &PodContext,
    container: &Container,
    identity: &[MountSpec],
) -> Result<ContainerSpec, StartFailure> {
    let image = image::resolve(container)
        .map_err(|error| StartFailure { reason: "ErrImagePull", message: error.to_string() })?;
    let object = pod.object.borrow().clone();
    let source = EnvironmentSource {
        api: &pod.node.api,
        pod: &object,
        spec: &pod.spec,
        container,
        addresses: pod.field_addresses(),
        image: &image.environment,
    };
    let environment = environment::build(&source).await.map_err(config_error)?;
    let arguments = image.arguments.iter().map(|argument| environment.expand(argument)).collect();
    let mut mounts = identity.to_vec();
    mounts.extend(volume_mounts(pod, container, &environment).await?);
    let node = pod.node.directory.node();
    let program = program(pod, container, arguments, environment)?;
    Ok(ContainerSpec {
        program,
        root: RootSpec {
            build_directory: node.join("root"),
            program_file: node.join("bin/sagene"),
            program_names: image::program_names(container),
            written_folders: image::written_folders(container),
            hidden: vec![pod.node.directory.path().to_owned()],
            mounts,
            read_only: container.security_context.read_only_root_filesystem,
        },
        error_file: node.join("containers").join(format!("{}.{}.error", pod.uid, container.name)),
    })
}

/// The user of a sidecar, whose own traffic the capture rules let pass.
const PROXY_USER: u32 = 1337;

fn program(
    pod: &PodContext,
    container: &Container,
    arguments: Vec<String>,
    environment: Environment,
) -> Result<ProgramSpec, StartFailure> {
    let (own, shared) = (&container.security_context, &pod.spec.security_context);
    let user = own.run_as_user.or(shared.run_as_user);
    let group = own.run_as_group.or(shared.run_as_group);
    if own.run_as_non_root.or(shared.run_as_non_root) == Some(true) && user == Some(0) {
        return Err(config_error("container's runAsUser breaks non-root policy"));
    }
    let rootless = pod.node.rootless;
    let mut added = own.capabilities.add.clone();
    if rootless && user == Some(PROXY_USER) {
        // It cannot become the user by whom capture rules know the proxy; they know it by the mark on its sockets, too.
        added.push("NET_ADMIN".to_owned());
    }
    let capabilities = if own.privileged {
        None
    } else {
        Some(capability::kept(&added, &own.capabilities.drop).map_err(config_error)?)
    };
    let mut supplementary_groups = shared.supplemental_groups.clone();
    supplementary_groups.extend(shared.fs_group);
    Ok(ProgramSpec {
        arguments,
        environment: environment.into_vec(),
        working_directory: container.working_dir.clone(),
        // A single user id: everybody is the namespace's root, which is the user who started the cluster.
        user: user.filter(|_| !rootless),
        group: group.or(user.map(|_| 0)).filter(|_| !rootless),
        supplementary_groups: if rootless { Vec::new() } else { supplementary_groups },
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        capabilities,
        terminal: false,
    })
}

async fn volume_mounts(
    pod: &PodContext,
    container: &Container,
    environment: &Environment,
) -> Result<Vec<MountSpec>, StartFailure> {
    let volumes = pod.volumes.lock().await;
    let mut mounts = Vec::new();
    for mount in &container.volume_mounts {
        let volume = pod.spec.volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| config_error(format!("there is no volume {:?}", mount.name)))?;
        if !matches!(mount.mount_propagation.as_deref(), None | Some("None")) {
            return Err(config_error(
                "mountPropagation other than None is not supported by the embedded cluster",
            ));
        }
        let source = inside(volumes.source(volume), mount, environment)?;
        // What the API owns is not the container's to change.
        let claim = volume.persistent_volume_claim.as_ref();
        let writable = volume.is_empty_dir()
            || volume.host_path.is_some()
            || claim.is_some_and(|claim| !claim.read_only);
        let read_only = mount.read_only || !writable;
        mounts.push(MountSpec { source, target: PathBuf::from(&mount.mount_path), read_only });
    }
    let log = volumes.termination_log(container).map_err(config_error)?;
    let path = if container.termination_message_path.is_empty() {
        "/dev/termination-log"
    } else {
        &container.termination_message_path
    };
    mounts.push(MountSpec { source: log, target: PathBuf::from(path), read_only: false });
    // Parents first, whatever the order in the pod.
    mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(mounts)
}

/// The part of a volume that `subPath` names; a missing folder is made.
fn inside(volume: PathBuf, mount: &VolumeMount, environment: &Environment) -> Result<PathBuf, StartFailure> {
    let sub_path = if mount.sub_path_expr.is_empty() {
        mount.sub_path.clone()
    } else {
        environment.expand(&mount.sub_path_expr)
    };
    if sub_path.is_empty() {
        return Ok(volume);
    }
    if !Path::new(&sub_path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(config_error(format!("subPath {sub_path:?} must not lead out of the volume")));
    }
    let path = volume.join(&sub_path);
    if !path.exists() {
        std::fs::create_dir_all(&path)
            .map_err(|error| config_error(format!("cannot create subPath {sub_path:?}: {error}")))?;
    }
    // Links inside the volume must not lead out of it either.
    let real = path.canonicalize().map_err(config_error)?;
    let root = volume.canonicalize().map_err(config_error)?;
    if real.starts_with(&root) {
        Ok(real)
    } else {
        Err(config_error(format!("subPath {sub_path:?} leads out of the volume")))
    }
}
