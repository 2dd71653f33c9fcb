//! Resolves a request to an [`Installation`]: the merged settings, the values and mesh config derived from them.

use sagene_api::ParseError;
use sagene_api::istio::mesh_config::MeshConfig;
use sagene_api::schema::proto_names::to_json_names;
use serde_json::{Value, json};

use super::overlay::merge;
use super::{InstallRequest, ProfileError, SourceFile, builtin, path, schema, types};
use crate::inject::template_problem;

const NO_CNI: &str =
    "the CNI node agent is not part of this version; the init container captures the traffic";
const NO_ZTUNNEL: &str = "ambient mode is not part of this version; pods get sidecars";

/// Everything rendering needs, resolved.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Name of the profile it started from.
    pub profile: String,
    /// `metadata.name` of the last IstioOperator that has one: several with names of their own live side by side in one revision.
    pub name: String,
    /// Revision, empty for the default one.
    pub revision: String,
    /// Namespace of the control plane.
    pub namespace: String,
    /// The merged `spec`, as `profile dump` shows it.
    pub spec: Value,
    /// The merged values with hub and tag filled in.
    pub values: Value,
    /// Mesh config as it goes to ConfigMap `istio`.
    pub mesh: Value,
    /// What the user should know but what does not stop the installation.
    pub warnings: Vec<String>,
}

impl Installation {
    /// `-<revision>`, or nothing for the default revision.
    #[must_use]
    pub fn suffix(&self) -> String {
        if self.revision.is_empty() { String::new() } else { format!("-{}", self.revision) }
    }

    /// The revision's label value: `default` when unnamed.
    #[must_use]
    pub fn revision_label(&self) -> &str {
        if self.revision.is_empty() { "default" } else { &self.revision }
    }

    /// What an installation's objects are labeled with, by which later ones find what to remove: `installed-state`, the name and the
    /// revision, as istioctl has it.
    #[must_use]
    pub fn owner(&self) -> String {
        let parts = ["installed-state", &self.name, &self.revision];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
    }

