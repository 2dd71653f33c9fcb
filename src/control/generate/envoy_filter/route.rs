//! Patches of route configurations, virtual hosts and routes.

use std::sync::Arc;

use sagene_api::istio::networking::envoy_filter::{
    ApplyTo, PatchContext, RouteAction, RouteConfigurationMatch,
};

use super::super::Resource;
use super::super::proto::route;
use super::super::resource::encode;
use super::listener::decoded;
use super::{Selection, merge};

/// A route configuration after its patches.
pub(super) fn patched(selection: &Selection, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
    let Some(before) = decoded::<route::RouteConfiguration>(resource) else { return Some(resource.clone()) };
    let mut made = before.clone();
    let context = if selection.gateway { PatchContext::Gateway } else { PatchContext::SidecarOutbound };
    patch(selection, &mut made, context);
    Some(if made == before { resource.clone() } else { encode(&resource.name, &made) })
}

/// Patches a configuration in place.
pub(super) fn patch(selection: &Selection, made: &mut route::RouteConfiguration, context: PatchContext) {
    let name = made.name.clone();
    let means = |wanted: Option<&RouteConfigurationMatch>| {
        wanted.is_none_or(|wanted| means_configuration(wanted, &name, context))
    };
    for patch in selection.of(ApplyTo::RouteConfiguration) {
        if patch.is_for(context) && means(patch.routes()) && merge::merges(patch) {
            merge::merge(made, patch);
        }
    }
    for patch in selection.of(ApplyTo::VirtualHost) {
        if patch.is_for(context) && means(patch.routes()) {
            let wanted = patch.routes().and_then(|routes| routes.vhost.as_ref());
            merge::apply(&mut made.virtual_hosts, patch, wanted.is_some(), |host| {
                means_host(patch.routes(), host)
            });
        }
    }
    for patch in selection.of(ApplyTo::HttpRoute) {
        if !patch.is_for(context) || !means(patch.routes()) {
            continue;
        }
        let wanted = patch.routes().and_then(|routes| routes.vhost.as_ref()?.route.as_ref());
        for host in made.virtual_hosts.iter_mut().filter(|host| means_host(patch.routes(), host)) {
            merge::apply(&mut host.routes, patch, wanted.is_some(), |one| {
                wanted.is_none_or(|wanted| {
                    (wanted.name.is_empty() || wanted.name == one.name) && does(one, wanted.action)
                })
            });
        }
    }
}

fn means_host(wanted: Option<&RouteConfigurationMatch>, host: &route::VirtualHost) -> bool {
    wanted.and_then(|routes| routes.vhost.as_ref()).is_none_or(|wanted| {
        (wanted.name.is_empty() || wanted.name == host.name)
            && (wanted.domain_name.is_empty() || host.domains.contains(&wanted.domain_name))
    })
}

fn does(one: &route::Route, wanted: RouteAction) -> bool {
    use route::route::Action;
    match wanted {
        RouteAction::Any => true,
        RouteAction::Route => matches!(one.action, Some(Action::Route(_))),
        RouteAction::Redirect => matches!(one.action, Some(Action::Redirect(_))),
        RouteAction::DirectResponse => matches!(one.action, Some(Action::DirectResponse(_))),
    }
}

/// Names are `80` or `host:80` of a sidecar's client side, `inbound|80||` of its server side, `http.80` and
/// `https.443.<port name>.<gateway>.<namespace>` of gateways.
fn means_configuration(wanted: &RouteConfigurationMatch, name: &str, context: PatchContext) -> bool {
    if !wanted.name.is_empty() && wanted.name != name {
        return false;
    }
    let mut parts = name.split(['.', '|']);
    let (port, port_name, gateway) = if context == PatchContext::Gateway {
        let parts: Vec<&str> = name.splitn(5, '.').collect();
        match parts.as_slice() {
            [_, port, port_name, gateway, namespace] => (*port, *port_name, format!("{namespace}/{gateway}")),
            [_, port, ..] => (*port, "", String::new()),
            _ => ("", "", String::new()),
        }
    } else if name.starts_with("inbound|") {
        (parts.nth(1).unwrap_or_default(), "", String::new())
    } else {
        (name.rsplit(':').next().unwrap_or(name), "", String::new())
    };
    (wanted.port_number == 0 || port.parse() == Ok(wanted.port_number))
        && (wanted.port_name.is_empty() || wanted.port_name == port_name)
        && (wanted.gateway.is_empty() || wanted.gateway == gateway)
}
