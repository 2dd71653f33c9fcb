//! Injected faults: delays and aborts for a share of requests.

mod exchange;

use std::time::Duration;

use crate::config::proto::{self, http::fault::v3 as proto_fault};
use crate::config::{FieldError, Fraction, HeaderMatch, Within, fraction_or_none, refuse_fields, refuse_if};
use crate::http::headers::HeaderList;

/// A compiled `HTTPFault`.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    delay: Option<(Duration, Fraction)>,
    abort: Option<(Abort, Fraction)>,
    upstream_cluster: Option<String>,
    headers: Vec<HeaderMatch>,
}

/// How a request is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    Http(u16),
    Grpc(u32),
}

impl Fault {
    pub(crate) fn compile(from: &proto_fault::HttpFault) -> Result<Self, FieldError> {
        use envoy_types::pb::envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier as Delay;
        refuse_fields!(from, downstream_nodes, max_active_faults);
        refuse_if(from.response_rate_limit.is_some(), "response_rate_limit", "is not supported yet")?;
        let mut fault = Self {
            upstream_cluster: (!from.upstream_cluster.is_empty()).then(|| from.upstream_cluster.clone()),
            headers: from
                .headers
                .iter()
                .enumerate()
                .map(|(i, h)| HeaderMatch::compile(h).within_item("headers", i))
                .collect::<Result<_, _>>()?,
            ..Self::default()
        };
        if let Some(delay) = &from.delay {
            match &delay.fault_delay_secifier {
                Some(Delay::FixedDelay(fixed)) => {
                    fault.delay = Some((proto::duration(fixed), fraction_or_none(delay.percentage.as_ref())))
                }
                _ => return Err(FieldError::new("delay", "only fixed_delay is supported")),
            }
        }
        if let Some(abort) = &from.abort {
            let kind = match &abort.error_type {
                Some(proto_fault::fault_abort::ErrorType::HttpStatus(status)) => {
                    let status = u16::try_from(*status).ok().filter(|s| (200..600).contains(s));
                    Abort::Http(
                        status.ok_or_else(|| FieldError::new("abort.http_status", "is not in 200-599"))?,
                    )
                }
                Some(proto_fault::fault_abort::ErrorType::GrpcStatus(status)) => Abort::Grpc(*status),
                _ => return Err(FieldError::new("abort", "only http_status and grpc_status are supported")),
            };
            fault.abort = Some((kind, fraction_or_none(abort.percentage.as_ref())));
        }
        Ok(fault)
    }

    fn applies(&self, headers: &HeaderList, cluster: Option<&str>) -> bool {
        self.upstream_cluster.as_deref().is_none_or(|wanted| cluster == Some(wanted))
            && self.headers.iter().all(|rule| rule.matches(headers, |_| None))
    }

    /// The delay for this request, if it falls into the share.
    pub(crate) fn delay(&self, headers: &HeaderList, cluster: Option<&str>, random: u64) -> Option<Duration> {
        let (delay, share) = self.delay?;
        (self.applies(headers, cluster) && share.takes(random)).then_some(delay)
    }

    /// The abort for this request, if it falls into the share.
    pub(crate) fn abort(&self, headers: &HeaderList, cluster: Option<&str>, random: u64) -> Option<Abort> {
        let (abort, share) = self.abort?;
        (self.applies(headers, cluster) && share.takes(random)).then_some(abort)
    }
}
