//! Files from the web: manifests that are named by their address.

use std::time::Duration;

use anyhow::Context as _;

use crate::exit::{Failure, chain};

/// The longest that a download may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest file that is taken, in bytes.
const LARGEST: usize = 32 << 20;

/// Whether a path is an address of the web.
pub(crate) fn is_address(path: &str) -> bool {
    path.starts_with("http://") || path.starts_with("https://")
}

/// The text behind an address.
pub(crate) async fn text(address: &str) -> Result<String, Failure> {
    get(address).await.map_err(|failure| {
        Failure::new(format!("unable to read URL \"{address}\": {}", chain(&failure.error)))
            .hint("a file that is on this machine needs no network: -f FILE, or - for stdin")
    })
}

async fn get(address: &str) -> Result<String, Failure> {
    let client =
        reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::limited(10));
    let mut answer = client.build()?.get(address).send().await?;
    if !answer.status().is_success() {
        return Err(Failure::new(format!("server reported {}", answer.status())));
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if bytes.len() + piece.len() > LARGEST {
            return Err(Failure::new(format!("it is larger than {LARGEST} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(bytes).context("it is no text")?)
}
