//! `kubectl create token`: a token of a service account.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::super::session::{Session, error};
use crate::cli;
use crate::exit::{Exit, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Token {
    /// Service account
    name: String,
    /// For whom it is; may be repeated. Default the API server
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// How long it is good; default the server's
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    duration: Option<Duration>,
}

impl Token {
    pub(super) async fn create(&self, session: &Session) -> Outcome {
        let accounts = Resource::known("", "v1", "ServiceAccount", "serviceaccounts", true);
        let mut spec = json!({"audiences": self.audience});
        if let Some(duration) = self.duration {
            spec["expirationSeconds"] = json!(duration.as_secs());
        }
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let path = format!("{}/token", accounts.object(Some(&session.namespace), &self.name));
        let answer = session.objects.post_path(&path, &request).await.map_err(kubectl_failure)?;
        match text(&answer, "/status/token") {
            "" => Err(error("failed to create token: no token in token request response")),
            token => {
                output::line(token);
                Ok(Exit::Success)
            }
        }
    }
}
