//! Attributes that Istio's extension `attributegen` makes for the labels of metrics.

use std::sync::Arc;

use envoy_types::pb::envoy::extensions::wasm::v3::plugin_config::Vm;
use envoy_types::pb::envoy::extensions::wasm::v3::{PluginConfig, VmConfig};
use prost::Message;
use sagene_api::Object;
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::types::WorkloadMode;
use sagene_model::attribute_gen::{AttributeGen, MODULE, is_attribute_gen};
use sagene_model::gateway_api::is_targeted;
use sagene_model::labels::{Labels, has_all};

use super::super::proto::{Any, core, http};
use super::Side;
use crate::index::Index;

/// The plugins of this extension that hold for a workload of this namespace with these labels: those with the highest priority first,
/// of equals the oldest.
pub(super) fn plugins(index: &Index, namespace: &str, labels: &Labels) -> Vec<Arc<Object<WasmPlugin>>> {
    let mesh = (&index.snapshot, &index.settings.mesh);
    let root = index.settings.mesh.root_namespace.as_str();
    let holds = |object: &&Arc<Object<WasmPlugin>>| {
        let (spec, place) = (&object.spec, object.metadata.namespace.as_str());
        let mut targets = spec.target_ref.iter().chain(&spec.target_refs).peekable();
        if targets.peek().is_some() {
            return is_targeted(targets, place, mesh, namespace, labels);
        }
        let selected = spec.selector.as_ref().is_none_or(|selector| has_all(labels, &selector.match_labels));
        selected && (place == root || place == namespace)
    };
    let all = index.snapshot.wasm_plugins.iter().filter(|object| is_attribute_gen(&object.spec));
    let mut found: Vec<_> = all.filter(holds).cloned().collect();
    found.sort_by_key(|object| {
        let priority = std::cmp::Reverse(object.spec.priority.unwrap_or_default());
        (priority, object.metadata.creation_timestamp, object.metadata.name.clone())
    });
    found
}

/// The configuration of the filter for one plugin; `None` where it does not count for this side, or cannot be read.
pub(super) fn filter(plugin: &Object<WasmPlugin>, side: Side) -> Option<http::wasm::v3::Wasm> {
    let spec = &plugin.spec;
    let meant = |mode: WorkloadMode| match mode {
        WorkloadMode::Undefined | WorkloadMode::ClientAndServer => true,
        WorkloadMode::Client => side == Side::Client,
        WorkloadMode::Server => side == Side::Server,
    };
    if !spec.r#match.is_empty() && !spec.r#match.iter().any(|traffic| meant(traffic.mode)) {
        return None;
    }
    let config = spec.plugin_config.as_ref()?;
    AttributeGen::read(config).ok()?;
    let code = core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(MODULE.to_owned())),
        ..core::DataSource::default()
    };
    let vm = VmConfig {
        runtime: "envoy.wasm.runtime.null".to_owned(),
        code: Some(core::AsyncDataSource {
            specifier: Some(core::async_data_source::Specifier::Local(code)),
        }),
        ..VmConfig::default()
    };
    let configuration = Any {
        type_url: "type.googleapis.com/google.protobuf.StringValue".to_owned(),
        value: config.to_string().encode_to_vec(),
    };
    let config = PluginConfig {
        name: format!("{}.{}", plugin.metadata.namespace, plugin.metadata.name),
        configuration: Some(configuration),
        vm: Some(Vm::VmConfig(vm)),
        ..PluginConfig::default()
    };
    Some(http::wasm::v3::Wasm { config: Some(config) })
}
