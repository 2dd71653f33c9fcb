//! References to nothing, for the statuses of the objects that hold them: hosts, subsets, gateways, Secrets that are not there. The finders
//! are those of `analyze`, so that both say the same.

use std::collections::BTreeMap;

use sagene_analysis::incremental::Analysis;
use sagene_analysis::{Code, Input, Message, checks};
use sagene_model::{Kind, Mesh, Snapshot};
use serde_json::{Value, json};

use crate::discovery::Discovery;

/// The checks that look behind references.
const CHECKS: [&str; 4] = [
    "gateway.SecretAnalyzer",
    "virtualservice.DestinationHostAnalyzer",
    "virtualservice.DestinationRuleAnalyzer",
    "virtualservice.GatewayAnalyzer",
];

/// What one object refers to and is not there.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Unresolved {
    pub(super) generation: i64,
    /// `spec.http[0].route[0].destination.subset: Referenced … not found: "…"`, one for each reference.
    pub(super) messages: Vec<String>,
    /// `status.validationMessages`, as Istio writes them.
    pub(super) validation: Vec<Value>,
}

/// Looks behind the references, again and again: a change of the mesh costs what it concerns.
#[derive(Default)]
pub(super) struct Finder {
    /// Of the last look; none before the first.
    analysis: Option<Analysis>,
}

impl Finder {
    /// Every object with a reference to nothing, in the mesh as it is now.
    pub(super) fn unresolved(
        &mut self,
        discovery: &Discovery,
    ) -> BTreeMap<(Kind, String, String), Unresolved> {
        let options = &discovery.options;
        let mesh = Mesh::of(&discovery.mesh_config.load(), &options.domain, &options.cluster_id);
        self.of(discovery.snapshot(), mesh)
    }

    fn of(&mut self, snapshot: Snapshot, mesh: Mesh) -> BTreeMap<(Kind, String, String), Unresolved> {
        let mut found: BTreeMap<_, Unresolved> = BTreeMap::new();
        let analysis = self.brought_up(snapshot, mesh);
        let missing = analysis.findings().into_iter();
        for message in missing.filter(|message| message.code == Code::ReferencedResourceNotFound) {
            let Some((kind, generation)) = object(&analysis.input().snapshot, &message) else { continue };
            let name = (kind, message.object.namespace.clone(), message.object.name.clone());
            let unresolved = found.entry(name).or_default();
            unresolved.generation = generation;
            unresolved.messages.push(format!("{}: {}", message.path, message.text));
            unresolved.validation.push(validation(&message));
        }
        found
    }

    /// The analysis, brought up to this state. Other settings of the mesh ask for a new one.
    fn brought_up(&mut self, snapshot: Snapshot, mesh: Mesh) -> &Analysis {
        let last = self.analysis.take().filter(|analysis| analysis.input().mesh == mesh);
        self.analysis.insert(match last {
            Some(mut analysis) => {
                analysis.advance(snapshot);
                analysis
            }
            None => {
                let finders = checks::ALL.iter().filter(|check| CHECKS.contains(&check.name)).collect();
                Analysis::new(Input { snapshot, mesh, ..Input::default() }, finders)
            }
        })
    }
}

fn object(snapshot: &Snapshot, message: &Message) -> Option<(Kind, i64)> {
    let (namespace, name) = (message.object.namespace.as_str(), message.object.name.as_str());
    match &*message.object.kind {
        "VirtualService" => {
            let object = snapshot.virtual_services.get(namespace, name)?;
            Some((Kind::VirtualService, object.metadata.generation))
        }
        "Gateway" => {
            let object = snapshot.gateways.get(namespace, name)?;
            Some((Kind::Gateway, object.metadata.generation))
        }
        _ => None,
    }
}

fn validation(message: &Message) -> Value {
    let code = message.code;
    json!({
        "documentationUrl": format!(
            "https://istio.io/latest/docs/reference/config/analysis/{}/", code.id().to_lowercase()
        ),
        "level": code.level().name().to_uppercase(),
        "type": {"code": code.id(), "name": code.name()},
    })
}

#[cfg(test)]
mod tests {
    use sagene_store::{Store, memory::Memory};

    use super::*;

    #[test]
    fn a_route_to_a_subset_that_nobody_defined_is_told_with_its_field() {
        let store = Store::new();
        let mut memory = Memory::new(&store);
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {"ports": [{"port": 80}]}});
        let route = |subset: &str| {
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                "metadata": {"name": "cart", "namespace": "shop", "generation": 3},
                "spec": {"hosts": ["cart"], "http": [{"route": [{"destination": {"host": "cart", "subset": subset}}]}]}})
        };
        memory.apply(service).expect("a kind");
        memory.apply(route("v2")).expect("a kind");
        memory.publish();
        let mut finder = Finder::default();
        let mut look = |store: &Store| finder.of(Snapshot::clone(&store.snapshot()), Mesh::default());
        let found = look(&store);
        let name = (Kind::VirtualService, "shop".to_owned(), "cart".to_owned());
        let unresolved = found.get(&name).expect("found");
        assert_eq!(unresolved.generation, 3);
        assert_eq!(
            unresolved.messages,
            [
                "spec.http[0].route[0].destination.subset: Referenced host+subset in destinationrule not found: \"cart+v2\""
            ]
        );
        assert_eq!(unresolved.validation[0]["type"]["code"], "IST0101");
        memory.apply(route("")).expect("a kind");
        memory.publish();
        assert!(look(&store).is_empty());
        memory.apply(route("v3")).expect("a kind");
        memory.publish();
        assert!(look(&store)[&name].messages[0].ends_with("not found: \"cart+v3\""));
    }
}
