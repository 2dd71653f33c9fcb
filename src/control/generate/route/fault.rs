//! Faults to inject.

use sagene_api::istio::networking::common::Percent;
use sagene_api::istio::networking::virtual_service::HttpFaultInjection;
use sagene_model::grpc_status;

use super::super::proto::{Any, any, duration, fraction, http, types};
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{
    FaultDelay, fault_delay::FaultDelaySecifier,
};
use http::fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType};

/// The fault filter's configuration for a route; `None` where it injects nothing.
pub(super) fn fault(injection: &HttpFaultInjection) -> Option<Any> {
    let delay = injection.delay.as_ref().and_then(|delay| {
        let share = match (&delay.percentage, delay.percent) {
            (None, percent) if percent > 0 => fraction(f64::from(percent)),
            (percentage, _) => share(percentage.as_ref()),
        };
        Some(FaultDelay {
            percentage: Some(share),
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(duration(delay.fixed_delay?))),
        })
    });
    let abort = injection.abort.as_ref().and_then(|abort| {
        let kind = match (abort.http_status, &abort.grpc_status) {
            (Some(status), _) => ErrorType::HttpStatus(u32::try_from(status).ok()?),
            (None, Some(status)) => ErrorType::GrpcStatus(grpc_status(status)?),
            (None, None) => return None,
        };
        Some(FaultAbort {
            percentage: Some(share(abort.percentage.as_ref())),
            error_type: Some(kind),
            ..FaultAbort::default()
        })
    });
    if delay.is_none() && abort.is_none() {
        return None;
    }
    Some(any(&HttpFault { delay, abort, ..HttpFault::default() }))
}

fn grpc_status(text: &str) -> Option<u32> {
    let by_name = grpc_status::NAMES.iter().position(|name| name.eq_ignore_ascii_case(text));
    by_name.and_then(|number| u32::try_from(number).ok()).or_else(|| text.parse().ok())
}

/// Without a percentage every request is meant.
fn share(percentage: Option<&Percent>) -> types::FractionalPercent {
    fraction(percentage.map_or(100.0, |percentage| percentage.value))
}
