//! `extensions.istio.io`: WebAssembly and Lua in the proxy.

use serde_json::Value;

use super::IstioStatus;
use super::types::{PolicyTargetReference, WorkloadMode, WorkloadSelector};
use crate::schema::rules;

shape! {
    /// A WebAssembly module in the selected proxies.
    #[shape(extend("required" = ["url"], "x-kubernetes-validations" =
        rules::selector_or_target("selector", &["selector", "targetRef", "targetRefs"])))]
    pub struct WasmPlugin {
        /// Workloads it applies to; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector>,
        /// Deprecated: the one object it attaches to.
        pub target_ref: Option<PolicyTargetReference>,
        /// Objects it attaches to.
        #[shape(length(max = 16))]
        pub target_refs: Vec<PolicyTargetReference>,
        /// Where the module is: `oci://`, `https://`, `http://`, `file://`; without a scheme, `oci://`.
        #[shape(length(min = 1), extend("x-kubernetes-validations" = url_rules(r#"["", "http", "https", "oci", "file"]"#)))]
        pub url: String,
        /// Checksum of the module, hex.
        #[shape(regex(pattern = r"(^$|^[a-f0-9]{64}$)"))]
        pub sha256: String,
        /// When an image is pulled anew.
        pub image_pull_policy: PullPolicy,
        /// Secret for pulling the image.
        #[shape(length(min = 1, max = 253))]
        pub image_pull_secret: String,
        /// Key that verifies the image.
        pub verification_key: String,
        /// Configuration of the plugin.
        #[shape(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
        pub plugin_config: Option<Value>,
        /// Name of the plugin in the module.
        #[shape(length(min = 1, max = 256))]
        pub plugin_name: String,
        /// Place in the filter chain.
        pub phase: PluginPhase,
        /// Place within the phase, descending; absent means zero.
        #[shape(extend("nullable" = true))]
        pub priority: Option<i32>,
        /// What happens when the module cannot run.
        pub fail_strategy: FailStrategy,
        /// Environment of the module.
        pub vm_config: Option<VmConfig>,
        /// Which traffic; empty means all.
        pub r#match: Vec<TrafficSelector>,
        /// Kind of filter.
        pub r#type: PluginType,
    }

    /// WebAssembly or Lua in the selected proxies.
    #[shape(extend(
        "oneOf" = rules::one_of(&["wasm", "lua"]),
        "x-kubernetes-validations" = rules::rules(&[
            (
                "only one of targetRefs or selector can be set",
                "(has(self.selector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
            ),
            ("exactly one of wasm or lua must be set", "has(self.wasm) != has(self.lua)"),
        ])
    ))]
    pub struct TrafficExtension {
        /// Workloads it applies to; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector>,
        /// Objects it attaches to.
        #[shape(length(max = 16))]
        pub target_refs: Vec<PolicyTargetReference>,
        /// Which traffic; empty means all.
        pub r#match: Vec<TrafficSelector>,
        /// Place in the filter chain.
        pub phase: ExtensionPhase,
        /// Place within the phase, descending; absent means zero.
        #[shape(extend("nullable" = true))]
        pub priority: Option<i32>,
        /// A WebAssembly module.
        pub wasm: Option<WasmConfig>,
        /// A Lua script.
        pub lua: Option<LuaConfig>,
    }

    /// A WebAssembly module.
    #[shape(extend("required" = ["url"]))]
    pub struct WasmConfig {
        /// Where the module is: `oci://`, `https://`, `http://`, `file://`; without a scheme, `oci://`.
        #[shape(length(min = 1), extend("x-kubernetes-validations" = url_rules(r#"["", "http", "https", "file", "oci"]"#)))]
        pub url: String,
        /// Checksum of the module, hex.
        #[shape(regex(pattern = r"(^$|^[a-f0-9]{64}$)"))]
        pub sha256: String,
        /// When an image is pulled anew.
        pub image_pull_policy: PullPolicy,
        /// Secret for pulling the image.
        #[shape(length(min = 1, max = 253))]
        pub image_pull_secret: String,
        /// Key that verifies the image.
        pub verification_key: String,
        /// Configuration of the plugin.
        #[shape(extend("type" = "object", "x-kubernetes-preserve-unknown-fields" = true))]
        pub plugin_config: Option<Value>,
        /// Name of the plugin in the module.
        #[shape(length(min = 1, max = 256))]
        pub plugin_name: String,
        /// What happens when the module cannot run.
        pub fail_strategy: FailStrategy,
        /// Environment of the module.
        pub vm_config: Option<VmConfig>,
        /// Kind of filter.
        pub r#type: PluginType,
    }

    /// A Lua script.
    #[derive(Eq)]
    #[shape(extend("required" = ["inlineCode"]))]
    pub struct LuaConfig {
        /// The script.
        #[shape(length(min = 1, max = 65536))]
        pub inline_code: String,
    }

    /// Which traffic.
    #[derive(Eq)]
    pub struct TrafficSelector {
        /// Side of the connection.
        pub mode: WorkloadMode,
        /// Ports; empty means all.
        #[shape(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["number"]))]
        pub ports: Vec<PortSelector>,
    }

    /// A port.
    #[derive(Eq)]
    #[shape(extend("required" = ["number"]))]
    pub struct PortSelector {
        /// Its number.
        #[shape(range(min = 1, max = 65535))]
        pub number: u32,
    }

    /// Environment of a module.
    #[derive(Eq)]
    pub struct VmConfig {
        /// Variables.
        #[shape(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
        pub env: Vec<WasmEnvVar>,
    }

    /// A variable.
    #[derive(Eq)]
    #[shape(extend("required" = ["name"], "x-kubernetes-validations" = rules::rule(
        "value may only be set when valueFrom is INLINE",
        "(has(self.valueFrom) ? self.valueFrom : \"\") != \"HOST\" || !has(self.value)",
    )))]
    pub struct WasmEnvVar {
        /// Name.
        #[shape(length(min = 1, max = 256))]
        pub name: String,
        /// Where the value comes from.
        pub value_from: EnvValueSource,
        /// The value (INLINE).
        #[shape(length(max = 2048))]
        pub value: String,
    }
}

