//! What routes and virtual hosts say about filters (`typed_per_filter_config`).

use std::collections::HashMap;
use std::sync::Arc;

use super::field::FieldError;
use super::header_mutation::Mutations;
use super::proto::{self, Any, http};
use super::typed_struct;
use crate::filter::buffer::BufferOverride;
use crate::filter::compressor::CompressorOverride;
use crate::filter::cors::CorsPolicy;
use crate::filter::ext_authz::ExtAuthzOverride;
use crate::filter::fault::Fault;
use crate::filter::jwt_authn::JwtOverride;
use crate::filter::local_ratelimit::LocalRateLimit;
use crate::filter::ratelimit::RateLimitOverride;
use crate::filter::rbac::Rbac;

/// Configuration of filters for one route or host.
#[derive(Debug, Default, Clone)]
pub(crate) struct Overrides {
    pub(crate) fault: Option<Arc<Fault>>,
    pub(crate) cors: Option<Arc<CorsPolicy>>,
    pub(crate) rbac: Option<Option<Arc<Rbac>>>,
    pub(crate) jwt: Option<JwtOverride>,
    pub(crate) local_ratelimit: Option<Arc<LocalRateLimit>>,
    pub(crate) ratelimit: Option<Arc<RateLimitOverride>>,
    pub(crate) ext_authz: Option<ExtAuthzOverride>,
    pub(crate) buffer: Option<BufferOverride>,
    pub(crate) compressor: Option<CompressorOverride>,
    pub(crate) header_mutation: Option<Arc<Mutations>>,
}

impl Overrides {
    pub(crate) fn compile(from: &HashMap<String, Any>) -> Result<Self, FieldError> {
        let mut overrides = Self::default();
        for (name, any) in from {
            let at = |e: FieldError| e.within(format_args!("typed_per_filter_config[{name:?}]"));
            let message = typed_struct::unwrap(any).map_err(at)?;
            overrides.add(&message).map_err(at)?;
        }
        Ok(overrides)
    }

    fn add(&mut self, any: &Any) -> Result<(), FieldError> {
        match proto::short_type(&any.type_url) {
            "envoy.extensions.filters.http.fault.v3.HTTPFault" => {
                self.fault = Some(Arc::new(Fault::compile(&proto::decode(any)?)?));
            }
            "envoy.extensions.filters.http.cors.v3.CorsPolicy" => {
                self.cors = Some(Arc::new(CorsPolicy::compile(&proto::decode(any)?)?));
            }
            "envoy.extensions.filters.http.rbac.v3.RBACPerRoute" => {
                let each: http::rbac::v3::RbacPerRoute = proto::decode(any)?;
                let rbac = each.rbac.map(|r| Rbac::compile_filter(&r));
                self.rbac = Some(rbac.transpose()?.map(Arc::new));
            }
            "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig" => {
                self.jwt = Some(JwtOverride::compile(any)?);
            }
            "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" => {
                self.local_ratelimit = Some(Arc::new(LocalRateLimit::compile(&proto::decode(any)?)?));
            }
            "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute" => {
                self.ratelimit = Some(Arc::new(RateLimitOverride::compile(&proto::decode(any)?)?));
            }
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute" => {
                self.ext_authz = Some(ExtAuthzOverride::compile(&proto::decode(any)?)?);
            }
            "envoy.extensions.filters.http.buffer.v3.BufferPerRoute" => {
                self.buffer = Some(BufferOverride::compile(&proto::decode(any)?)?);
            }
            "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute" => {
                self.compressor = Some(CompressorOverride::compile(&proto::decode(any)?)?);
            }
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute" => {
                let each: http::header_mutation::v3::HeaderMutationPerRoute = proto::decode(any)?;
                self.header_mutation = Some(Arc::new(Mutations::of_filter(each.mutations.as_ref())?));
            }
            other => {
                let known = "fault, cors, rbac, jwt_authn, local_ratelimit, ratelimit, ext_authz, buffer, compressor, header_mutation";
                let reason = format!("{other} is not supported; known per route: {known}");
                return Err(FieldError::new("", reason));
            }
        }
        Ok(())
    }
}
