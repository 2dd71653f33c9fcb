//! The checks, one file each: what it looks for, how it reads in Istio's documentation, and its tests.

pub(crate) mod annotations;
mod application_uid;
mod authorization_policy_targets;
mod blocked_cidrs;
mod conditions;
mod configuration_rejected;
mod deployment_services;
mod deprecation;
mod destination_host;
mod destination_rule_pods;
mod destination_rule_unused;
mod destination_subset;
mod envoy_filter;
mod external_control_plane;
mod foreign_host;
mod gateway_api_version;
mod gateway_certificate;
mod gateway_conflict;
mod gateway_port;
mod gateway_secret;
mod gateway_selector_policy;
mod ingress_subset;
mod injection;
mod injection_image;
mod injection_image_auto;
mod jwt_claim_route;
mod mesh_gateway_hosts;
mod mesh_networks;
mod mtls_conflict;
mod multi_cluster_service;
mod not_yet_effective;
mod plaintext_client;
mod policy_contradiction;
mod policy_hosts;
mod policy_plaintext;
mod policy_ports;
mod port_name;
mod request_authentication_alone;
mod retries_exceed_timeout;
mod route_never_matches;
mod route_weights;
pub(crate) mod schema;
mod server_first_port;
mod server_verification;
mod service_entry_addresses;
mod service_entry_protocol;
mod sidecar_selector;
mod support;
mod telemetry_default;
mod telemetry_provider;
mod telemetry_selector;
mod unreachable_routes;
mod virtual_service_gateway;
mod virtual_service_loses;
mod webhook;

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;

use crate::code::Code;
use crate::input::Input;
use crate::message::Message;

/// One analyzer.
#[derive(Debug)]
pub struct Check {
    /// Istio's name of the analyzer, as `--analyzer` takes it.
    pub name: &'static str,
    /// What it looks for, in a sentence.
    pub description: &'static str,
    /// The codes it may report.
    pub codes: &'static [Code],
    /// How it finds.
    pub how: Run,
}

/// How a check finds.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// It looks at everything at once.
    Whole(fn(&Input) -> Vec<Message>),
    /// It judges one VirtualService after another, in any order; what it has to know of other objects is gathered once, before. `None`
    /// where it can judge none.
    VirtualServices(for<'i> fn(&'i Input) -> Option<Judge<'i>>),
}

/// Adds what is found about one VirtualService.
pub type Judge<'i> = Box<dyn FnMut(&'i Arc<Object<VirtualService>>, &mut Vec<Message>) + 'i>;

impl Check {
    /// Everything it finds.
    pub fn run(&self, input: &Input) -> Vec<Message> {
        match self.how {
            Run::Whole(run) => run(input),
            Run::VirtualServices(judge) => {
                let mut messages = Vec::new();
                let Some(mut judge) = judge(input) else { return messages };
                input.snapshot.virtual_services.iter().for_each(|service| judge(service, &mut messages));
                messages
            }
        }
    }
}

/// Every check, by name.
pub const ALL: &[Check] = &[
    annotations::CHECK,
    application_uid::CHECK,
    authorization_policy_targets::CHECK,
    blocked_cidrs::CHECK,
    conditions::CHECK,
    deployment_services::CHECK,
    deprecation::CHECK,
    server_verification::CHECK,
    destination_rule_pods::CHECK,
    not_yet_effective::CHECK,
    envoy_filter::CHECK,
    external_control_plane::CHECK,
    gateway_certificate::CHECK,
    gateway_conflict::CHECK,
    gateway_port::CHECK,
    gateway_secret::CHECK,
    injection::CHECK,
    injection_image::CHECK,
    injection_image_auto::CHECK,
    gateway_api_version::CHECK,
    gateway_selector_policy::CHECK,
    mesh_networks::CHECK,
    configuration_rejected::CHECK,
    destination_rule_unused::CHECK,
    foreign_host::CHECK,
    virtual_service_loses::CHECK,
    mtls_conflict::CHECK,
    plaintext_client::CHECK,
    policy_hosts::CHECK,
    policy_contradiction::CHECK,
    policy_plaintext::CHECK,
    policy_ports::CHECK,
    request_authentication_alone::CHECK,
    retries_exceed_timeout::CHECK,
    route_never_matches::CHECK,
    route_weights::CHECK,
    server_first_port::CHECK,
    schema::AUTHORIZATION_POLICY,
    schema::DESTINATION_RULE,
    schema::ENVOY_FILTER,
    schema::GATEWAY,
    schema::MESH_CONFIG,
    schema::MESH_NETWORKS,
    schema::PEER_AUTHENTICATION,
    schema::PROXY_CONFIG,
    schema::REQUEST_AUTHENTICATION,
    schema::SERVICE_ENTRY,
    schema::SIDECAR,
    schema::TELEMETRY,
    schema::TRAFFIC_EXTENSION,
    schema::VIRTUAL_SERVICE,
    schema::WASM_PLUGIN,
    schema::WORKLOAD_ENTRY,
    schema::WORKLOAD_GROUP,
    unreachable_routes::CHECK,
    port_name::CHECK,
    service_entry_addresses::CHECK,
    service_entry_protocol::CHECK,
    multi_cluster_service::CHECK,
    sidecar_selector::CHECK,
    telemetry_default::CHECK,
    telemetry_provider::LIGHTSTEP,
    telemetry_provider::CHECK,
    telemetry_selector::CHECK,
    mesh_gateway_hosts::CHECK,
    destination_host::CHECK,
    ingress_subset::CHECK,
    destination_subset::CHECK,
    virtual_service_gateway::CHECK,
    jwt_claim_route::CHECK,
    webhook::CHECK,
];

/// What no request reaches in VirtualServices.
pub(crate) use unreachable_routes::CHECK as UNREACHABLE_ROUTES;

#[cfg(test)]
pub(crate) mod testing;
