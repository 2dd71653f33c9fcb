//! Findings on stdout, in the format that was asked for.

mod github;
mod sarif;
mod source;
mod text;

use std::io::IsTerminal;

use sagene_analysis::input::Location;
use sagene_analysis::{Input, Message};
use serde::Serialize;

use crate::exit::Failure;
use crate::output;

/// Value of `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// One line per finding, as istioctl prints it.
    Log,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Commands of GitHub's workflows: annotations on the changed lines.
    Github,
    /// The source with a mark under the field, the reason and a hint.
    Source,
}

impl Format {
    /// For people on a terminal the source; for pipes and scripts the line that istioctl prints.
    pub(super) fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Source } else { Self::Log }
    }

    /// Whether stderr may say more.
    pub(super) fn is_for_people(self) -> bool {
        matches!(self, Self::Log | Self::Source)
    }
}

/// A finding as istioctl prints it; fields in the order of their names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'m> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'m str>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation_url: Option<String>,
    level: &'static str,
    message: &'m str,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

/// Prints findings.
pub(super) fn print(format: Format, input: &Input, messages: &[&Message]) -> Result<(), Failure> {
    let places = input.locations(messages);
    match format {
        Format::Log => text::print(messages, &places),
        Format::Source => source::print(input, messages, &places),
        Format::Github => github::print(messages, &places),
        Format::Sarif => output::data(&output::to_json(&sarif::log(messages, &places))?),
        Format::Json => output::data(&json(&findings(messages, &places))?),
        Format::Yaml => output::data(&output::to_yaml(&findings(messages, &places))?),
    }
    Ok(())
}

/// The lines of `Format::Log`.
pub(super) fn lines(input: &Input, messages: &[&Message]) -> String {
    text::lines(messages, &input.locations(messages))
}

fn findings<'m>(messages: &[&'m Message], places: &[Option<Location>]) -> Vec<Finding<'m>> {
    let finding = |(message, place): (&&'m Message, &Option<Location>)| Finding {
        cluster: message.cluster.as_deref(),
        code: message.code.id(),
        documentation_url: documentation(message.code.id()),
        level: message.level().name(),
        message: &message.text,
        origin: message.object.origin(),
        reference: place.as_ref().map(|place| format!("{}:{}", place.file, place.line)),
    };
    messages.iter().zip(places).map(finding).collect()
}

/// Istio's page of a message; the program's own messages have theirs in `explain` alone.
fn documentation(code: &str) -> Option<String> {
    let page = code.starts_with("IST").then(|| code.to_lowercase())?;
    Some(format!("https://istio.io/v1.30/docs/reference/config/analysis/{page}/?ref=istioctl-analyze"))
}

/// JSON with tabs, as istioctl indents these.
fn json(findings: &[Finding<'_>]) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    findings.serialize(&mut serializer)?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}
