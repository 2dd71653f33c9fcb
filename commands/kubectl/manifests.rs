//! Manifests by name: files, directories, stdin, addresses of the web. On the embedded cluster, which fetches nothing, releases of the Gateway
//! API are what this program has of them.

use clap::Args;
use serde_json::Value;

use super::session::{Session, error};
use crate::exit::Failure;
use crate::fetch;
use crate::files::{self, Input};
use crate::output;

/// Reads what `-f` names.
pub(super) async fn read(session: &Session, name: &str, recursive: bool) -> Result<Vec<Input>, Failure> {
    if !fetch::is_address(name) {
        return files::read(name, recursive);
    }
    let text = match builtin(session, name)? {
        Some(text) => text,
        None => fetch::text(name).await.map_err(|failure| Failure { prefix: "error: ", ..failure })?,
    };
    Ok(vec![Input { name: name.to_owned(), text }])
}

/// The flags that name manifests.
#[derive(Debug, Args)]
pub(super) struct Manifests {
    /// Manifest, directory or - for stdin; may be repeated
    #[arg(
        short,
        long = "filename",
        value_name = "FILE",
        required_unless_present = "kustomize",
        value_delimiter = ','
    )]
    filename: Vec<String>,
    /// A kustomization: that of the Gateway API's definitions
    #[arg(short, long, value_name = "FOLDER")]
    kustomize: Option<String>,
    /// Read directories with their subdirectories
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl Manifests {
    /// What they hold, in the order of the flags; kustomizations last.
    pub(super) async fn read(&self, session: &Session) -> Result<Vec<Input>, Failure> {
        let mut inputs = Vec::new();
        for name in &self.filename {
            inputs.extend(read(session, name, self.recursive).await?);
        }
        if let Some(name) = &self.kustomize {
            inputs.push(kustomized(session, name)?);
        }
        Ok(inputs)
    }
}

/// `kubectl kustomize` and `apply -k` of the Gateway API's definitions, the one kustomization that is known.
pub(super) fn kustomized(session: &Session, name: &str) -> Result<Input, Failure> {
    let text = builtin(session, name)?.ok_or_else(|| {
        error("kustomizations are not supported")
            .hint("the real kubectl builds them: kubectl kustomize FOLDER | sagene kubectl apply -f -")
    })?;
    Ok(Input { name: name.to_owned(), text })
}

fn builtin(session: &Session, name: &str) -> Result<Option<String>, Failure> {
    if !session.cluster.embedded || !is_gateway_api(name) {
        return Ok(None);
    }
    output::progress(&format!("{name}: the embedded cluster has its own definitions of the Gateway API"));
    let texts = sagene_api::gateway_api::crd::all()
        .iter()
        .map(|crd: &Value| output::to_yaml(crd))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(texts.join("---\n")))
}

/// `https://github.com/kubernetes-sigs/gateway-api/releases/…/standard-install.yaml` and `github.com/kubernetes-sigs/gateway-api/config/crd…`.
fn is_gateway_api(name: &str) -> bool {
    let place = name.trim_start_matches("https://");
    let Some(rest) = place.strip_prefix("github.com/kubernetes-sigs/gateway-api/") else { return false };
    let path = rest.split('?').next().unwrap_or(rest);
    path.starts_with("config/crd")
        || path.starts_with("releases/")
            && ["standard-install.yaml", "experimental-install.yaml"].iter().any(|file| path.ends_with(file))
}

#[cfg(test)]
mod tests {
    use super::is_gateway_api;

    #[test]
    fn releases_of_the_gateway_api_are_known() {
        for (name, known) in [
            (
                "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.4.0/standard-install.yaml",
                true,
            ),
            (
                "https://github.com/kubernetes-sigs/gateway-api/releases/latest/download/experimental-install.yaml",
                true,
            ),
            ("github.com/kubernetes-sigs/gateway-api/config/crd?ref=v1.1.0", true),
            ("github.com/kubernetes-sigs/gateway-api/config/crd/experimental?ref=v1.1.0", true),
            ("https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.4.0/webhook.yaml", false),
            ("https://example.com/standard-install.yaml", false),
        ] {
            assert_eq!(is_gateway_api(name), known, "{name}");
        }
    }
}
