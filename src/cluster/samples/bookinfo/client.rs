//! How the services call each other: plain HTTP by name, with a deadline, passing headers on.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::super::headers::passed_on;
use super::super::serve::environment;

/// Calls the other services.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new() -> Self {
        // One request, one connection, as the originals' libraries do: otherwise load balancing between versions could not be seen
        // without sidecars.
        // Only plain HTTP is spoken; an image made of this program alone has no certificates to load.
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0).tls_certs_only([]);
        Self { http: builder.build().unwrap_or_default() }
    }

    /// Asks a service for JSON. `Err` holds the status of an answer that is not 200, or `None` where there was no answer at all.
    pub(super) async fn get(
        &self,
        url: &str,
        incoming: &HeaderMap,
        deadline: Duration,
    ) -> Result<Value, Option<u16>> {
        let request = self.http.get(url).headers(passed_on(incoming)).timeout(deadline);
        let response = request.send().await.map_err(|_| None)?;
        if !response.status().is_success() {
            return Err(Some(response.status().as_u16()));
        }
        response.json().await.map_err(|_| None)
    }
}

/// `http://NAME:PORT` of a service by the originals' environment variables: `<SERVICE>_HOSTNAME`, `<SERVICE>_SERVICE_PORT` and
/// `SERVICES_DOMAIN`.
pub(super) fn base_url(service: &str) -> String {
    let variable = service.to_uppercase();
    let host = environment(&format!("{variable}_HOSTNAME"), service);
    let port = environment(&format!("{variable}_SERVICE_PORT"), "9080");
    let domain = environment("SERVICES_DOMAIN", "");
    let dot = if domain.is_empty() { "" } else { "." };
    format!("http://{host}{dot}{domain}:{port}")
}
