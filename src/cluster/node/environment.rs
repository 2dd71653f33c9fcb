//! A container's environment: the image's, Services', `envFrom`, `env`, with `$(VAR)` expanded.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::field_value::{self, FieldAddresses};
use super::pod_spec::{Container, EnvVarSource, PodSpec};
use crate::api_client::{ApiClient, ListOptions, ResourceRef};

/// Why the environment cannot be made. Kubernetes' reason for it is `CreateContainerConfigError`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// The object is missing.
    #[error("{kind} \"{name}\" not found")]
    ObjectMissing { kind: &'static str, name: String },
    /// The object has no such key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    KeyMissing { kind: &'static str, namespace: String, name: String, key: String },
    /// No such field or resource.
    #[error("the value of {variable} cannot be read from {source_path}")]
    UnknownField { variable: String, source_path: String },
}

/// What the environment is made from.
pub(crate) struct EnvironmentSource<'a> {
    pub(crate) api: &'a ApiClient,
    pub(crate) pod: &'a Value,
    pub(crate) spec: &'a PodSpec,
    pub(crate) container: &'a Container,
    pub(crate) addresses: FieldAddresses,
    pub(crate) image: &'a [(String, String)],
}

/// Variables in the order they were set; later ones replace earlier ones of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    /// The variables.
    pub(crate) fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    fn set(&mut self, name: String, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Replaces `$(NAME)` by the variable; `$$(NAME)` stays as `$(NAME)`, unknown names stay as they are.
    pub(crate) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(position) = rest.find('$') {
            expanded.push_str(&rest[..position]);
            rest = &rest[position + 1..];
            if let Some(behind) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = behind;
            } else if let Some((name, behind)) =
                rest.strip_prefix('(').and_then(|inner| inner.split_once(')'))
            {
                match self.get(name) {
                    Some(value) => expanded.push_str(value),
                    None => expanded.extend(["$(", name, ")"]),
                }
                rest = behind;
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        expanded
    }
}

/// Builds the environment. Objects are read at this moment.
pub(crate) async fn build(source: &EnvironmentSource<'_>) -> Result<Environment, EnvironmentError> {
    let mut environment = Environment::default();
    for (name, value) in source.image {
        environment.set(name.clone(), value.clone());
    }
    let host_name = source.pod["metadata"]["name"].as_str().unwrap_or("");
    environment.set(
        "HOSTNAME".to_owned(),
        if source.spec.hostname.is_empty() { host_name } else { &source.spec.hostname }.to_owned(),
    );
    environment.set("HOME".to_owned(), "/root".to_owned());
    if source.spec.enable_service_links != Some(false) {
        add_services(source, &mut environment).await;
    }
    for from in &source.container.env_from {
        add_all_keys(source, from, &mut environment).await?;
    }
    for variable in &source.container.env {
        let value = match &variable.value_from {
            Some(from) => match value_from(source, &variable.name, from).await? {
                Some(value) => value,
                None => continue,
            },
            None => environment.expand(variable.value.as_deref().unwrap_or("")),
        };
        environment.set(variable.name.clone(), value);
    }
    Ok(environment)
}

fn namespace<'a>(source: &'a EnvironmentSource<'_>) -> &'a str {
    source.pod["metadata"]["namespace"].as_str().unwrap_or("default")
}

async fn value_from(
    source: &EnvironmentSource<'_>,
    variable: &str,
    from: &EnvVarSource,
) -> Result<Option<String>, EnvironmentError> {
    let unknown = |path: &str| EnvironmentError::UnknownField {
        variable: variable.to_owned(),
        source_path: path.to_owned(),
    };
    if let Some(reference) = &from.field_ref {
        let path = reference.field_path.as_str();
        return field_value::field(source.pod, source.addresses, path).map(Some).ok_or_else(|| unknown(path));
    }
    if let Some(reference) = &from.resource_field_ref {
        let (container, path) = (reference.container_name.as_str(), reference.resource.as_str());
        let value = field_value::resource(source.spec, source.container, container, path, &reference.divisor);
        return value.map(Some).ok_or_else(|| unknown(path));
    }
    let (kind, reference) = match (&from.config_map_key_ref, &from.secret_key_ref) {
        (Some(reference), _) => ("configmap", reference),
        (None, Some(reference)) => ("secret", reference),
        (None, None) => return Ok(None),
    };
    let name = reference.name.as_str();
    let Some(object) = read(source, kind, name, reference.optional).await? else { return Ok(None) };
    match data(kind, &object).find(|(key, _)| *key == reference.key) {
        Some((_, value)) => Ok(Some(value)),
        None if reference.optional => Ok(None),
        None => Err(EnvironmentError::KeyMissing {
            kind: if kind == "secret" { "Secret" } else { "ConfigMap" },
            namespace: namespace(source).to_owned(),
            name: name.to_owned(),
            key: reference.key.clone(),
        }),
    }
}

