//! The status every Istio kind carries.

use serde_json::{Map, Value, json};

shape! {
    /// Conditions and findings the control plane writes back; fields it does not know are kept.
    pub struct IstioStatus {
        /// Current state, one entry per type.
        pub conditions: Vec<IstioCondition>,
        /// Findings of the analysis.
        pub validation_messages: Vec<AnalysisMessageBase>,
        /// The generation these words are about (a number; some writers send text).
        #[shape(schema_with = int_or_string)]
        pub observed_generation: Option<Value>,
        /// Everything else.
        #[shape(rest)]
        pub other: Map<String, Value>,
    }

    /// One aspect of the state.
    pub struct IstioCondition {
        /// Name of the aspect.
        pub r#type: String,
        /// `True`, `False` or `Unknown`.
        pub status: String,
        /// When it was last looked at.
        #[shape(extend("format" = "date-time"))]
        pub last_probe_time: String,
        /// When `status` last changed.
        #[shape(extend("format" = "date-time"))]
        pub last_transition_time: String,
        /// One word why.
        pub reason: String,
        /// A sentence why.
        pub message: String,
        /// The generation this condition is about (a number; some writers send text).
        #[shape(schema_with = int_or_string)]
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

/// What is a number, or text.
pub(crate) fn int_or_string() -> Value {
    json!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
    })
}
