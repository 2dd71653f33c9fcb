//! After a request: statistics, the mesh's metrics, the access log.

use std::sync::{Arc, PoisonError};

use crate::config::{Direction, HttpFilter};
use crate::stats::{IstioStatsConfig, RequestLabels, TcpLabels};
use crate::upstream::host::Principals;

use super::exchange::Exchange;

/// Counts and logs a finished request.
pub(crate) fn report(exchange: &mut Exchange) {
    exchange.info.duration = exchange.info.start.elapsed();
    let counters = &exchange.scene.counters;
    match exchange.info.response_code {
        200..300 => counters.downstream_rq_2xx.add(1),
        300..400 => counters.downstream_rq_3xx.add(1),
        400..500 => counters.downstream_rq_4xx.add(1),
        500..600 => counters.downstream_rq_5xx.add(1),
        _ => {}
    }
    let manager = exchange.scene.manager.clone();
    for filter in &manager.filters {
        if let HttpFilter::AttributeGen(filter) = filter {
            exchange.generate_attributes(filter, false);
        }
    }
    for filter in &manager.filters {
        if let HttpFilter::IstioStats(config) = filter {
            istio(exchange, config);
        }
    }
    exchange.finish_span();
    let facts = exchange.cel_facts();
    for log in &exchange.scene.manager.access_logs {
        log.log(&exchange.scene.worker, &facts);
    }
}

fn istio(exchange: &Exchange, config: &IstioStatsConfig) {
    let worker = &exchange.scene.worker;
    let destination = exchange.scene.manager.direction == Direction::Inbound;
    let connection = &exchange.scene.connection;
    let known = |name: Option<&Arc<str>>| name.unwrap_or(&worker.unknown).clone();
    let unknown = worker.unknown_peer.clone();
    let own = worker.own.peer.clone();
    let (source, target) = if destination {
        (exchange.downstream_peer.clone().unwrap_or(unknown), own)
    } else {
        (own, exchange.upstream_peer.clone().unwrap_or(unknown))
    };
    let (source_principal, target_principal) = if destination {
        (known(connection.shared_principal()), known(connection.local_principal.as_ref()))
    } else {
        match exchange.upstream.as_ref().and_then(|host| host.principals()) {
            Some(Principals { own, endpoint }) => (own, endpoint),
            None => (worker.unknown.clone(), worker.unknown.clone()),
        }
    };
    let labels = RequestLabels {
        common: TcpLabels {
            destination,
            source,
            target,
            source_principal,
            target_principal,
            service: service(exchange, config.host_header_fallback),
            mutual_tls: connection.peer.is_some(),
            flags: exchange.info.flags,
            changed: config.changed(&exchange.cel_facts()),
        },
        code: exchange.info.response_code,
        grpc: exchange.grpc,
        grpc_status: exchange.info.grpc_status,
    };
    let millis = exchange.info.duration.as_secs_f64() * 1000.0;
    let received = exchange.info.bytes_received + exchange.request.headers.byte_size() as u64;
    let sent = exchange.info.bytes_sent + exchange.response.headers.byte_size() as u64;
    worker.istio.lock().unwrap_or_else(PoisonError::into_inner).request(labels, millis, received, sent);
}

/// Host, short name and namespace of the service that was called.
fn service(exchange: &Exchange, host_header_fallback: bool) -> (Arc<str>, Arc<str>, Arc<str>) {
    if let Some(known) = &exchange.service {
        return known.clone();
    }
    let unknown = exchange.scene.worker.unknown.clone();
    let host = if host_header_fallback {
        Arc::from(String::from_utf8_lossy(&exchange.request.authority))
    } else {
        unknown.clone()
    };
    let special = exchange.info.cluster.as_deref().filter(|name| {
        matches!(*name, "PassthroughCluster" | "BlackHoleCluster" | "InboundPassthroughCluster")
    });
    let vhost = exchange.route.as_ref().map(|(vhost, _)| &*vhost.name);
    let name = match (special, vhost) {
        (Some(name), _) => Arc::from(name),
        (None, Some("block_all")) => Arc::from("BlackHoleCluster"),
        (None, Some("allow_any")) => Arc::from("PassthroughCluster"),
        _ => host.clone(),
    };
    (host, name, unknown)
}
