//! `proxy-config ecds`.

use clap::Args;
use serde_json::{Value, json};

use super::Ask;
use super::dump::{field, list, text, type_of};
use super::source::DumpTarget;
use crate::exit::Outcome;
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Ecds {
    #[command(flatten)]
    target: DumpTarget,
}

impl Ecds {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?include_eds=true").await?;
        let empty = json!({"@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump"});
        let section = dump.sections("EcdsConfigDump").next().cloned().unwrap_or(empty);
        ask.print(|| Ok(table(&section)), &section)
    }
}

fn table(section: &Value) -> String {
    let mut table = Table::new(["ECDS NAME", "TYPE"], 5);
    for filter in list(section, "ecdsFilters").filter_map(|entry| field(entry, "ecdsFilter")) {
        let config = field(filter, "typedConfig").unwrap_or(&Value::Null);
        let kind = type_of(config).trim_start_matches("type.googleapis.com/");
        table.row([text(filter, &["name"]), kind]);
    }
    table.render()
}
