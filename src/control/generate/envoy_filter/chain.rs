//! Patches of filter chains, their network filters and the HTTP filters and routes inside.

use prost::{Message, Name};
use sagene_api::istio::networking::envoy_filter::{ApplyTo, PatchOperation};

use super::super::proto::{any, core, listener, network};
use super::condition::{context_of, same_name};
use super::{Selection, http, merge, route};
use network::http_connection_manager::v3::HttpConnectionManager;
use network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;

/// Patches every chain of a listener.
pub(super) fn patch_all(selection: &Selection, made: &mut listener::Listener) {
    let whole = made.clone();
    chains(selection, made, &whole);
    let all = made.filter_chains.iter_mut().chain(&mut made.default_filter_chain);
    for chain in all {
        network_filters(selection, chain, &whole);
        for filter in &mut chain.filters {
            manager(
                selection,
                filter,
                &whole,
                &chain.filter_chain_match,
                &chain.name,
                &chain.transport_socket,
            );
        }
    }
}

fn chains(selection: &Selection, made: &mut listener::Listener, whole: &listener::Listener) {
    for patch in selection
        .of(ApplyTo::FilterChain)
        .filter(|patch| patch.means_listener(whole, selection.gateway, false))
    {
        let named = patch.listener().is_some_and(|wanted| wanted.filter_chain.is_some());
        merge::apply(&mut made.filter_chains, patch, named, |chain| patch.means_chain(&whole.name, chain));
        let default = made.default_filter_chain.take();
        made.default_filter_chain = match default {
            Some(chain) if patch.means_chain(&whole.name, &chain) => match patch.operation {
                PatchOperation::Remove => None,
                _ if merge::merges(patch) => {
                    let mut merged = chain;
                    merge::merge(&mut merged, patch);
                    Some(merged)
                }
                _ => Some(chain),
            },
            other => other,
        };
    }
}

fn network_filters(selection: &Selection, chain: &mut listener::FilterChain, whole: &listener::Listener) {
    for patch in selection.of(ApplyTo::NetworkFilter) {
        if patch.means_listener(whole, selection.gateway, false) && patch.means_chain(&whole.name, chain) {
            let wanted = patch.network_filter();
            merge::apply(&mut chain.filters, patch, !wanted.is_empty(), |one| {
                wanted.is_empty() || same_name(wanted, &one.name)
            });
        }
    }
}

/// Patches inside of a connection manager.
fn manager(
    selection: &Selection,
    filter: &mut listener::Filter,
    whole: &listener::Listener,
    rule: &Option<listener::FilterChainMatch>,
    chain_name: &str,
    socket: &Option<core::TransportSocket>,
) {
    use listener::filter::ConfigType::TypedConfig;
    let Some(TypedConfig(config)) = &filter.config_type else { return };
    if !config.type_url.ends_with(&HttpConnectionManager::full_name()) {
        return;
    }
    let Ok(before) = HttpConnectionManager::decode(config.value.as_slice()) else { return };
    let mut made = before.clone();
    // The chain as conditions see it, without the filters that are being changed.
    let chain = listener::FilterChain {
        name: chain_name.to_owned(),
        filter_chain_match: rule.clone(),
        transport_socket: socket.clone(),
        ..listener::FilterChain::default()
    };
    for patch in selection.of(ApplyTo::HttpFilter) {
        let wanted = patch.network_filter();
        if patch.means_listener(whole, selection.gateway, false)
            && patch.means_chain(&whole.name, &chain)
            && (wanted.is_empty() || same_name(wanted, &filter.name))
        {
            http::patch(&mut made.http_filters, patch);
        }
    }
    if let Some(RouteSpecifier::RouteConfig(routes)) = &mut made.route_specifier {
        let context = context_of(whole.traffic_direction, selection.gateway);
        route::patch(selection, routes, context);
    }
    if made != before {
        filter.config_type = Some(TypedConfig(any(&made)));
    }
}
