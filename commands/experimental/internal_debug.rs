//! `internal-debug`: the control plane's views of its own state, as JSON.

use clap::Args;
use serde_json::{Map, Value};

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{control_planes, http_get};
use crate::output;

/// Port of the control plane's debug interface.
const PORT: u16 = 15014;

#[derive(Debug, Args)]
pub(super) struct InternalDebug {
    /// Name of a view, with its query: syncz, config_dump?proxyID=NAME.NAMESPACE
    #[arg(value_name = "VIEW[?QUERY]", required_unless_present = "list")]
    view: Option<String>,
    /// List the views
    #[arg(short = 'L', long)]
    list: bool,
    /// Ask every replica of the control plane
    #[arg(long)]
    all: bool,
    /// Control plane revision
    #[arg(short, long, value_name = "NAME", default_value = "")]
    revision: String,
}

impl InternalDebug {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let view = if self.list { "list" } else { self.view.as_deref().unwrap_or_default() };
        let replicas = control_planes(context, &cluster, &self.revision).await?;
        let mut answers = Map::new();
        for replica in replicas.iter().take(if self.all { usize::MAX } else { 1 }) {
            let body = ask(context, &cluster, replica, view).await?;
            match serde_json::from_str::<Value>(&body) {
                Ok(value) => answers.insert(replica.clone(), value),
                Err(_) => answers.insert(replica.clone(), Value::String(body)),
            };
        }
        if self.list {
            let names = answers.values().next().and_then(Value::as_array).into_iter().flatten();
            names.filter_map(Value::as_str).for_each(output::line);
            return Ok(Exit::Success);
        }
        let shown = match answers.values().next() {
            Some(only) if !self.all => only.clone(),
            _ => Value::Object(answers),
        };
        output::data(&output::to_json(&shown)?);
        Ok(Exit::Success)
    }
}

async fn ask(context: &Context, cluster: &Cluster, replica: &str, view: &str) -> Result<String, Failure> {
    let path = format!("/debug/{view}");
    let asked = http_get(&cluster.client, &context.globals.istio_namespace, replica, PORT, &path).await;
    asked.map_err(|failure| {
        failure
            .context(format!("{replica} does not show {view:?}"))
            .hint("sagene experimental internal-debug --list names the views")
    })
}
