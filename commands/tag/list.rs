//! `tag list`: tags, what they stand for, and who follows them.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::revision::{followers, injectors, namespaces};
use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output::{self, Table, to_yaml};

#[derive(Debug, Args)]
pub(super) struct List {
    /// Format: table, json or yaml
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Serialize)]
struct Row {
    tag: String,
    revision: String,
    namespaces: Vec<String>,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let injectors = injectors(&cluster).await?;
        let namespaces = namespaces(&cluster).await?;
        let mut rows: Vec<Row> = Vec::new();
        for injector in injectors.iter().filter(|injector| !injector.tag.is_empty()) {
            rows.push(Row {
                tag: injector.tag.clone(),
                revision: injector.revision.clone(),
                namespaces: followers(&namespaces, &injector.tag),
            });
        }
        // Revisions that nothing points to are listed too: they may be what an upgrade left behind.
        for injector in injectors.iter().filter(|injector| injector.tag.is_empty()) {
            if !rows.iter().any(|row| row.revision == injector.revision) {
                let namespaces = followers(&namespaces, &injector.revision);
                rows.push(Row { tag: String::new(), revision: injector.revision.clone(), namespaces });
            }
        }
        match self.output {
            Format::Json => output::data(&tabbed(&rows)?),
            Format::Yaml => output::data(&to_yaml(&rows)?),
            Format::Table if rows.is_empty() => output::line("No Istio revision tags found."),
            Format::Table => {
                let mut table = Table::new(["TAG", "REVISION", "NAMESPACES"], 1);
                for row in &rows {
                    table.row([row.tag.as_str(), &row.revision, &row.namespaces.join(",")]);
                }
                output::data(&table.render());
            }
        }
        Ok(Exit::Success)
    }
}

/// JSON indented by tabs.
fn tabbed(rows: &[Row]) -> Result<String, crate::exit::Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    rows.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}
