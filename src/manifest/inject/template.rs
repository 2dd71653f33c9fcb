//! Templates of the operator's own (`sidecarInjectorWebhook.templates`): a part of a pod in YAML, laid over what the built-in ones made.
//!
//! Istio's are Go templates. Here the built-in ones are code, and those of operators are plain YAML: actions (`{{ … }}`) are refused by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{KNOWN_TEMPLATES, UNSUPPORTED_TEMPLATES, merge, overrides};

/// Operators' templates by name; one that cannot be used with the reason, which whoever asks for it is told.
pub type Templates = BTreeMap<String, Result<Value, String>>;

/// Reads `templates` of the injector's configuration. Names of Istio's own templates are passed over: a configuration that Istio wrote has
/// their text.
pub(super) fn read(from: Option<&Map<String, Value>>) -> Templates {
    let own = |name: &&String| !is_built_in(name);
    let templates = from.into_iter().flatten().filter(|(name, _)| own(name));
    templates.map(|(name, text)| (name.clone(), text.as_str().map_or_else(not_text, parse))).collect()
}

/// Why a template cannot be installed; nothing where it can.
pub(crate) fn problem(name: &str, template: &Value) -> Option<String> {
    if is_built_in(name) {
        return Some("the built-in template of this name cannot be replaced: give yours another one, and name both where they are used".to_owned());
    }
    template.as_str().map_or_else(not_text, parse).err()
}

fn is_built_in(name: &str) -> bool {
    KNOWN_TEMPLATES.contains(&name) || UNSUPPORTED_TEMPLATES.contains(&name)
}

fn not_text() -> Result<Value, String> {
    Err("a template is a text: write it below a |".to_owned())
}

fn parse(text: &str) -> Result<Value, String> {
    if text.contains("{{") {
        return Err("actions of Go templates ({{ … }}) are not supported: write plain YAML of a pod, without what depends on the pod".to_owned());
    }
    match sagene_api::yaml::value(text) {
        Ok(overlay @ Value::Object(_)) => Ok(overlay),
        Ok(_) => Err("expected YAML with metadata and spec of a pod".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Lays a template over the pod: containers by name, wherever the pod has them, as the proxy may be an init container.
pub(super) fn apply(pod: &mut Value, template: &Value) {
    let mut rest = template.clone();
    let mut containers = Vec::new();
    for list in ["/spec/containers", "/spec/initContainers"] {
        let Some(Value::Array(listed)) = rest.pointer_mut(list) else { continue };
        let (there, new) =
            std::mem::take(listed).into_iter().partition(|one| overrides::find(pod, one).is_some());
        containers.extend::<Vec<Value>>(there);
        *listed = new;
    }
    for container in &containers {
        if let Some(target) = overrides::find(pod, container) {
            merge::strategic(target, container);
        }
    }
    merge::strategic(pod, &rest);
}
