//! Values of the downward API: fields of the pod and resources of its containers.

use serde_json::Value;

use super::pod_spec::{Container, PodSpec};
use super::quantity;
use crate::network::Addresses;

/// The addresses that fields may tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldAddresses {
    /// The pod's, once it has some.
    pub(crate) pod: Option<Addresses>,
    /// What the node is called outside.
    pub(crate) node: Addresses,
}

/// A field that a pod may ask for; `None` when Kubernetes has no such field.
pub(crate) fn field(pod: &Value, addresses: FieldAddresses, path: &str) -> Option<String> {
    let metadata = &pod["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    if let Some((map, key)) = subscript(path) {
        return Some(text(&metadata[map][key]));
    }
    Some(match path {
        "metadata.name" => text(&metadata["name"]),
        "metadata.namespace" => text(&metadata["namespace"]),
        "metadata.uid" => text(&metadata["uid"]),
        "metadata.labels" => lines(&metadata["labels"]),
        "metadata.annotations" => lines(&metadata["annotations"]),
        "spec.nodeName" => super::NODE_NAME.to_owned(),
        "spec.serviceAccountName" => text(&pod["spec"]["serviceAccountName"]),
        "status.podIP" => addresses.pod.map(|pod| pod.v4.to_string()).unwrap_or_default(),
        "status.podIPs" => addresses.pod.map(|pod| pod.joined()).unwrap_or_default(),
        "status.hostIP" => addresses.node.v4.to_string(),
        "status.hostIPs" => addresses.node.joined(),
        _ => return None,
    })
}

/// `metadata.labels['app']` → (`labels`, `app`).
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_prefix("metadata.")?.split_once("['")?;
    let key = rest.strip_suffix("']")?;
    matches!(map, "labels" | "annotations").then_some((map, key))
}

/// A map as the downward API writes it: one `key="value"` a line, sorted.
fn lines(map: &Value) -> String {
    let entries = map.as_object().into_iter().flatten();
    let mut lines: Vec<String> =
        entries.map(|(key, value)| format!("{key}={}", quoted(value.as_str().unwrap_or("")))).collect();
    lines.sort();
    lines.join("\n")
}

/// As Go quotes strings.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A resource of a container in units of `divisor`, rounded up. Without a limit, what the machine has.
pub(crate) fn resource(
    spec: &PodSpec,
    own: &Container,
    container: &str,
    resource: &str,
    divisor: &str,
) -> Option<String> {
    let named =
        |name: &str| spec.containers.iter().chain(&spec.init_containers).find(|other| other.name == name);
    let container = if container.is_empty() { Some(own) } else { named(container) }?;
    let (kind, name) = resource.split_once('.')?;
    let value = match kind {
        "limits" => container.resources.limits.get(name),
        "requests" => container.resources.requests.get(name),
        _ => return None,
    };
    let amount = match value.and_then(quantity::parse_value) {
        Some(amount) => amount,
        None if kind == "requests" => 0.0,
        None => machine(name)?,
    };
    let divisor = quantity::parse(divisor).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    Some(format!("{:.0}", (amount / divisor).ceil()))
}

/// What the node offers: whole cores, bytes.
pub(crate) fn machine(resource: &str) -> Option<f64> {
    match resource {
        "cpu" => std::thread::available_parallelism()
            .ok()
            .map(|cores| f64::from(u32::try_from(cores.get()).unwrap_or(1))),
        "memory" => {
            let text = std::fs::read_to_string("/proc/meminfo").ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim().trim_end_matches("kB").trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
        }
        "ephemeral-storage" => Some(0.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_read_as_kubernetes_writes_them() {
        let pod = json!({"metadata": {"name": "web-1", "labels": {"b": "2", "a": "say \"hi\""}}});
        let own = Addresses { v4: [10, 244, 0, 9].into(), v6: Some("fd00::9".parse().unwrap()) };
        let node = Addresses { v4: [10, 244, 0, 1].into(), v6: None };
        let value = |path| field(&pod, FieldAddresses { pod: Some(own), node }, path);
        assert_eq!(value("metadata.name").unwrap(), "web-1");
        assert_eq!(value("metadata.labels['b']").unwrap(), "2");
        assert_eq!(value("metadata.labels").unwrap(), "a=\"say \\\"hi\\\"\"\nb=\"2\"");
        assert_eq!(value("metadata.annotations['none']").unwrap(), "");
        assert_eq!(value("status.podIP").unwrap(), "10.244.0.9");
        assert_eq!(value("status.podIPs").unwrap(), "10.244.0.9,fd00::9");
        assert_eq!(value("status.hostIPs").unwrap(), "10.244.0.1");
        assert_eq!(value("spec.priority"), None);
    }

    #[test]
    fn resources_are_rounded_up_in_units_of_the_divisor() {
        let own: Container = serde_json::from_value(
            json!({"name": "a", "resources": {"limits": {"cpu": "1500m", "memory": "128Mi"}}}),
        )
        .unwrap();
        let spec = PodSpec::default();
        assert_eq!(resource(&spec, &own, "", "limits.cpu", "0").unwrap(), "2");
        assert_eq!(resource(&spec, &own, "", "limits.cpu", "1m").unwrap(), "1500");
        assert_eq!(resource(&spec, &own, "", "limits.memory", "1Mi").unwrap(), "128");
        assert_eq!(resource(&spec, &own, "", "requests.cpu", "1").unwrap(), "0");
        assert_eq!(resource(&spec, &own, "other", "limits.cpu", "1"), None);
    }
}
