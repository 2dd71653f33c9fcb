//! Version skew: which proxies a control plane serves, and which of a mesh it would not.
//!
//! A control plane serves proxies of its own minor version and of the two before it. Older ones have to be restarted before the control
//! plane is upgraded further; newer ones ask for what it does not know.

use sagene_manifest::profile::Installation;
use serde_json::Value;

use super::preflight::{SKEW, version};
use crate::context::{Cluster, Context};
use crate::kubernetes::{control_planes, http_get, text};
use crate::output;

/// Most proxies that are named one by one.
const NAMED: usize = 10;

/// A proxy that a control plane of some version does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skewed {
    /// `pod.namespace`.
    pub(crate) proxy: String,
    /// What is wrong with its version, and what to do.
    pub(crate) reason: String,
}

/// The proxies connected to the control planes of `revision` (all where it is empty) that one of version `wanted` does not serve. None where
/// no control plane runs or none answers: then there is nothing to compare.
pub(crate) async fn unserved(
    context: &Context,
    cluster: &Cluster,
    revision: &str,
    wanted: &str,
) -> Vec<Skewed> {
    let mut found: Vec<Skewed> = Vec::new();
    for pod in control_planes(context, cluster, revision).await.unwrap_or_default() {
        let namespace = &context.globals.istio_namespace;
        let answer = http_get(&cluster.client, namespace, &pod, 15014, "/debug/syncz").await;
        let proxies: Vec<Value> =
            answer.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        for entry in &proxies {
            let proxy = text(entry, "/proxy").to_owned();
            if let Some(reason) = reason(text(entry, "/istio_version"), wanted)
                && !found.iter().any(|known| known.proxy == proxy)
            {
                found.push(Skewed { proxy, reason });
            }
        }
    }
    found.sort_by(|one, other| one.proxy.cmp(&other.proxy));
    found
}

/// Warns of proxies that the version to be installed does not serve.
pub(super) async fn warn(context: &Context, cluster: &Cluster, installation: &Installation) {
    let unserved = unserved(context, cluster, installation.revision_label(), installation.tag()).await;
    for skewed in unserved.iter().take(NAMED) {
        output::progress(&format!("warning: proxy {}: {}", skewed.proxy, skewed.reason));
    }
    if unserved.len() > NAMED {
        output::progress(&format!("warning: and {} more proxies", unserved.len() - NAMED));
    }
}

/// Why a control plane does not serve a proxy; none when it does, or one of the two tells no version.
fn reason(proxy: &str, control_plane: &str) -> Option<String> {
    let (of_proxy, of_control_plane) = (version(proxy)?, version(control_plane)?);
    let (minor, newest) = ((of_proxy.0, of_proxy.1), (of_control_plane.0, of_control_plane.1));
    if minor > newest {
        return Some(format!(
            "version {proxy} is newer than the control plane's, {control_plane}: upgrade the control plane first"
        ));
    }
    let too_old = minor.0 < newest.0 || minor.1 + SKEW < newest.1;
    too_old.then(|| {
        format!("version {proxy} is more than {SKEW} minor versions behind the control plane's, {control_plane}: restart its pod to renew it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minor_versions_back_are_served() {
        for served in ["1.4.0", "1.3.9", "1.2.0-rc.1", "unknown", ""] {
            assert_eq!(reason(served, "1.4.2"), None, "{served}");
        }
        assert!(reason("1.1.9", "1.4.2").expect("too old").contains("restart its pod"));
        assert!(reason("0.9.0", "1.0.0").expect("another major").contains("more than 2 minor versions"));
        assert!(reason("1.5.0", "1.4.2").expect("too new").contains("upgrade the control plane first"));
        assert_eq!(reason("1.4.0", "test"), None);
    }
}
