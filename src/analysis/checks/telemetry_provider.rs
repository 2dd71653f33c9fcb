//! IST0157: a Telemetry that turns access logs on without a provider, where the mesh has no default one. And IST0002: traces to Lightstep,
//! whose provider is deprecated.

use sagene_api::istio::telemetry::Telemetry;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "telemetry.ProviderAnalyzer",
    description: "Access logs without a provider",
    codes: &[Code::InvalidTelemetryProvider],
    how: Run::Whole(run),
};

pub(super) const LIGHTSTEP: Check = Check {
    name: "telemetry.LightstepAnalyzer",
    description: "Traces to the deprecated provider Lightstep",
    codes: &[Code::Deprecated],
    how: Run::Whole(lightstep),
};

fn run(input: &Input) -> Vec<Message> {
    let mesh = &input.mesh_config;
    let has_default =
        mesh.default_providers.as_ref().is_some_and(|providers| !providers.access_logging.is_empty());
    // A file named in MeshConfig is a default, too.
    if has_default
        || input.settings_are_withheld()
        || !mesh.access_log_file.is_empty()
        || mesh.enable_envoy_access_log_service
    {
        return Vec::new();
    }
    let mut messages = Vec::new();
    for telemetry in input.snapshot.telemetries.iter() {
        if let Some(index) = without_provider(&telemetry.spec) {
            let text = format!(
                "The Telemetry {} in namespace {:?} with empty providers will be ignored.",
                telemetry.metadata.name, telemetry.metadata.namespace
            );
            let path = at(&format!("spec.accessLogging[{index}]"));
            messages
                .push(Message::new(Code::InvalidTelemetryProvider, refer(telemetry.as_ref()), text).at(path));
        }
    }
    messages
}

fn without_provider(telemetry: &Telemetry) -> Option<usize> {
    telemetry
        .access_logging
        .iter()
        .position(|logging| logging.disabled != Some(true) && logging.providers.is_empty())
}

fn lightstep(input: &Input) -> Vec<Message> {
    let providers = &input.mesh_config.extension_providers;
    let is_lightstep =
        |name: &str| providers.iter().any(|provider| provider.name == name && provider.lightstep.is_some());
    let mut messages = Vec::new();
    for telemetry in input.snapshot.telemetries.iter() {
        for (index, tracing) in telemetry.spec.tracing.iter().enumerate() {
            let position = tracing.providers.iter().position(|provider| is_lightstep(&provider.name));
            let Some(position) = position else { continue };
            let text =
                "Deprecated: The Lightstep provider is deprecated, please migrate to OpenTelemetry provider.";
            let path = at(&format!("spec.tracing[{index}].providers[{position}].name"));
            messages
                .push(Message::new(Code::Deprecated, refer(telemetry.as_ref()), text.to_owned()).at(path));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::texts_with_mesh;
    use super::*;

    fn telemetry(spec: &str) -> String {
        format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t, namespace: 'n'}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn access_logs_need_a_provider() {
        let found = |mesh: &str, spec: &str| texts_with_mesh(&CHECK, mesh, &telemetry(spec));
        assert_eq!(
            found("{}", "{accessLogging: [{}]}"),
            ["The Telemetry t in namespace \"n\" with empty providers will be ignored."]
        );
        for (mesh, spec) in [
            ("{}", "{accessLogging: [{providers: [{name: envoy}]}]}"),
            ("{}", "{accessLogging: [{disabled: true}]}"),
            ("{}", "{}"),
            ("{defaultProviders: {accessLogging: [envoy]}}", "{accessLogging: [{}]}"),
            ("{accessLogFile: /dev/stdout}", "{accessLogging: [{}]}"),
        ] {
            assert!(found(mesh, spec).is_empty(), "{mesh} {spec}");
        }
    }

    #[test]
    fn lightstep_is_deprecated() {
        let mesh = "extensionProviders: [{name: l, lightstep: {service: s, port: 1}}, {name: z, zipkin: {service: s, port: 1}}]";
        let found = |name: &str| {
            texts_with_mesh(
                &LIGHTSTEP,
                mesh,
                &telemetry(&format!("{{tracing: [{{providers: [{{name: {name}}}]}}]}}")),
            )
        };
        assert_eq!(found("l").len(), 1);
        assert!(found("z").is_empty());
    }
}