string_enum! {
    /// When an image is pulled anew.
    pub enum PullPolicy {
        /// By its tag.
        Unspecified = "UNSPECIFIED_POLICY",
        /// If it is not there.
        IfNotPresent = "IfNotPresent",
        /// Always.
        Always = "Always",
    }

    /// Place of a WasmPlugin in the filter chain.
    pub enum PluginPhase {
        /// At the end, before the router.
        Unspecified = "UNSPECIFIED_PHASE",
        /// Before authentication.
        Authn = "AUTHN",
        /// Before authorization.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }

    /// Place of a TrafficExtension in the filter chain.
    pub enum ExtensionPhase {
        /// At the end, before the router.
        Unspecified = "UNSPECIFIED",
        /// Before authentication.
        Authn = "AUTHN",
        /// Before authorization.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }

    /// What happens when a module cannot run.
    pub enum FailStrategy {
        /// Requests are refused.
        FailClose = "FAIL_CLOSE",
        /// Requests pass.
        FailOpen = "FAIL_OPEN",
        /// The module is loaded anew.
        FailReload = "FAIL_RELOAD",
    }

    /// Kind of filter.
    pub enum PluginType {
        /// As `HTTP`.
        Unspecified = "UNSPECIFIED_PLUGIN_TYPE",
        /// HTTP filter.
        Http = "HTTP",
        /// Network filter.
        Network = "NETWORK",
    }

    /// Where the value of a variable comes from.
    pub enum EnvValueSource {
        /// From `value`.
        Inline = "INLINE",
        /// From the proxy's environment.
        Host = "HOST",
    }
}

fn url_rules(schemes: &str) -> Value {
    rules::rule(
        "url must have schema one of [http, https, file, oci]",
        &format!(
            "isURL(self) ? (url(self).getScheme() in {schemes}) : (isURL(\"http://\" + self) &&\n\
             url(\"http://\" + self).getScheme() in {schemes})"
        ),
    )
}

resource!(
    WasmPlugin,
    "extensions.istio.io",
    "WasmPlugin",
    "wasmplugins",
    true,
    ["v1alpha1"],
    status = IstioStatus
);
resource!(
    TrafficExtension,
    "extensions.istio.io",
    "TrafficExtension",
    "trafficextensions",
    true,
    ["v1alpha1"],
    status = IstioStatus
);
