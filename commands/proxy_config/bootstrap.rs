//! `proxy-config bootstrap`: JSON unless asked otherwise, as istioctl does.

use clap::Args;
use serde_json::Value;

use super::Ask;
use super::dump::{Dump, number, path, text};
use super::source::DumpTarget;
use crate::exit::{Failure, Outcome};
use crate::output::View;

#[derive(Debug, Clone, Args)]
pub(super) struct Bootstrap {
    #[command(flatten)]
    target: DumpTarget,
}

impl Bootstrap {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?mask=bootstrap").await?;
        let section = section(&dump)?;
        let ask = Ask { view: Some(ask.view.unwrap_or(View::Json)), ..*ask };
        ask.print(|| Ok(short(&section)), &section)
    }
}

/// The bootstrap section of a dump.
pub(super) fn section(dump: &Dump) -> Result<Value, Failure> {
    dump.sections("BootstrapConfigDump").next().cloned().ok_or_else(|| Failure::new("no bootstrap found"))
}

/// The three version lines.
pub(super) fn short(section: &Value) -> String {
    let node = path(section, &["bootstrap", "node"]).cloned().unwrap_or_default();
    let metadata = |key: &str| {
        node.get("metadata").and_then(|it| it.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let part = |name: &str| number(&node, &["userAgentBuildVersion", "version", name]).unwrap_or_default();
    let envoy = match text(&node, &["userAgentVersion"]) {
        "" => format!("{}.{}.{}", part("majorNumber"), part("minorNumber"), part("patch")),
        version => version.to_owned(),
    };
    format!(
        "Istio Version:       {}\nIstio Proxy Version: {}\nEnvoy Version:       {envoy}\n",
        metadata("ISTIO_VERSION"),
        metadata("ISTIO_PROXY_SHA"),
    )
}
