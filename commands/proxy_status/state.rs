//! What a control plane's `/debug/syncz` says about one proxy.

use serde_json::{Value, json};

use crate::exit::Failure;

/// Types in the order of the default table.
const ORDER: [&str; 5] = ["CDS", "LDS", "EDS", "RDS", "ECDS"];

/// A proxy as the control plane sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProxyState {
    /// `<pod>.<namespace>`.
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) version: String,
    pub(super) types: Vec<TypeState>,
}

/// One type of resource.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TypeState {
    pub(super) type_url: String,
    sent: String,
    acked: String,
    error: String,
    sent_time: String,
}

/// Reads the list; types come as a map by type URL, and in older control planes as pairs of fields.
pub(super) fn parse(syncz: &str) -> Result<Vec<ProxyState>, Failure> {
    let entries: Vec<Value> = serde_json::from_str(syncz).map_err(|error| {
        Failure::from(error).context("the control plane's /debug/syncz is not what it should be")
    })?;
    let mut proxies: Vec<ProxyState> = entries.iter().map(proxy).collect();
    proxies.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(proxies)
}

fn proxy(entry: &Value) -> ProxyState {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut types = Vec::new();
    for (url, state) in entry.get("resources").and_then(Value::as_object).into_iter().flatten() {
        let of = |key: &str| state.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        types.push(TypeState {
            type_url: url.clone(),
            sent: of("sent"),
            acked: of("acked"),
            error: of("lastError"),
            sent_time: of("sentTime"),
        });
    }
    if types.is_empty() {
        for (prefix, url) in [
            ("cluster", "type.googleapis.com/envoy.config.cluster.v3.Cluster"),
            ("listener", "type.googleapis.com/envoy.config.listener.v3.Listener"),
            ("route", "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"),
            ("endpoint", "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"),
            ("extensionconfig", "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"),
        ] {
            let (sent, acked) = (text(&format!("{prefix}_sent")), text(&format!("{prefix}_acked")));
            if !sent.is_empty() || !acked.is_empty() {
                let type_url = url.to_owned();
                types.push(TypeState {
                    type_url,
                    sent,
                    acked,
                    error: String::new(),
                    sent_time: String::new(),
                });
            }
        }
    }
    types.sort_by(|left, right| left.type_url.cmp(&right.type_url));
    let cluster =
        Some(text("cluster_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| "Kubernetes".to_owned());
    ProxyState { id: text("proxy"), cluster, version: text("istio_version"), types }
}

impl ProxyState {
    /// The part of the id after the last dot.
    pub(super) fn namespace(&self) -> &str {
        self.id.rsplit_once('.').map(|(_, namespace)| namespace).unwrap_or_default()
    }

    /// Types that something was sent for.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = &TypeState> {
        self.types.iter().filter(|it| !it.sent.is_empty())
    }

    /// `envoy.service.status.v3.ClientConfig`, as istioctl prints it.
    pub(super) fn client_config(&self) -> Value {
        let configs: Vec<Value> = self.types.iter().map(TypeState::generic_config).collect();
        json!({
            "@type": "type.googleapis.com/envoy.service.status.v3.ClientConfig",
            "node": {"id": self.id, "metadata": {
                "CLUSTER_ID": self.cluster, "ISTIO_VERSION": self.version, "NAMESPACE": self.namespace()}},
            "genericXdsConfigs": configs,
        })
    }
}

impl TypeState {
    fn status(&self) -> &'static str {
        if !self.error.is_empty() {
            "ERROR"
        } else if self.sent.is_empty() {
            "NOT_SENT"
        } else if self.sent == self.acked {
            "SYNCED"
        } else {
            "STALE"
        }
    }

    /// Why the proxy refused what was sent last.
    pub(super) fn refusal(&self) -> Option<&str> {
        Some(self.error.as_str()).filter(|error| !error.is_empty())
    }

    /// `SYNCED (5m)`, `NOT SENT`.
    pub(super) fn cell(&self) -> String {
        match (self.status(), age(&self.sent_time)) {
            ("NOT_SENT", _) => "NOT SENT".to_owned(),
            (status, Some(age)) => format!("{status} ({age})"),
            (status, None) => status.to_owned(),
        }
    }

    fn generic_config(&self) -> Value {
        let mut config = json!({"typeUrl": self.type_url, "configStatus": self.status()});
        if !self.sent_time.is_empty() {
            config["lastUpdated"] = json!(self.sent_time);
        }
        if !self.error.is_empty() {
            config["errorState"] = json!({"details": self.error});
        }
        config
    }
}

fn age(timestamp: &str) -> Option<String> {
    let then: jiff::Timestamp = timestamp.parse().ok()?;
    let seconds = (jiff::Timestamp::now().as_second() - then.as_second()).max(0);
    Some(match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    })
}

/// Place of a type in the default table.
pub(super) fn rank(name: &str) -> usize {
    ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
}

/// `CDS` for a type URL; the URL itself for types without a short name.
pub(super) fn short_type(url: &str) -> &str {
    match url.rsplit('/').next().unwrap_or(url) {
        "envoy.config.cluster.v3.Cluster" => "CDS",
        "envoy.config.listener.v3.Listener" => "LDS",
        "envoy.config.route.v3.RouteConfiguration" => "RDS",
        "envoy.config.endpoint.v3.ClusterLoadAssignment" => "EDS",
        "envoy.extensions.transport_sockets.tls.v3.Secret" => "SDS",
        "envoy.config.core.v3.TypedExtensionConfig" => "ECDS",
        "istio.networking.nds.v1.NameTable" => "NDS",
        "istio.mesh.v1alpha1.ProxyConfig" => "PCDS",
        "istio.workload.Address" | "istio.workload.Workload" => "WDS",
        "istio.security.Authorization" => "WADS",
        _ => url,
    }
}
