//! Rules of WasmPlugin, TrafficExtension and ProxyConfig.

use sagene_api::Object;
use sagene_api::istio::extensions::{
    EnvValueSource, TrafficExtension, TrafficSelector, VmConfig, WasmPlugin,
};
use sagene_api::istio::networking::ProxyConfig;

use sagene_model::attribute_gen::{AttributeGen, is_attribute_gen};
use serde_json::Value;

use super::common::{attachment, port, workload_selector};
use super::telemetry::expression;
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

/// Where modules may come from.
const SCHEMES: &[&str] = &["http", "https", "file", "oci"];

impl Validate for WasmPlugin {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        attachment(&mut report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
        module(&mut report, &path, &spec.url, &spec.sha256, spec.vm_config.as_ref());
        matches(&mut report, &path, &spec.r#match);
        if is_attribute_gen(spec) {
            attribute_gen(&mut report, &path.key("pluginConfig"), spec.plugin_config.as_ref());
        }
        report.finish()
    }
}

/// The configuration of Istio's extension that makes attributes.
fn attribute_gen(report: &mut Report, path: &FieldPath, config: Option<&Value>) {
    let Some(config) = config else {
        return report.error(path, "attributegen needs a configuration: attributes".to_owned());
    };
    match AttributeGen::read(config) {
        Err(error) => report.error(&FieldPath::parse(&error.path).below(path), error.reason),
        Ok(read) => {
            for (field, condition) in read.conditions() {
                let field = FieldPath::parse(&field).below(path);
                expression(report, &field, condition, |_| "the condition never holds");
            }
        }
    }
}

impl Validate for TrafficExtension {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        attachment(&mut report, spec.selector.as_ref(), None, &spec.target_refs);
        report.require(
            spec.wasm.is_some() != spec.lua.is_some(),
            &path,
            "exactly one of wasm or lua must be set",
        );
        if let Some(wasm) = &spec.wasm {
            module(&mut report, &path.key("wasm"), &wasm.url, &wasm.sha256, wasm.vm_config.as_ref());
        }
        if let Some(lua) = &spec.lua {
            report.require(
                !lua.inline_code.trim().is_empty(),
                &path.key("lua").key("inlineCode"),
                "inlineCode must not be empty",
            );
        }
        matches(&mut report, &path, &spec.r#match);
        report.finish()
    }
}

fn module(report: &mut Report, path: &FieldPath, url: &str, sha256: &str, vm: Option<&VmConfig>) {
    report.require(!url.is_empty(), &path.key("url"), "url field needs to be set");
    if let Some((scheme, rest)) = url.split_once("://") {
        report.require(
            SCHEMES.contains(&scheme),
            &path.key("url"),
            format_args!("url contains unsupported scheme: {scheme}; want one of {}", SCHEMES.join(", ")),
        );
        report.require(!rest.is_empty(), &path.key("url"), "url must name a module behind its scheme");
    }
    let is_sum = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    report.require(
        sha256.is_empty() || is_sum,
        &path.key("sha256"),
        "sha256 must be 64 characters of 0-9 and a-f",
    );
    let variables = vm.map(|vm| vm.env.as_slice()).unwrap_or_default();
    for (index, variable) in variables.iter().enumerate() {
        let path = path.key("vmConfig").key("env").index(index);
        report.require(!variable.name.is_empty(), &path.key("name"), "name must be set");
        report.require(
            !variables[..index].iter().any(|other| other.name == variable.name),
            &path.key("name"),
            format_args!("duplicate env {:?}", variable.name),
        );
        report.require(
            variable.value_from != EnvValueSource::Host || variable.value.is_empty(),
            &path.key("value"),
            "value may only be set when valueFrom is INLINE",
        );
    }
}

fn matches(report: &mut Report, path: &FieldPath, selectors: &[TrafficSelector]) {
    for (index, selector) in selectors.iter().enumerate() {
        for (position, of) in selector.ports.iter().enumerate() {
            let path = path.key("match").index(index).key("ports").index(position).key("number");
            port(report, &path, of.number);
        }
    }
}

impl Validate for ProxyConfig {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        workload_selector(&mut report, &path.key("selector"), spec.selector.as_ref());
        report.require(
            spec.concurrency.is_none_or(|threads| threads >= 0),
            &path.key("concurrency"),
            "concurrency must be greater than or equal to 0",
        );
        for name in spec.environment_variables.keys() {
            report.require(
                !name.is_empty() && !name.contains('='),
                &path.key("environmentVariables").key(name),
                format_args!("{name:?} is no name of an environment variable"),
            );
        }
        report.finish()
    }
}

