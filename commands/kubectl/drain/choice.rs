//! Which pods of a node a drain may end, and which keep it from beginning.

use clap::Args;
use serde_json::Value;

use crate::kubernetes::{list, text};

/// What its user allows.
#[derive(Debug, Default, Args)]
pub(super) struct Rules {
    /// Leave the pods of DaemonSets alone
    #[arg(long)]
    ignore_daemonsets: bool,
    /// End pods that lose their data with emptyDir volumes
    #[arg(long)]
    delete_emptydir_data: bool,
    /// End pods that nobody makes again
    #[arg(long)]
    force: bool,
}

/// What becomes of the pods.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Those to end.
    pub(super) going: Vec<Value>,
    /// What is left alone, or lost, although one might expect otherwise.
    pub(super) ignored: Vec<String>,
    /// Why nothing may be done.
    pub(super) refused: Vec<String>,
}

impl Rules {
    /// Looks at every pod.
    pub(super) fn choose(&self, pods: Vec<Value>) -> Choice {
        let (mut daemons, mut local, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        let mut going = Vec::new();
        for pod in pods {
            let name = format!("{}/{}", text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
            let mirrored = !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null();
            if mirrored {
                continue;
            }
            if matches!(text(&pod, "/status/phase"), "Succeeded" | "Failed") {
                going.push(pod);
                continue;
            }
            match controller(&pod).as_deref() {
                Some("DaemonSet") => {
                    daemons.push(name);
                    continue;
                }
                None => alone.push(name.clone()),
                Some(_) => {}
            }
            if list(&pod, "/spec/volumes").any(|volume| volume["emptyDir"].is_object()) {
                local.push(name);
            }
            going.push(pod);
        }
        let mut choice = Choice { going, ..Choice::default() };
        let mut sort = |allowed: bool, names: &[String], refusal: &str, note: Option<&str>| {
            let names = names.join(", ");
            if names.is_empty() {
                return;
            }
            match (allowed, note) {
                (false, _) => choice.refused.push(format!("{refusal}: {names}")),
                (true, Some(note)) => choice.ignored.push(format!("{note}: {names}")),
                (true, None) => {}
            }
        };
        let storage = "cannot delete Pods with local storage (use --delete-emptydir-data to override)";
        sort(self.delete_emptydir_data, &local, storage, None);
        let single = "cannot delete Pods that declare no controller (use --force to override)";
        sort(self.force, &alone, single, Some("Pods that declare no controller, which nobody makes again"));
        let daemon = "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)";
        sort(self.ignore_daemonsets, &daemons, daemon, Some("DaemonSet-managed Pods, which stay"));
        choice
    }
}

/// The kind of who makes a pod again.
fn controller(pod: &Value) -> Option<String> {
    let owner = list(pod, "/metadata/ownerReferences").find(|owner| owner["controller"] == true);
    owner.map(|owner| text(owner, "/kind").to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, owner: Option<&str>) -> Value {
        let owners: Vec<Value> =
            owner.map(|kind| json!({"kind": kind, "controller": true})).into_iter().collect();
        json!({"metadata": {"namespace": "a", "name": name, "ownerReferences": owners},
            "spec": {"volumes": [{"name": "v", "emptyDir": {}}]}})
    }

    #[test]
    fn what_would_be_lost_needs_a_word() {
        let pods = || {
            let mut ended = pod("ended", None);
            ended["status"] = json!({"phase": "Succeeded"});
            vec![pod("web", Some("ReplicaSet")), pod("log", Some("DaemonSet")), pod("own", None), ended]
        };
        let refused = Rules::default().choose(pods()).refused;
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert!(refused[0].ends_with("to override): a/web, a/own"), "{refused:?}");
        let all = Rules { ignore_daemonsets: true, delete_emptydir_data: true, force: true };
        let choice = all.choose(pods());
        let names: Vec<&str> = choice.going.iter().map(|pod| text(pod, "/metadata/name")).collect();
        assert_eq!((names, choice.refused.len(), choice.ignored.len()), (vec!["web", "own", "ended"], 0, 2));
    }
}
