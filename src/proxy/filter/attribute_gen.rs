//! Istio's extension `attributegen`: attributes that expressions make of a request and its answer, for the labels of metrics.
//!
//! It comes as the filter that runs WebAssembly, with a module that is a part of the proxy. Other modules are refused.

use std::sync::Arc;

use envoy_types::pb::envoy::extensions::wasm::v3::plugin_config::Vm;
use envoy_types::pb::envoy::extensions::wasm::v3::{PluginConfig, VmConfig};
use sagene_model::attribute_gen::{AttributeGen as Declared, MODULE};

use super::cel::Cel;
use crate::config::proto::core::async_data_source::Specifier;
use crate::config::proto::core::data_source::Specifier as Local;
use crate::config::proto::{self, http};
use crate::config::{FieldError, Within};
use crate::http::exchange::Exchange;

/// The compiled attributes.
#[derive(Debug)]
pub(crate) struct AttributeGen(Vec<Generated>);

#[derive(Debug)]
struct Generated {
    name: Arc<str>,
    on_request: bool,
    /// No condition always holds; one that the proxy does not understand never.
    rules: Vec<(Option<Condition>, Arc<str>)>,
}

#[derive(Debug)]
enum Condition {
    Known(Cel),
    Unknown,
}

/// An attribute of one request: its name, without `wasm.`, and its value.
pub(crate) type Attribute = (Arc<str>, Arc<str>);

/// What an `Any` around a text holds.
#[derive(Clone, PartialEq, prost::Message)]
struct StringValue {
    #[prost(string, tag = "1")]
    value: String,
}

impl AttributeGen {
    pub(crate) fn compile(from: &http::wasm::v3::Wasm) -> Result<Self, FieldError> {
        let config = from.config.as_ref().ok_or_else(|| FieldError::new("config", "is missing"))?;
        Self::of(config).within("config")
    }

    fn of(config: &PluginConfig) -> Result<Self, FieldError> {
        let module = match &config.vm {
            Some(Vm::VmConfig(vm)) => module(vm),
            _ => None,
        };
        if module.as_deref() != Some(MODULE) {
            let reason = format!(
                "WebAssembly is not run; of Istio's extensions {MODULE} is built in (vm_config.code.local.inline_string)"
            );
            return Err(FieldError::new("vm_config", reason));
        }
        let wrong = |reason: String| FieldError::new("configuration", reason);
        let any = config.configuration.as_ref().ok_or_else(|| wrong("is missing".to_owned()))?;
        let text: StringValue = proto::decode(any)?;
        let json = serde_json::from_str(&text.value).map_err(|error| wrong(format!("no JSON: {error}")))?;
        let declared = Declared::read(&json).map_err(|error| wrong(error.to_string()))?;
        Ok(Self(declared.attributes.into_iter().map(Generated::of).collect()))
    }
}

/// The module's code, where it stands in the configuration.
fn module(vm: &VmConfig) -> Option<String> {
    let Some(Specifier::Local(source)) = &vm.code.as_ref()?.specifier else { return None };
    match source.specifier.as_ref()? {
        Local::InlineString(text) => Some(text.clone()),
        Local::InlineBytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

impl Generated {
    fn of(from: sagene_model::attribute_gen::Generated) -> Self {
        let condition = |text: String| match Cel::compile(&text) {
            Ok(cel) => Condition::Known(cel),
            Err(error) => {
                tracing::warn!(attribute = from.name, error = error.reason, "a condition never holds");
                Condition::Unknown
            }
        };
        let rules = from.rules.into_iter().map(|(value, text)| (text.map(condition), value.into()));
        Self { rules: rules.collect(), on_request: from.on_request, name: from.name.as_str().into() }
    }
}

impl Exchange {
    /// Works the attributes out that are due: those of the request when it comes, the others when all is known.
    pub(crate) fn generate_attributes(&mut self, filter: &AttributeGen, on_request: bool) {
        for each in filter.0.iter().filter(|each| each.on_request == on_request) {
            let facts = self.cel_facts();
            let holds = |condition: &Option<Condition>| match condition {
                None => true,
                Some(Condition::Known(cel)) => cel.is_true(&facts),
                Some(Condition::Unknown) => false,
            };
            let found = each.rules.iter().find(|(condition, _)| holds(condition));
            if let Some((_, value)) = found {
                let made = (each.name.clone(), value.clone());
                self.attributes.push(made);
            }
        }
    }
}
