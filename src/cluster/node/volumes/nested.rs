//! Mount points below volumes: their directories are made in the volume itself, as the kubelet does. A container that finds none would get
//! a copy of the volume with one, which no update reaches.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::node::pod_spec::{PodSpec, VolumeMount};

/// Where containers mount other volumes below `volume`, relative to it.
fn mount_points(volume: &str, spec: &PodSpec) -> BTreeSet<PathBuf> {
    let mut points = BTreeSet::new();
    for container in spec.init_containers.iter().chain(&spec.containers) {
        let outer = container.volume_mounts.iter().filter(|mount| mount.name == volume && is_whole(mount));
        for outer in outer {
            let inner = container.volume_mounts.iter().filter(|mount| is_whole(mount));
            points.extend(inner.filter_map(|inner| below(&outer.mount_path, &inner.mount_path)));
        }
    }
    points
}

/// A part of a volume may be a file, and is none of our business.
fn is_whole(mount: &VolumeMount) -> bool {
    mount.sub_path.is_empty() && mount.sub_path_expr.is_empty()
}

fn below(outer: &str, inner: &str) -> Option<PathBuf> {
    let rest = Path::new(inner).strip_prefix(outer).ok()?;
    let plain = rest.components().all(|component| matches!(component, Component::Normal(_)));
    (plain && rest != Path::new("")).then(|| rest.to_owned())
}

/// Makes them in the volume at `path`.
pub(super) fn make(path: &Path, volume: &str, spec: &PodSpec) -> io::Result<()> {
    for point in mount_points(volume, spec) {
        let directory = path.join(point);
        // A file of the volume has precedence.
        if directory.symlink_metadata().is_err() {
            fs::create_dir_all(directory)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn directories_of_nested_mounts_are_in_the_volume_and_outlive_its_updates() {
        let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
        let mounts =
            json!([mount("root", "/certs"), mount("crl", "/certs/revoked/list"), mount("other", "/certs2")]);
        let spec: PodSpec =
            serde_json::from_value(json!({"containers": [{"name": "c", "volumeMounts": mounts}]})).unwrap();
        assert_eq!(mount_points("root", &spec), [PathBuf::from("revoked/list")].into());
        assert!(mount_points("crl", &spec).is_empty());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root");
        for text in ["1", "2"] {
            let files = [("root.pem".to_owned(), (0o644, text.as_bytes().to_vec()))].into_iter().collect();
            super::super::write::directory(&path, &files, None).unwrap();
            make(&path, "root", &spec).unwrap();
            assert_eq!(fs::read_to_string(path.join("root.pem")).unwrap(), text);
            assert!(path.join("revoked/list").is_dir());
        }
    }
}
