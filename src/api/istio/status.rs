//! The status every Istio kind carries.

use serde_json::{Map, Value};

/// Conditions and findings the control plane writes back; fields it does not know are kept.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioStatus {
    /// Current state, one entry per type.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::encoding::null_is_default")]
    pub conditions: Vec<IstioCondition>,
    /// Findings of the analysis.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::encoding::null_is_default")]
    pub validation_messages: Vec<AnalysisMessageBase>,
    /// The generation these words are about (a number; some writers send text).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "int_or_string")]
    pub observed_generation: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: Map<String, Value>,
}

shape! {
    /// One aspect of the state.
    pub struct IstioCondition {
        /// Name of the aspect.
        pub r#type: String,
        /// `True`, `False` or `Unknown`.
        pub status: String,
        /// When it was last looked at.
        #[schemars(extend("format" = "date-time"))]
        pub last_probe_time: String,
        /// When `status` last changed.
        #[schemars(extend("format" = "date-time"))]
        pub last_transition_time: String,
        /// One word why.
        pub reason: String,
        /// A sentence why.
        pub message: String,
        /// The generation this condition is about (a number; some writers send text).
        #[schemars(schema_with = "int_or_string")]
        pub observed_generation: Option<Value>,
    }

    /// One finding of the analysis.
    pub struct AnalysisMessageBase {
        /// Which finding.
        pub r#type: AnalysisMessageType,
        /// How grave it is.
        pub level: AnalysisMessageLevel,
        /// Where it is explained.
        pub documentation_url: String,
    }

    /// Names a finding.
    pub struct AnalysisMessageType {
        /// Name in words.
        pub name: String,
        /// Code, such as `IST0101`.
        pub code: String,
    }
}

string_enum! {
    /// Gravity of a finding.
    pub enum AnalysisMessageLevel {
        /// Not said.
        Unknown = "UNKNOWN",
        /// Wrong: traffic will not do what the configuration says.
        Error = "ERROR",
        /// Probably wrong.
        Warning = "WARNING",
        /// Worth knowing.
        Info = "INFO",
    }
}

pub(crate) fn int_or_string(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
    })
}
