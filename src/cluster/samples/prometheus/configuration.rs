//! Prometheus' configuration with files of targets where it asks Kubernetes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// What is looked for: `role` of `kubernetes_sd_configs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Node,
    Service,
    Pod,
    Endpoints,
    EndpointSlice,
}

impl Role {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "node" => Self::Node,
            "service" => Self::Service,
            "pod" => Self::Pod,
            "endpoints" => Self::Endpoints,
            "endpointslice" => Self::EndpointSlice,
            _ => return None,
        })
    }

    /// The word of the configuration.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Service => "service",
            Self::Pod => "pod",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
        }
    }
}

/// One of `kubernetes_sd_configs`, and the file that its targets go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Discovery {
    pub(super) role: Role,
    /// Where is looked; empty for everywhere.
    pub(super) namespaces: Vec<String>,
    /// Whether the pod's own namespace is among them.
    pub(super) own_namespace: bool,
    pub(super) file: PathBuf,
}

/// A configuration that the machine's program reads.
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) discoveries: Vec<Discovery>,
}

/// Settings that say how the API server is reached: the pod's own service account reaches it.
const ACCESS: [&str; 2] = ["api_server", "kubeconfig_file"];

/// Translates the configuration `text`, which is that of the file `original`. Files of targets will be in `folder`.
pub(super) fn translate(text: &str, original: &Path, folder: &Path) -> Result<Translated, String> {
    let bad = |reason: String| format!("{}: {reason}", original.display());
    let mut config: Value = serde_yaml::from_str(text).map_err(|error| bad(error.to_string()))?;
    let base = original.parent().unwrap_or(Path::new("/"));
    absolute(&mut config["rule_files"], base);
    let mut discoveries = Vec::new();
    for (index, job) in config["scrape_configs"].as_array_mut().into_iter().flatten().enumerate() {
        let at = |field: &str| bad(format!("scrape_configs[{index}].{field}"));
        for files in job["file_sd_configs"].as_array_mut().into_iter().flatten() {
            absolute(&mut files["files"], base);
        }
        let found = job.as_object_mut().and_then(|job| job.remove("kubernetes_sd_configs"));
        for (number, declared) in found.as_ref().and_then(Value::as_array).into_iter().flatten().enumerate() {
            let file = folder.join(format!("targets-{index}-{number}.json"));
            let discovery = discovery(declared, file)
                .map_err(|problem| at(&format!("kubernetes_sd_configs[{number}].{problem}")))?;
            let files = json!({"files": [discovery.file.clone()]});
            match &mut job["file_sd_configs"] {
                Value::Array(list) => list.push(files),
                none => *none = json!([files]),
            }
            discoveries.push(discovery);
        }
        // Reading a member of a JSON value leaves a null behind, which the program does not take.
        if let Some(job) = job.as_object_mut() {
            job.retain(|_, value| !value.is_null());
        }
    }
    if let Some(config) = config.as_object_mut() {
        config.retain(|_, value| !value.is_null());
    }
    // JSON is YAML.
    Ok(Translated { text: config.to_string(), discoveries })
}

fn discovery(declared: &Value, file: PathBuf) -> Result<Discovery, String> {
    let known = ["role", "namespaces"];
    for (field, _) in declared.as_object().into_iter().flatten() {
        if ACCESS.contains(&field.as_str()) {
            return Err(format!("{field}: the pod's own service account is used; leave it out"));
        }
        if !known.contains(&field.as_str()) {
            return Err(format!(
                "{field} is not supported on the embedded cluster: choose by relabel_configs"
            ));
        }
    }
    let role = declared.get("role").and_then(Value::as_str).unwrap_or_default();
    let role = Role::parse(role).ok_or_else(|| {
        format!("role: {role:?} is none of node, service, pod, endpoints and endpointslice")
    })?;
    let names = declared.pointer("/namespaces/names").and_then(Value::as_array);
    let own_namespace = declared.pointer("/namespaces/own_namespace").and_then(Value::as_bool) == Some(true);
    Ok(Discovery {
        role,
        namespaces: names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        own_namespace,
        file,
    })
}

/// Paths that count from the original's folder.
fn absolute(paths: &mut Value, base: &Path) {
    for path in paths.as_array_mut().into_iter().flatten() {
        if let Some(text) = path.as_str() {
            *path = json!(base.join(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "rule_files: [rules/*.yml, /etc/more.yml]\nscrape_configs:\n- job_name: pods\n  kubernetes_sd_configs:\n  - role: pod\n    namespaces: {names: [a], own_namespace: true}\n  relabel_configs: [{action: keep}]\n- job_name: static\n  static_configs: [{targets: ['a:1']}]\n";

    #[test]
    fn discovery_becomes_files_and_the_rest_stays() {
        let made = translate(TEXT, Path::new("/etc/config/p.yml"), Path::new("/tmp/f")).expect("read");
        let config: Value = serde_json::from_str(&made.text).expect("JSON");
        assert_eq!(config["rule_files"], json!(["/etc/config/rules/*.yml", "/etc/more.yml"]));
        assert_eq!(
            config["scrape_configs"],
            json!([
                {"job_name": "pods", "file_sd_configs": [{"files": ["/tmp/f/targets-0-0.json"]}], "relabel_configs": [{"action": "keep"}]},
                {"job_name": "static", "static_configs": [{"targets": ["a:1"]}]},
            ])
        );
        let [found] = made.discoveries.as_slice() else { panic!("{:?}", made.discoveries) };
        assert_eq!(
            (found.role, found.own_namespace, found.namespaces.as_slice()),
            (Role::Pod, true, ["a".to_owned()].as_slice())
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let refused = |with: &str| {
            translate(&TEXT.replace("role: pod", with), Path::new("/p.yml"), Path::new("/f"))
                .err()
                .unwrap_or_default()
        };
        assert!(
            refused("role: ingress").contains("scrape_configs[0].kubernetes_sd_configs[0].role"),
            "{}",
            refused("role: ingress")
        );
        assert!(refused("role: pod\n    api_server: https://a").contains("api_server"));
        assert!(refused("role: pod\n    selectors: []").contains("relabel_configs"));
        assert!(refused("role: [").starts_with("/p.yml: "));
    }
}
