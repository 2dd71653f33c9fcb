//! Rules of injected faults, and of percentages.

use sagene_api::istio::networking::common::Percent;
use sagene_api::istio::networking::virtual_service::HttpFaultInjection;
use sagene_model::grpc_status;

use super::super::Place;
use super::super::Report;
use super::super::common::{duration, percent};

/// A share with decimals.
fn share(report: &mut Report, path: Place<'_>, percent: Option<&Percent>) {
    let Some(Percent { value }) = percent else { return };
    report.require(
        *value == 0.0 || (0.0001..=100.0).contains(value),
        path.key("value"),
        format_args!("percentage {value} is neither 0.0, nor in range [0.0001, 100.0]"),
    );
}

pub(super) fn faults(report: &mut Report, path: Place<'_>, fault: &HttpFaultInjection) {
    report.require(
        fault.abort.is_some() || fault.delay.is_some(),
        path,
        "HTTP fault injection must have an abort and/or a delay",
    );
    if let Some(abort) = &fault.abort {
        let path = path.key("abort");
        share(report, path.key("percentage"), abort.percentage.as_ref());
        if let Some(status) = abort.http_status {
            report.require(
                (200..600).contains(&status),
                path.key("httpStatus"),
                format_args!("HTTP status {status} is not in range 200-599"),
            );
        }
        if let Some(status) = &abort.grpc_status {
            let known = grpc_status::NAMES.contains(&status.as_str());
            report.require(
                known,
                path.key("grpcStatus"),
                format_args!(
                    "gRPC status {status:?} is not supported; use one of {}",
                    grpc_status::NAMES.join(", ")
                ),
            );
        }
        if let Some(other) = &abort.http2_error {
            report.error(
                path.key("http2Error"),
                format!("HTTP/2 error {other:?} cannot be injected; use httpStatus or grpcStatus"),
            );
        }
        if abort.http_status.is_none() && abort.grpc_status.is_none() && abort.http2_error.is_none() {
            report.warning(path, "HTTP fault injection abort does nothing without httpStatus or grpcStatus");
        }
    }
    if let Some(delay) = &fault.delay {
        let path = path.key("delay");
        share(report, path.key("percentage"), delay.percentage.as_ref());
        percent(report, path.key("percent"), delay.percent.into());
        duration(report, path.key("fixedDelay"), delay.fixed_delay);
        if delay.exponential_delay.is_some() {
            report.error(path.key("exponentialDelay"), "exponentialDelay not supported yet; use fixedDelay");
        }
    }
}