async fn add_all_keys(
    source: &EnvironmentSource<'_>,
    from: &super::pod_spec::EnvFromSource,
    environment: &mut Environment,
) -> Result<(), EnvironmentError> {
    let references = [("configmap", &from.config_map_ref), ("secret", &from.secret_ref)];
    for (kind, reference) in references {
        let Some(reference) = reference else { continue };
        if let Some(object) = read(source, kind, &reference.name, reference.optional).await? {
            for (key, value) in data(kind, &object) {
                environment.set(format!("{}{key}", from.prefix), value);
            }
        }
    }
    Ok(())
}

async fn read(
    source: &EnvironmentSource<'_>,
    kind: &'static str,
    name: &str,
    optional: bool,
) -> Result<Option<Arc<Value>>, EnvironmentError> {
    let resource = if kind == "secret" { &ResourceRef::SECRETS } else { &ResourceRef::CONFIG_MAPS };
    match source.api.get(resource, namespace(source), name).await {
        Ok(object) => Ok(Some(object)),
        Err(_) if optional => Ok(None),
        Err(_) => Err(EnvironmentError::ObjectMissing { kind, name: name.to_owned() }),
    }
}

/// Keys and values; those of a Secret decoded, what is not text left out.
fn data<'a>(kind: &str, object: &'a Value) -> impl Iterator<Item = (&'a str, String)> {
    let secret = kind == "secret";
    object["data"].as_object().into_iter().flatten().filter_map(move |(key, value)| {
        let text = value.as_str()?;
        let text =
            if secret { String::from_utf8(STANDARD.decode(text).ok()?).ok()? } else { text.to_owned() };
        Some((key.as_str(), text))
    })
}

/// `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and Docker's link variables for the Services of the namespace, and for `kubernetes`.
async fn add_services(source: &EnvironmentSource<'_>, environment: &mut Environment) {
    let mut services = Vec::new();
    if let Ok(kubernetes) = source.api.get(&ResourceRef::SERVICES, "default", "kubernetes").await {
        services.push(kubernetes);
    }
    if let Ok(list) =
        source.api.list(&ResourceRef::SERVICES, namespace(source), &ListOptions::default()).await
    {
        services.extend(list.items);
    }
    for service in services {
        add_service(&service, environment);
    }
}

fn add_service(service: &Value, environment: &mut Environment) {
    let Some(address) =
        service["spec"]["clusterIP"].as_str().filter(|address| !matches!(*address, "" | "None"))
    else {
        return;
    };
    let name = service["metadata"]["name"].as_str().unwrap_or("").to_uppercase().replace('-', "_");
    environment.set(format!("{name}_SERVICE_HOST"), address.to_owned());
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let number = port["port"].as_u64().unwrap_or(0);
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let lower = protocol.to_lowercase();
        if index == 0 {
            environment.set(format!("{name}_SERVICE_PORT"), number.to_string());
            environment.set(format!("{name}_PORT"), format!("{lower}://{address}:{number}"));
        }
        if let Some(port_name) = port["name"].as_str() {
            let port_name = port_name.to_uppercase().replace('-', "_");
            environment.set(format!("{name}_SERVICE_PORT_{port_name}"), number.to_string());
        }
        let link = format!("{name}_PORT_{number}_{protocol}");
        environment.set(link.clone(), format!("{lower}://{address}:{number}"));
        environment.set(format!("{link}_PROTO"), lower);
        environment.set(format!("{link}_PORT"), number.to_string());
        environment.set(format!("{link}_ADDR"), address.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_and_doubled_dollars_do_not() {
        let mut environment = Environment::default();
        environment.set("NAME".to_owned(), "web".to_owned());
        assert_eq!(environment.expand("$(NAME)-$$(NAME)-$(NONE)-$HOME-5$"), "web-$(NAME)-$(NONE)-$HOME-5$");
        assert_eq!(environment.expand("$(open"), "$(open");
    }

    #[test]
    fn services_become_variables() {
        let service = serde_json::json!({
            "metadata": {"name": "my-db"},
            "spec": {"clusterIP": "10.96.1.2", "ports": [{"name": "sql", "port": 5432}]},
        });
        let mut environment = Environment::default();
        add_service(&service, &mut environment);
        assert_eq!(environment.get("MY_DB_SERVICE_HOST"), Some("10.96.1.2"));
        assert_eq!(environment.get("MY_DB_SERVICE_PORT_SQL"), Some("5432"));
        assert_eq!(environment.get("MY_DB_PORT_5432_TCP"), Some("tcp://10.96.1.2:5432"));
    }
}
