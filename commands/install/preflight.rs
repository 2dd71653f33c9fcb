//! What the user should know before an installation changes a cluster: too old a Kubernetes, an upgrade, a downgrade.

use sagene_manifest::profile::Installation;
use sagene_manifest::render::VERSION_LABEL;
use serde_json::Value;

use crate::context::Cluster;
use crate::exit::Failure;
use crate::kubernetes::{Objects, Resource, server_failure};
use crate::output;

/// Oldest minor version of Kubernetes that is supported.
pub(crate) const MINIMUM_MINOR: u32 = 32;
/// How many minor versions a control plane may be ahead of the proxies it serves, and of the one it takes over from.
pub(super) const SKEW: u64 = 2;

/// Prints warnings; an unreachable cluster is an error.
pub(super) async fn warn(cluster: &Cluster, installation: &Installation) -> Result<(), Failure> {
    let info =
        cluster.client.apiserver_version().await.map_err(|error| {
            server_failure(error).context(format!("cannot reach {}", cluster.description))
        })?;
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().unwrap_or_default();
    if (number(&info.major), number(&info.minor)) < (1, MINIMUM_MINOR) {
        output::progress(&format!(
            "warning: Kubernetes {} is older than 1.{MINIMUM_MINOR}, the oldest that is supported",
            info.git_version
        ));
    }
    let deployments = Resource::known("apps", "v1", "Deployment", "deployments", true);
    let name = format!("istiod{}", installation.suffix());
    let found = Objects::new(cluster.client.clone())
        .get(&deployments, Some(&installation.namespace), &name)
        .await
        .map_err(server_failure)?;
    if let Some(found) = found
        && let Some(notice) = change(installed(&found), installation.tag(), installation.revision_label())
    {
        output::progress(&format!("warning: {notice}"));
    }
    Ok(())
}

/// The version that was installed, as its label has it.
fn installed(deployment: &Value) -> &str {
    let pointer = format!("/metadata/labels/{}", VERSION_LABEL.replace('/', "~1"));
    deployment.pointer(&pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Words for going from one version to another; none when they are equal or one of them is no version.
fn change(from: &str, to: &str, revision: &str) -> Option<String> {
    let (old, new) = (version(from)?, version(to)?);
    if old == new {
        return None;
    }
    let direction = if new > old { "upgraded" } else { "downgraded" };
    let mut notice = format!("revision {revision} is being {direction} from {from} to {to}");
    if new.0 == old.0 && new.1 > old.1 + SKEW {
        notice.push_str(&format!("; upgrades over more than {SKEW} minor versions are not tested"));
    }
    if new > old {
        notice.push_str("; to try the new version beside the old one, install it with --revision");
    }
    Some(notice)
}

/// Major, minor and patch number of a version; none where it is no version.
pub(super) fn version(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(['.', '-']).map(|part| part.parse::<u64>().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_version_is_said() {
        assert_eq!(change("1.2.3", "1.2.3", "default"), None);
        assert_eq!(change("test", "1.2.3", "default"), None);
        assert!(
            change("1.2.3", "1.3.0", "default").expect("up").contains("upgraded from 1.2.3 to 1.3.0; to try")
        );
        assert!(change("1.3.0", "1.2.9", "x").expect("down").contains("x is being downgraded"));
        assert!(change("1.1.0", "1.4.0", "x").expect("far").contains("not tested"));
    }
}