    /// The tag of the images.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.values.pointer("/global/tag").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Merges profile, files and assignments and checks the result.
///
/// # Errors
/// When a file, an assignment or the outcome is not an installation this version can make.
pub fn resolve(request: &InstallRequest) -> Result<Installation, ProfileError> {
    let user = user_spec(request)?;
    let profile = user.get("profile").and_then(Value::as_str).unwrap_or("default").to_owned();
    let mut spec = builtin::profile(&profile)?;
    let mut warnings = Vec::new();
    let defaults = builtin::profile("default")?;
    for wrong in mistaken(&user, &defaults) {
        if !request.force {
            return Err(wrong);
        }
        let is_unknown = matches!(wrong, ProfileError::UnknownSettings { .. });
        let end = if is_unknown { " has no effect" } else { "" };
        warnings.extend(wrong.settings().into_iter().map(|(_, told)| format!("{told}{end}")));
    }
    merge(&mut spec, user);
    spec["profile"] = json!(profile);
    check(&spec)?;
    let values = values(&spec, &request.default_tag);
    let text = |pointer: &str| values.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let revision = match text("/revision").as_str() {
        "default" => String::new(),
        revision => revision.to_owned(),
    };
    check_revision(&revision)?;
    warnings.extend(notices(&spec, &values));
    let namespace = text("/global/istioNamespace");
    let mesh = mesh(&spec, &values, &namespace, &revision);
    match check_mesh(&mesh) {
        Err(wrong) if request.force => warnings.push(wrong.to_string()),
        checked => checked?,
    }
    Ok(Installation { profile, name: name(request)?, revision, namespace, spec, values, mesh, warnings })
}

/// Why [`resolve`] would refuse a request: every reason, as far as none hides another.
#[must_use]
pub fn refusals(request: &InstallRequest) -> Vec<ProfileError> {
    let (user, defaults) = match (user_spec(request), builtin::profile("default")) {
        (Ok(user), Ok(defaults)) => (user, defaults),
        (Err(wrong), _) | (_, Err(wrong)) => return vec![wrong],
    };
    let profile = user.get("profile").and_then(Value::as_str).map(builtin::profile);
    let mut refusals: Vec<ProfileError> = profile.and_then(Result::err).into_iter().collect();
    refusals.extend(mistaken(&user, &defaults));
    if refusals.is_empty() {
        refusals.extend(resolve(request).err());
    }
    refusals
}

/// Settings that nothing reads, and such with values that they cannot have.
fn mistaken(user: &Value, defaults: &Value) -> Vec<ProfileError> {
    let (paths, types) = (schema::unknown(user, defaults), types::mistakes(user, defaults));
    let unknown = (!paths.is_empty()).then_some(ProfileError::UnknownSettings { paths });
    let types = (!types.is_empty()).then_some(ProfileError::Types(types));
    unknown.into_iter().chain(types).collect()
}

/// The mesh's settings are refused here, where somebody reads it: a control plane that cannot read them keeps the last ones.
fn check_mesh(mesh: &Value) -> Result<(), ProfileError> {
    let Err(wrong) = MeshConfig::from_layers([mesh.clone()]) else { return Ok(()) };
    Err(match wrong {
        ParseError::Field { path, message } => {
            ProfileError::Invalid { path: format!("meshConfig.{path}"), reason: message }
        }
        other => ProfileError::Invalid { path: "meshConfig".to_owned(), reason: other.to_string() },
    })
}

/// What the user wrote, without the profile.
fn user_spec(request: &InstallRequest) -> Result<Value, ProfileError> {
    let mut user = json!({});
    for file in &request.files {
        merge(&mut user, document(file)?["spec"].take());
    }
    if let Some(revision) = request.revision.as_deref().filter(|revision| !revision.is_empty()) {
        user["revision"] = json!(revision);
    }
    if !request.sets.is_empty() {
        assign(&mut user, &request.sets)?;
    }
    for mesh in ["/meshConfig", "/values/meshConfig"] {
        if let Some(mesh) = user.pointer_mut(mesh) {
            to_json_names::<MeshConfig>(mesh);
        }
    }
    Ok(user)
}

/// Assignments such as list[0] address what the profile has, so they see the profile below them.
fn assign(user: &mut Value, assignments: &[String]) -> Result<(), ProfileError> {
    let named = |user: &Value| user.get("profile").and_then(Value::as_str).unwrap_or("default").to_owned();
    let mut probe = user.clone();
    for assignment in assignments.iter().filter(|assignment| assignment.starts_with("profile=")) {
        set(&mut probe, assignment)?;
    }
    let base = builtin::profile(&named(&probe))?;
    for assignment in assignments {
        seed_list(user, &base, assignment);
        set(user, assignment)?;
    }
    Ok(())
}

fn set(user: &mut Value, assignment: &str) -> Result<(), ProfileError> {
    let bad = |source| ProfileError::Set { assignment: assignment.to_owned(), source };
    path::set(user, assignment).map(drop).map_err(bad)
}

/// Copies a list of the profile into the user's settings before an assignment changes one element of it: lists are replaced whole.
fn seed_list(user: &mut Value, base: &Value, assignment: &str) {
    let Some(end) = assignment.find('[').filter(|end| *end < assignment.find('=').unwrap_or(usize::MAX))
    else {
        return;
    };
    let pointer = format!("/{}", assignment[..end].trim_end_matches('.').replace('.', "/"));
    if user.pointer(&pointer).is_none()
        && let Some(list) = base.pointer(&pointer).filter(|list| list.is_array())
    {
        let mut slot = &mut *user;
        for key in pointer.split('/').skip(1) {
            slot = &mut slot[key];
        }
        *slot = list.clone();
    }
}

/// The name that the files give to the installation; empty for none. It becomes part of a label.
fn name(request: &InstallRequest) -> Result<String, ProfileError> {
    let mut name = String::new();
    for file in &request.files {
        let document = document(file)?;
        if let Some(given) = document.pointer("/metadata/name").and_then(Value::as_str) {
            given.clone_into(&mut name);
        }
    }
    Ok(name)
}

fn document(file: &SourceFile) -> Result<Value, ProfileError> {
    let wrong = |reason: String| ProfileError::NotAnOperator { file: file.name.clone(), reason };
    let mut documents = Vec::new();
    let read = sagene_api::yaml::documents(&file.text)
        .map_err(|source| ProfileError::Yaml { file: file.name.clone(), source })?;
    documents.extend(read.into_iter().filter(|document| !document.is_null()));
    let [document] = documents.as_mut_slice() else {
        return Err(wrong(format!("expected one IstioOperator, found {} documents", documents.len())));
    };
    match document.get("kind").and_then(Value::as_str) {
        Some("IstioOperator") => Ok(document.take()),
        Some(kind) => Err(wrong(format!("expected kind IstioOperator, found {kind}"))),
        None => Err(wrong("expected kind IstioOperator, found no kind".to_owned())),
    }
}

fn check(spec: &Value) -> Result<(), ProfileError> {
    let enabled = |pointer: &str| spec.pointer(pointer).and_then(Value::as_bool) == Some(true);
    if enabled("/components/cni/enabled") || enabled("/values/pilot/cni/enabled") {
        return Err(ProfileError::UnsupportedComponent { name: "cni", reason: NO_CNI });
    }
    if enabled("/components/ztunnel/enabled") {
        return Err(ProfileError::UnsupportedComponent { name: "ztunnel", reason: NO_ZTUNNEL });
    }
    if spec.get("profile").and_then(Value::as_str) == Some("remote")
        && spec.pointer("/values/global/remotePilotAddress").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        return Err(ProfileError::Invalid {
            path: "values.global.remotePilotAddress".into(),
            reason: "profile remote needs the address of the control plane that serves this cluster".into(),
        });
    }
    check_ports(spec)?;
    check_templates(spec)?;
    for kind in ["ingressGateways", "egressGateways"] {
        let gateways = spec.pointer(&format!("/components/{kind}")).and_then(Value::as_array);
        for (index, gateway) in gateways.into_iter().flatten().enumerate() {
            if gateway.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
                let path = format!("components.{kind}[{index}].name");
                return Err(ProfileError::Invalid { path, reason: "a gateway needs a name".into() });
            }
        }
    }
    Ok(())
}

