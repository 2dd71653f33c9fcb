//! IST0106, IST0133: objects that break a rule of their kind, or come close. One analyzer for each kind, as in Istio.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::networking::{
    DestinationRule, EnvoyFilter, Gateway, ProxyConfig, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
    WorkloadGroup,
};
use sagene_api::istio::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use sagene_api::istio::telemetry::Telemetry;
use sagene_model::snapshot::Collected;

use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;
use crate::validation::shape::is_told;
use crate::validation::{Problem, Severity, Validate, mesh_config, problems_of, validate};

/// Beginning of the analyzers' names; the kind follows.
pub(crate) const NAME: &str = "schema.ValidationAnalyzer.";

/// How messages call the settings of the mesh that a file gives.
pub(crate) const MESH: &str = "MeshConfig";

const CODES: &[Code] = &[Code::SchemaValidationError, Code::SchemaWarning];

macro_rules! analyzers {
    ($($name:ident = $kind:literal, $how:expr;)+) => {
        $(pub(super) const $name: Check = Check {
            name: concat!("schema.ValidationAnalyzer.", $kind),
            description: concat!("Rules of ", $kind),
            codes: CODES,
            how: $how,
        };)+

        /// The analyzers of all kinds.
        pub(crate) const ALL: &[Check] = &[$($name),+];
    };
}

analyzers! {
    AUTHORIZATION_POLICY = "AuthorizationPolicy", Run::Whole(of_kind::<AuthorizationPolicy>);
    DESTINATION_RULE = "DestinationRule", Run::Whole(of_kind::<DestinationRule>);
    ENVOY_FILTER = "EnvoyFilter", Run::Whole(of_kind::<EnvoyFilter>);
    GATEWAY = "Gateway", Run::Whole(of_kind::<Gateway>);
    MESH_CONFIG = "MeshConfig", Run::Whole(mesh);
    MESH_NETWORKS = "MeshNetworks", Run::Whole(networks);
    PEER_AUTHENTICATION = "PeerAuthentication", Run::Whole(of_kind::<PeerAuthentication>);
    PROXY_CONFIG = "ProxyConfig", Run::Whole(of_kind::<ProxyConfig>);
    REQUEST_AUTHENTICATION = "RequestAuthentication", Run::Whole(of_kind::<RequestAuthentication>);
    SERVICE_ENTRY = "ServiceEntry", Run::Whole(of_kind::<ServiceEntry>);
    SIDECAR = "Sidecar", Run::Whole(of_kind::<Sidecar>);
    TELEMETRY = "Telemetry", Run::Whole(of_kind::<Telemetry>);
    TRAFFIC_EXTENSION = "TrafficExtension", Run::Whole(as_written);
    VIRTUAL_SERVICE = "VirtualService", Run::VirtualServices(|input| Some(Box::new(judge::<VirtualService>(input))));
    WASM_PLUGIN = "WasmPlugin", Run::Whole(of_kind::<WasmPlugin>);
    WORKLOAD_ENTRY = "WorkloadEntry", Run::Whole(of_kind::<WorkloadEntry>);
    WORKLOAD_GROUP = "WorkloadGroup", Run::Whole(of_kind::<WorkloadGroup>);
}

/// The problems of reading that belong to some of the analyzers; those of kinds that have none belong to all of them together.
pub(crate) fn problems_for<'i>(input: &'i Input, checks: &[&Check]) -> impl Iterator<Item = &'i Message> {
    let kinds: BTreeSet<&str> = checks.iter().filter_map(|check| check.name.strip_prefix(NAME)).collect();
    let all = ALL.iter().all(|check| check.name.strip_prefix(NAME).is_some_and(|kind| kinds.contains(kind)));
    let kinds: BTreeSet<String> = kinds.into_iter().map(str::to_owned).collect();
    input.problems.iter().filter(move |problem| all || kinds.contains(problem.object.kind.as_ref()))
}

fn of_kind<S: Collected + Validate>(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    let judge = judge::<S>(input);
    S::collection(&input.snapshot).iter().for_each(|object| judge(object, &mut messages));
    messages
}

/// What the shape of objects breaks is found when they are read, and in [`Input::problems`]; here are the rules beyond it.
fn judge<'i, S: Collected + Validate>(
    input: &'i Input,
) -> impl Fn(&Arc<Object<S>>, &mut Vec<Message>) + use<'i, S> {
    let mut told: BTreeMap<&ObjectRef, Vec<&Message>> = BTreeMap::new();
    for message in input.problems.iter().filter(|message| message.object.kind == S::KIND) {
        told.entry(&message.object).or_default().push(message);
    }
    move |object, messages| {
        let problems = validate(object.as_ref());
        if problems.is_empty() {
            return;
        }
        let object = reference(object);
        let of_object = told.get(&object).map(Vec::as_slice).unwrap_or_default();
        let is_new =
            |problem: &Problem| !of_object.iter().any(|it| is_told(&problem.path, &it.path, &it.text));
        let new = problems.into_iter().filter(is_new);
        messages.extend(new.map(|problem| message(object.clone(), problem)));
    }
}

