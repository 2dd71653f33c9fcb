//! Reads a kubeconfig file as kubectl does: what a context leaves out is empty, lists may be null, paths are relative to the file.

use std::path::Path;

use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::exit::Failure;

/// Fields of a user that name files.
const USER_FILES: [&str; 3] = ["client-certificate", "client-key", "tokenFile"];

/// # Errors
/// Where it cannot be read or is no kubeconfig.
pub(crate) fn read(path: &Path) -> Result<Kubeconfig, Failure> {
    let failed = |error: Failure| error.context(format!("cannot read kubeconfig {}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(Failure::new("it is not UTF-8 text")))?;
    parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(failed)
}

/// A kubeconfig that a Secret of a cluster keeps. Who may write that Secret may not run programs on this machine, nor read its files: a
/// kubeconfig that asks for it is refused, as the control plane of Istio does.
///
/// # Errors
/// Where it is no kubeconfig or names what is this machine's.
pub(crate) fn of_secret(bytes: &[u8]) -> Result<Kubeconfig, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::new("it is not UTF-8 text"))?;
    let config = parse(text, Path::new(""))?;
    let refused = |what: &str, name: &str| {
        Failure::new(format!(
            "its kubeconfig has {what} ({name}), which a Secret may not ask of this machine"
        ))
    };
    for named in &config.clusters {
        if named.cluster.as_ref().is_some_and(|cluster| cluster.certificate_authority.is_some()) {
            return Err(refused("the field certificate-authority", &format!("cluster {:?}", named.name)));
        }
    }
    for named in &config.auth_infos {
        let Some(user) = &named.auth_info else { continue };
        let local = [
            ("exec", user.exec.is_some()),
            ("auth-provider", user.auth_provider.is_some()),
            ("tokenFile", user.token_file.is_some()),
            ("client-certificate", user.client_certificate.is_some()),
            ("client-key", user.client_key.is_some()),
        ];
        if let Some((field, _)) = local.iter().find(|(_, is_there)| *is_there) {
            return Err(refused(&format!("the field {field}"), &format!("user {:?}", named.name)));
        }
    }
    Ok(config)
}

/// Not by the library's own reader, which asks every context for a cluster.
fn parse(text: &str, folder: &Path) -> Result<Kubeconfig, Failure> {
    let mut config = sagene_api::yaml::value(text)?;
    match &mut config {
        Value::Null => return Ok(Kubeconfig::default()),
        Value::Object(fields) => fields.retain(|_, value| !value.is_null()),
        _ => return Err(Failure::new("it is no mapping with clusters, users and contexts")),
    }
    for entry in entries(&mut config, "contexts") {
        if let Some(context) = entry.get_mut("context").and_then(Value::as_object_mut) {
            let cluster = context.entry("cluster").or_insert(Value::Null);
            if cluster.is_null() {
                *cluster = json!("");
            }
        }
    }
    for entry in entries(&mut config, "clusters") {
        absolute(entry.pointer_mut("/cluster/certificate-authority"), folder);
    }
    for entry in entries(&mut config, "users") {
        for field in USER_FILES {
            absolute(entry.pointer_mut(&format!("/user/{field}")), folder);
        }
        // A bare name is looked up in PATH.
        let command = entry.pointer_mut("/user/exec/command");
        absolute(command.filter(|command| command.as_str().is_some_and(|text| text.contains('/'))), folder);
    }
    Ok(serde_json::from_value(config)?)
}

fn entries<'a>(config: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    config.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn absolute(field: Option<&mut Value>, folder: &Path) {
    if let Some(Value::String(path)) = field
        && !path.is_empty()
    {
        *path = folder.join(&*path).display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_gets_neither_programs_nor_files_of_this_machine() {
        let with_user = |user: &str| of_secret(format!("users: [{{name: u, user: {{{user}}}}}]").as_bytes());
        assert!(with_user("token: t, client-key-data: a2V5").is_ok());
        for field in [
            "exec: {command: touch, apiVersion: v1}",
            "auth-provider: {name: gcp, config: {cmd-path: touch}}",
            "tokenFile: /etc/shadow",
            "client-certificate: c.pem",
            "client-key: k.pem",
        ] {
            let name = field.split(':').next().unwrap_or_default();
            let told = with_user(field).expect_err("a danger").error.to_string();
            assert!(told.contains(&format!("has the field {name} (user \"u\")")), "{told}");
        }
        let cluster =
            "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: /etc/passwd}}]";
        assert!(of_secret(cluster.as_bytes()).is_err());
    }

    #[test]
    fn what_kubectl_leaves_out_may_be_missing() {
        let config = |text: &str| parse(text, Path::new("/etc/kube"));
        assert!(config("").expect("empty").contexts.is_empty());
        let emptied = "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: ''\nkind: Config\nusers: null\n";
        assert!(config(emptied).expect("what kubectl leaves when all is deleted").contexts.is_empty());
        let bare = config("contexts: [{name: a, context: {}}, {name: b, context: {namespace: shop}}]\n");
        assert_eq!(bare.expect("contexts without a cluster").contexts.len(), 2);

        let files = "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: ca.pem}}]\n\
                     users: [{name: u, user: {client-key: /k.pem, exec: {command: ./login, apiVersion: v1}}}]\n";
        let files = config(files).expect("files");
        let cluster = files.clusters[0].cluster.clone().unwrap_or_default();
        assert_eq!(cluster.certificate_authority.as_deref(), Some("/etc/kube/ca.pem"));
        let user = files.auth_infos[0].auth_info.clone().unwrap_or_default();
        assert_eq!(user.client_key.as_deref(), Some("/k.pem"));
        assert_eq!(user.exec.and_then(|exec| exec.command).as_deref(), Some("/etc/kube/./login"));
        for wrong in ["just text", "- 1", "contexts: 3", "a: [", &"[".repeat(100_000)] {
            let told = config(wrong).expect_err("no kubeconfig").error.to_string();
            assert!(!told.contains('\n'), "{told}");
        }
    }
}