/// Injection templates of the operator's are refused here, where somebody reads it, and not first when a pod names one.
fn check_templates(spec: &Value) -> Result<(), ProfileError> {
    let templates = spec.pointer("/values/sidecarInjectorWebhook/templates").and_then(Value::as_object);
    let problem = |(name, text): (&String, &Value)| Some((name.clone(), template_problem(name, text)?));
    match templates.into_iter().flatten().find_map(problem) {
        None => Ok(()),
        Some((name, reason)) => Err(ProfileError::Invalid {
            path: format!("values.sidecarInjectorWebhook.templates.{name}"),
            reason,
        }),
    }
}

/// Gateways run without the right to bind the ports below 1024.
fn check_ports(spec: &Value) -> Result<(), ProfileError> {
    let low = |port: &Value| {
        let target = port.get("targetPort").or_else(|| port.get("port")).and_then(Value::as_u64);
        target.is_some_and(|target| (1..1024).contains(&target))
    };
    let refuse = |path: String| ProfileError::Invalid {
        path,
        reason: "gateways do not run as root and cannot listen below 1024: give a targetPort above".into(),
    };
    for (name, gateway) in spec.pointer("/values/gateways").and_then(Value::as_object).into_iter().flatten() {
        if gateway["ports"].as_array().into_iter().flatten().any(low) {
            return Err(refuse(format!("values.gateways.{name}.ports")));
        }
    }
    for kind in ["ingressGateways", "egressGateways"] {
        let gateways = spec.pointer(&format!("/components/{kind}")).and_then(Value::as_array);
        for (index, gateway) in gateways.into_iter().flatten().enumerate() {
            let ports = gateway.pointer("/k8s/service/ports").and_then(Value::as_array);
            if ports.into_iter().flatten().any(low) {
                return Err(refuse(format!("components.{kind}[{index}].k8s.service.ports")));
            }
        }
    }
    Ok(())
}