#[cfg(test)]
mod tests {
    use sagene_api::object::read_at;

    use super::*;

    fn paths<S: Validate>(spec: &str) -> Vec<String> {
        let spec: S = read_at(serde_yaml::from_str(spec).expect("YAML"), "").expect("a spec");
        S::problems(&Object::new("n", "x", spec)).iter().map(|it| it.path.to_string()).collect()
    }

    #[test]
    fn modules() {
        for (bad, path) in [
            ("{}", "spec.url"),
            ("{url: 'ftp://a/b'}", "spec.url"),
            ("{url: 'oci://'}", "spec.url"),
            ("{url: 'oci://a', sha256: abc}", "spec.sha256"),
            (
                "{url: a, vmConfig: {env: [{name: A, valueFrom: HOST, value: b}]}}",
                "spec.vmConfig.env[0].value",
            ),
            ("{url: a, vmConfig: {env: [{name: A}, {name: A}]}}", "spec.vmConfig.env[1].name"),
            ("{url: a, match: [{ports: [{number: 0}]}]}", "spec.match[0].ports[0].number"),
        ] {
            assert!(
                paths::<WasmPlugin>(bad).contains(&path.to_owned()),
                "{bad} → {:?}",
                paths::<WasmPlugin>(bad)
            );
        }
        let url = "url: 'https://storage.googleapis.com/istio-build/proxy/attributegen-1.wasm'";
        let generating = |more: &str| paths::<WasmPlugin>(&format!("{{{url}{more}}}"));
        assert_eq!(generating(""), ["spec.pluginConfig"]);
        let condition = "spec.pluginConfig.attributes[0].match[0].condition";
        for (rules, found) in [
            ("{condition: 'request.method =='}", vec!["spec.pluginConfig.attributes[0].match[0].value"]),
            ("{value: a, condition: 'request.method =='}", vec![condition]),
            ("{value: a, condition: request.nope}", vec![condition]),
            ("{value: a, condition: \"request.method == 'GET'\"}", vec![]),
        ] {
            let config =
                format!(", pluginConfig: {{attributes: [{{output_attribute: a, match: [{rules}]}}]}}");
            assert_eq!(generating(&config), found, "{rules}");
        }
        for good in [
            "{url: 'ghcr.io/a/b:1'}",
            "{url: 'file:///a.wasm', vmConfig: {env: [{name: A, valueFrom: HOST}]}}",
        ] {
            assert!(paths::<WasmPlugin>(good).is_empty(), "{good}");
        }
    }

    #[test]
    fn extensions_and_proxies() {
        assert_eq!(paths::<TrafficExtension>("{}"), ["spec"]);
        assert_eq!(paths::<TrafficExtension>("{lua: {inlineCode: a}, wasm: {url: a}}"), ["spec"]);
        assert_eq!(paths::<TrafficExtension>("{lua: {inlineCode: ' '}}"), ["spec.lua.inlineCode"]);
        assert!(paths::<TrafficExtension>("{wasm: {url: 'oci://a/b'}}").is_empty());
        assert_eq!(paths::<ProxyConfig>("{concurrency: -1}"), ["spec.concurrency"]);
        assert_eq!(
            paths::<ProxyConfig>("{environmentVariables: {'A=B': c}}"),
            ["spec.environmentVariables.A=B"]
        );
        assert!(paths::<ProxyConfig>("{concurrency: 0, image: {imageType: debug}}").is_empty());
    }
}
