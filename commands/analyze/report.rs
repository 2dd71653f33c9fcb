//! One finding as a line and as data.

use sagene_analysis::{Input, Level, Message};
use serde::Serialize;

/// Value of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One line per finding.
    Log,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A finding as istioctl prints it; fields in the order of their names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    code: String,
    documentation_url: String,
    level: &'static str,
    message: String,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip)]
    severity: Level,
}

impl Finding {
    /// A message with the place it was found at.
    pub(super) fn of(message: &Message, input: &Input) -> Self {
        let code = message.code.id();
        Self {
            code: code.to_owned(),
            documentation_url: format!(
                "https://istio.io/v1.30/docs/reference/config/analysis/{}/?ref=istioctl-analyze",
                code.to_lowercase()
            ),
            level: message.level().name(),
            message: message.text.clone(),
            origin: message.object.origin(),
            reference: input.location(message).map(|place| format!("{}:{}", place.file, place.line)),
            severity: message.level(),
        }
    }

    /// `Error [IST0101] (VirtualService default/x file.yaml:9) …`.
    pub(super) fn line(&self) -> String {
        use colored::Colorize;
        let level = match self.severity {
            Level::Error => self.level.red().bold().to_string(),
            Level::Warning => self.level.yellow().to_string(),
            Level::Info => self.level.to_owned(),
        };
        let place = self.reference.as_ref().map(|place| format!(" {place}")).unwrap_or_default();
        format!("{level} [{}] ({}{place}) {}", self.code, self.origin, self.message)
    }
}
