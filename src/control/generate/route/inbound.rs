//! The route of inbound requests: everything goes to the application.

use super::super::names;
use super::super::proto::{boolean, duration, route};
use super::matching::everything;
use route::route::Action;
use route::route_action::{ClusterSpecifier, MaxStreamDuration};
use sagene_api::Duration;

/// The routes to a workload port; `host` names the operation in traces.
pub(crate) fn configuration(cluster: &str, service_port: u16, host: &str) -> route::RouteConfiguration {
    let zero = duration(Duration::ZERO);
    let forwarded = route::RouteAction {
        timeout: Some(zero),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: Some(zero),
            grpc_timeout_header_max: Some(zero),
            grpc_timeout_header_offset: None,
        }),
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_owned())),
        ..route::RouteAction::default()
    };
    let only = route::Route {
        name: "default".to_owned(),
        r#match: Some(everything()),
        decorator: Some(route::Decorator { operation: format!("{host}:{service_port}/*"), propagate: None }),
        action: Some(Action::Route(forwarded)),
        ..route::Route::default()
    };
    let virtual_host = route::VirtualHost {
        name: format!("inbound|http|{service_port}"),
        domains: vec!["*".to_owned()],
        routes: vec![only],
        ..route::VirtualHost::default()
    };
    route::RouteConfiguration {
        name: cluster.to_owned(),
        virtual_hosts: vec![virtual_host],
        validate_clusters: boolean(false),
        ..route::RouteConfiguration::default()
    }
}

/// The routes to ports of no service.
pub(crate) fn passthrough() -> route::RouteConfiguration {
    configuration(names::INBOUND_PASSTHROUGH, 0, "InboundPassthroughCluster")
}
