//! What a proxy says of the objects behind its configuration: each cluster and route names the object it was made from.

use serde_json::Value;

use super::Describer;
use crate::exit::Failure;
use crate::experimental::authz::policies;
use crate::kubernetes::{http_request, list, text};
use crate::proxy_config::dump::{self, Dump, istio_config};
use crate::proxy_config::{cluster, route};

/// The configuration of one proxy.
pub(super) struct Proxy(Dump);

/// A route of a gateway that leads to a service.
pub(super) struct Exposure {
    /// Name of the route configuration: `http.8080`, `https.443.…`.
    pub(super) listener: String,
    /// Namespace and name of the VirtualService.
    pub(super) virtual_service: (String, String),
}

impl Describer<'_> {
    /// Asks a pod's proxy for its configuration.
    pub(super) async fn proxy(&self, pod: &Value) -> Result<Proxy, Failure> {
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let answer =
            http_request(&self.cluster.client, namespace, name, self.port, "GET", "/config_dump").await?;
        Ok(Proxy(Dump::new(serde_json::from_str(&answer)?)))
    }
}

impl Proxy {
    /// The DestinationRule of a service's port: namespace and name.
    pub(super) fn destination_rule(&self, host: &str, port: u64) -> Option<(String, String)> {
        let wanted = format!("outbound|{port}||{host}");
        let clusters = cluster::select(&self.0, &cluster::ClusterFilter::default(), None);
        let found = clusters.iter().find(|cluster| dump::text(cluster, &["name"]) == wanted)?;
        named(&istio_config(found))
    }

    /// The VirtualService of a service's port, on routes of sidecars: namespace and name.
    pub(super) fn virtual_service(&self, host: &str, port: u64) -> Option<(String, String)> {
        let virtual_host = format!("{host}:{port}");
        let configs = route::select(&self.0, &route::RouteFilter::default());
        let hosts = configs.iter().flat_map(|config| dump::list(config, "virtualHosts"));
        let routes = hosts
            .filter(|host| dump::text(host, &["name"]) == virtual_host)
            .flat_map(|host| dump::list(host, "routes"));
        routes.into_iter().find_map(|route| named(&istio_config(route)))
    }

    /// The routes that lead to a service, on a gateway.
    pub(super) fn exposures(&self, host: &str) -> Vec<Exposure> {
        let mut found = Vec::new();
        for config in route::select(&self.0, &route::RouteFilter::default()) {
            let routes = dump::list(&config, "virtualHosts").flat_map(|host| dump::list(host, "routes"));
            for route in routes.filter(|route| leads_to(route, host)) {
                let Some(virtual_service) = named(&istio_config(route)) else { continue };
                found.push(Exposure { listener: dump::text(&config, &["name"]).to_owned(), virtual_service });
            }
        }
        found
    }

    /// Names of the AuthorizationPolicies, without the namespace where it is the usual one.
    pub(super) fn authorization_policies(&self, namespace: &str) -> Vec<String> {
        let suffix = format!(".{namespace}");
        let mut names: Vec<String> = Vec::new();
        for policy in policies::of(&self.0) {
            let name = policy.name.strip_suffix(&suffix).unwrap_or(&policy.name).to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// `reviews.default.svc.cluster.local`.
pub(super) fn host(service: &Value) -> String {
    format!("{}.{}.svc.cluster.local", text(service, "/metadata/name"), text(service, "/metadata/namespace"))
}

/// `name.namespace` apart.
fn named(config: &str) -> Option<(String, String)> {
    let (name, namespace) = config.rsplit_once('.')?;
    Some((namespace.to_owned(), name.to_owned()))
}

fn leads_to(route: &Value, host: &str) -> bool {
    let suffix = format!("|{host}");
    let weighted = dump::path(route, &["route", "weightedClusters"])
        .into_iter()
        .flat_map(|clusters| list(clusters, "/clusters"))
        .map(|cluster| dump::text(cluster, &["name"]));
    weighted.chain([dump::text(route, &["route", "cluster"])]).any(|cluster| cluster.ends_with(&suffix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_by_the_metadata_of_what_was_made_from_them() {
        let of = |kind: &str, name: &str| {
            let path = format!("/apis/networking.istio.io/v1alpha3/namespaces/default/{kind}/{name}");
            json!({"filter_metadata": {"istio": {"config": path}}})
        };
        let weighted = json!({"weighted_clusters": {"clusters": [{"name": "outbound|9080|v1|reviews.default.svc.cluster.local"}]}});
        let routes = json!([{"route": weighted, "metadata": of("virtual-service", "reviews")}]);
        let proxy = Proxy(Dump::new(json!({"configs": [
            {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": [
                {"cluster": {"name": "outbound|9080||reviews.default.svc.cluster.local", "metadata": of("destination-rule", "rule")}}]},
            {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "dynamic_route_configs": [
                {"route_config": {"name": "9080", "virtual_hosts": [
                    {"name": "reviews.default.svc.cluster.local:9080", "routes": routes}]}}]},
        ]})));
        let host = "reviews.default.svc.cluster.local";
        let named = |name: &str| Some(("default".to_owned(), name.to_owned()));
        assert_eq!(proxy.destination_rule(host, 9080), named("rule"));
        assert_eq!(proxy.virtual_service(host, 9080), named("reviews"));
        assert_eq!(proxy.virtual_service(host, 80), None);
        assert_eq!(proxy.exposures(host).len(), 1);
        assert!(proxy.exposures("ratings.default.svc.cluster.local").is_empty());
    }
}
