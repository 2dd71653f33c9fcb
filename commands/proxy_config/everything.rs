//! `proxy-config all`: every section in one output.

use clap::Args;

use super::cluster::{self, ClusterFilter};
use super::listener::{self, ListenerFilter};
use super::route::{self, RouteFilter};
use super::source::DumpTarget;
use super::{Ask, bootstrap, dump, endpoint, secret};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Table, View};

#[derive(Debug, Clone, Args)]
pub(super) struct All {
    #[command(flatten)]
    target: DumpTarget,
    #[command(flatten)]
    clusters: ClusterFilter,
    #[command(flatten)]
    listeners: ListenerFilter,
    #[command(flatten)]
    routes: RouteFilter,
    /// Port of clusters, listeners and endpoints
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Details of listeners and routes
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    verbose: bool,
    /// A header line before each section
    #[arg(long)]
    with_headers: bool,
}

impl All {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?include_eds=true").await?;
        match ask.view.unwrap_or(View::Short) {
            View::Json => output::data(&output::to_json(dump.value())?),
            View::Yaml => output::data(&output::to_yaml(&dump::camel_case(dump.value()))?),
            View::Short => self.short(ask, &dump).await?,
        }
        Ok(Exit::Success)
    }

    async fn short(&self, ask: &Ask<'_>, dump: &dump::Dump) -> Result<(), Failure> {
        if let Ok(section) = bootstrap::section(dump) {
            self.section("BOOTSTRAP", &bootstrap::short(&section));
        }
        let sections = [
            ("CLUSTER", "cluster", cluster::table(&cluster::select(dump, &self.clusters, self.port))),
            (
                "LISTENER",
                "listener",
                listener::table(&listener::select(dump, &self.listeners, self.port), self.verbose),
            ),
            ("ROUTE", "route", route::table(&route::select(dump, &self.routes), self.verbose)),
            ("SECRET", "secret", secret::table(dump)),
        ];
        for (title, prefix, table) in sections {
            // An empty section is no error here: the others are still worth reading.
            if let Ok(table) = table {
                self.section(title, &prefixed(&table, prefix));
            }
        }
        if self.target.file.is_none() {
            let answer = self.target.value(ask, "/clusters?format=json").await?;
            let filter = endpoint::EndpointFilter { port: self.port, ..endpoint::EndpointFilter::default() };
            let table = endpoint::table(&endpoint::select(&answer, &filter))?;
            self.section("ENDPOINT", &prefixed(&table, "endpoint"));
        }
        Ok(())
    }

    fn section(&self, title: &str, body: &str) {
        if self.with_headers {
            output::line(&format!("------ {title} INFO ------"));
        }
        output::data(body);
        output::line("");
    }
}

/// The table with a leading `NAME` column of `prefix/`.
fn prefixed(table: &Table, prefix: &str) -> String {
    table.with_leading_column("NAME", &format!("{prefix}/")).render()
}