/// What is accepted and does not do what one might expect.
fn notices(spec: &Value, values: &Value) -> Vec<String> {
    let mut notices = Vec::new();
    let given = |root: &Value, pointer: &str| {
        root.pointer(pointer).and_then(Value::as_str).is_some_and(|text| !text.is_empty())
    };
    if given(spec, "/compatibilityVersion") || given(values, "/compatibilityVersion") {
        notices.push("compatibilityVersion has no effect: this version has one set of defaults".to_owned());
    }
    if given(values, "/global/variant") {
        notices.push("values.global.variant has no effect: there is one image, without a shell".to_owned());
    }
    let fixed = spec.pointer("/components/pilot/k8s/replicaCount").is_some()
        || values.pointer("/pilot/replicaCount").and_then(Value::as_u64).is_some_and(|count| count > 1);
    if fixed && values.pointer("/pilot/autoscaleEnabled").and_then(Value::as_bool) == Some(true) {
        notices.push(
            "values.pilot.autoscaleEnabled is on: the autoscaler decides how many replicas there are, replicaCount is the least"
                .to_owned(),
        );
    }
    notices
}

fn check_revision(revision: &str) -> Result<(), ProfileError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if revision.len() <= 63
        && revision.bytes().all(allowed)
        && !revision.starts_with('-')
        && !revision.ends_with('-')
    {
        return Ok(());
    }
    Err(ProfileError::Invalid {
        path: "revision".into(),
        reason: format!("{revision:?} is not a name of lower-case letters, digits and '-' (at most 63)"),
    })
}

/// The translations of istioctl: hub, tag, revision and mesh config given at the top reach the values.
fn values(spec: &Value, default_tag: &str) -> Value {
    let mut values = spec.get("values").cloned().unwrap_or_else(|| json!({}));
    let given = |key: &str| spec.get(key).filter(|value| value.as_str() != Some("")).cloned();
    for key in ["hub", "tag"] {
        if values["global"].get(key).is_none() {
            values["global"][key] =
                given(key).unwrap_or_else(|| json!(if key == "tag" { default_tag } else { "" }));
        }
    }
    if let Some(revision) = given("revision") {
        values["revision"] = revision;
    }
    if let Some(namespace) = given("namespace") {
        values["global"]["istioNamespace"] = namespace;
    }
    values
}

fn mesh(spec: &Value, values: &Value, namespace: &str, revision: &str) -> Value {
    let suffix = if revision.is_empty() { String::new() } else { format!("-{revision}") };
    let remote = values
        .pointer("/global/remotePilotAddress")
        .and_then(Value::as_str)
        .filter(|address| !address.is_empty());
    let discovery = remote.map_or_else(
        || format!("istiod{suffix}.{namespace}.svc:15012"),
        |address| format!("{address}:15012"),
    );
    let trust_domain =
        values.pointer("/global/trustDomain").and_then(Value::as_str).filter(|domain| !domain.is_empty());
    let off = |pointer: &str| values.pointer(pointer).and_then(Value::as_bool) == Some(false);
    let metrics = if ["/telemetry/enabled", "/telemetry/v2/enabled", "/telemetry/v2/prometheus/enabled"]
        .into_iter()
        .any(off)
    {
        json!([])
    } else {
        json!(["prometheus"])
    };
    let mut mesh = json!({
        "defaultConfig": {"discoveryAddress": discovery},
        "defaultProviders": {"metrics": metrics},
        "enablePrometheusMerge": true,
        "rootNamespace": namespace,
        "trustDomain": trust_domain.unwrap_or("cluster.local"),
    });
    for overlay in [values.get("meshConfig"), spec.get("meshConfig")].into_iter().flatten() {
        merge(&mut mesh, overlay.clone());
    }
    mesh
}
