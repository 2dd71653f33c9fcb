//! Whose streams `kubectl exec` and `attach` are about, and which of them.

use clap::Args;
use serde_json::Value;

use super::pods;
use super::session::Session;
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(super) struct Streams {
    /// Pod or type/name
    #[arg(value_name = "POD | TYPE/NAME")]
    target: String,
    /// Container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass stdin
    #[arg(short = 'i', long)]
    pub(super) stdin: bool,
    /// Stdin is a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
}

impl Streams {
    /// The pod, and the name of its container.
    pub(super) async fn find(&self, session: &Session) -> Result<(Value, String), Failure> {
        let pod = pods::first(&pods::named(session, &self.target).await?, &self.target)?;
        let container = pods::container(&pod, self.container.as_deref())?;
        Ok((pod, container))
    }
}