/// Kinds that have no collection, and such that no API group of Istio has.
fn as_written(input: &Input) -> Vec<Message> {
    let objects = input.untyped.iter();
    objects
        .flat_map(|(object, value)| {
            problems_of(value).into_iter().map(|problem| message(object.clone(), problem))
        })
        .collect()
}

/// The settings of the mesh: those of ConfigMaps, and those that a file gives instead.
fn mesh(input: &Input) -> Vec<Message> {
    let mut messages = in_maps(input, "mesh", mesh_config::problems_in_text);
    if let (Some(written), Some(file)) = (&input.mesh_config_written, &input.mesh_config_file) {
        let object = ObjectRef::new(MESH, &input.mesh.root_namespace, "meshconfig");
        let problems = mesh_config::problems(written).into_iter();
        messages.extend(problems.map(|problem| message(object.clone(), problem).in_document(file)));
    }
    messages
}

fn networks(input: &Input) -> Vec<Message> {
    in_maps(input, "meshNetworks", mesh_config::network_problems_in_text)
}

fn in_maps(input: &Input, key: &str, problems: fn(&str) -> Vec<Problem>) -> Vec<Message> {
    let mut messages = Vec::new();
    for map in input.snapshot.config_maps.iter() {
        let name = map.metadata.name.as_str();
        if name != "istio" && !name.starts_with("istio-") {
            continue;
        }
        for problem in map.spec.data.get(key).map(|text| problems(text)).into_iter().flatten() {
            let text = format!("Schema validation {}: {problem}", word(&problem));
            let path = problem.path.below(&FieldPath::parse("data").key(key));
            messages.push(Message::new(problem.code, reference(map), text).at(path));
        }
    }
    messages
}

fn word(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A broken rule as a finding.
pub(crate) fn message(object: ObjectRef, problem: Problem) -> Message {
    let text = match problem.code {
        Code::SchemaValidationError | Code::SchemaWarning => {
            format!("Schema validation {}: {problem}", word(&problem))
        }
        // The others have words of their own.
        _ => problem.message.clone(),
    };
    Message::new(problem.code, object, text).at(problem.path)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;
    use crate::input::{Document, SourceFile, load};

    fn all(read: fn(&Check, &str) -> Vec<String>, yaml: &str) -> Vec<String> {
        ALL.iter().flat_map(|check| read(check, yaml)).collect()
    }

    #[test]
    fn the_field_that_breaks_the_rule_is_named() {
        let yaml = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: -1\n    - destination: {host: b}\n";
        assert_eq!(all(findings, yaml), ["IST0106 VirtualService default/v@9"]);
        assert_eq!(
            all(texts, yaml),
            ["Schema validation error: spec.http[0].route[0].weight: weight -1 < 0"]
        );
    }

    #[test]
    fn a_mistake_of_shape_is_told_once_and_where_it_stands() {
        let yaml = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: ['*']\n  resolutoin: DNS\n";
        let mut input = Input::default();
        assert!(load(&mut input, "f.yaml", yaml.to_owned(), "default").is_empty());
        let all: Vec<String> = crate::analyze(&input)
            .iter()
            .map(|it| format!("{} {}", input.location(it).map_or(0, |place| place.line), it.text))
            .collect();
        assert_eq!(
            all,
            [
                "5 Schema validation error: spec.hosts[0]: hostname cannot be wildcard",
                "6 Schema validation error: spec.resolutoin: unknown field \"resolutoin\"; did you mean \"resolution\"?",
            ]
        );
    }

    #[test]
    fn kinds_that_are_not_collected_and_settings_of_the_mesh_count() {
        let yaml = "apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {name: t}\nspec: {}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    proxyListenPort: 70000\n";
        assert_eq!(
            all(findings, yaml),
            ["IST0106 ConfigMap istio-system/istio@11", "IST0106 TrafficExtension default/t@4"]
        );
    }

    #[test]
    fn settings_of_a_file_are_told_where_they_stand() {
        let text = "# settings\naccessLogFile: /dev/stdout\ndefaultConfig:\n  statusPort: 99999\n".to_owned();
        let mut input = Input::default();
        input.set_mesh_config(&text).expect("settings");
        let file = Arc::new(SourceFile { name: "mesh.yaml".into(), text });
        input.mesh_config_file = Some(Arc::new(Document::whole(file)));
        let found = MESH_CONFIG.run(&input);
        let place = input.location(&found[0]).expect("a place");
        assert_eq!((&*place.file, place.line, place.column), ("mesh.yaml", 4, 15));
    }
}
