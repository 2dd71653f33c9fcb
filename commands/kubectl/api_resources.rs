//! `kubectl api-resources`.

use clap::Args;

use super::session::Session;
use crate::exit::{Exit, Outcome};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct ApiResources {
    /// Only this group; empty is the core group
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,
    /// Only types in namespaces, or with =false only the others
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    namespaced: Option<bool>,
    /// wide, name
    #[arg(short, long, value_parser = ["wide", "name"])]
    output: Option<String>,
    /// No header line
    #[arg(long)]
    no_headers: bool,
}

impl ApiResources {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let mut seen = std::collections::HashSet::new();
        let wide = self.output.as_deref() == Some("wide");
        let mut header = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
        if wide {
            header.extend(["VERBS", "CATEGORIES"]);
        }
        let mut table = Table::new(header, 3);
        for resource in &session.discovery().await?.resources {
            let wanted = self.api_group.as_ref().is_none_or(|group| *group == resource.group)
                && self.namespaced.is_none_or(|namespaced| namespaced == resource.namespaced);
            // The preferred version comes first; the others name the same type.
            if !wanted || !seen.insert(resource.qualified()) {
                continue;
            }
            if self.output.as_deref() == Some("name") {
                output::line(&resource.qualified());
                continue;
            }
            let mut row = vec![
                resource.plural.clone(),
                resource.short_names.join(","),
                resource.api_version(),
                resource.namespaced.to_string(),
                resource.kind.clone(),
            ];
            if wide {
                row.extend([resource.verbs.join(","), resource.categories.join(",")]);
            }
            table.row(row);
        }
        if self.output.as_deref() != Some("name") {
            let table = if self.no_headers { table.without_header() } else { table };
            output::data(&table.render());
        }
        Ok(Exit::Success)
    }
}
