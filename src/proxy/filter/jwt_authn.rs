//! `envoy.filters.http.jwt_authn`: tokens in requests are verified, and what they say is made known to the filters behind.

mod exchange;
mod extract;
mod keys;
mod provider;
mod requirement;
pub(crate) mod status;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::config::proto::{self, Any, http::jwt_authn::v3 as proto_jwt};
use crate::config::{FieldError, RouteCondition, RouteQuery, Within, refuse_if};
use crate::http::headers::HeaderList;
use provider::Provider;
use requirement::{Evaluation, Requirement};
use status::Status;

/// The namespace of the metadata this filter writes.
pub(crate) const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// A compiled `JwtAuthentication`.
#[derive(Debug)]
pub(crate) struct JwtAuthn {
    providers: BTreeMap<String, Arc<Provider>>,
    rules: Vec<(RouteCondition, Option<Requirement>)>,
    named: HashMap<String, Requirement>,
    bypass_cors_preflight: bool,
    strip_failure_response: bool,
}

/// What a route says about the filter.
#[derive(Debug, Clone)]
pub(crate) enum JwtOverride {
    /// Off.
    Disabled,
    /// Another requirement, by its name in the filter.
    Requirement(String),
}

impl JwtOverride {
    pub(crate) fn compile(any: &Any) -> Result<Self, FieldError> {
        use proto_jwt::per_route_config::RequirementSpecifier::{Disabled, RequirementName};
        let from: proto_jwt::PerRouteConfig = proto::decode(any)?;
        match from.requirement_specifier {
            Some(Disabled(_)) => Ok(Self::Disabled),
            Some(RequirementName(name)) => Ok(Self::Requirement(name)),
            None => Err(FieldError::new("requirement_specifier", "is missing")),
        }
    }
}

/// What the filter did to an accepted request.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// Keys and values for the metadata.
    pub(crate) metadata: Vec<(String, Value)>,
    /// The route is to be chosen anew.
    pub(crate) clear_route_cache: bool,
}

impl JwtAuthn {
    pub(crate) fn compile(from: &proto_jwt::JwtAuthentication) -> Result<Self, FieldError> {
        refuse_if(from.filter_state_rules.is_some(), "filter_state_rules", "is not supported")?;
        let mut providers = BTreeMap::new();
        for (name, provider) in &from.providers {
            let compiled = Provider::compile(provider).within(format_args!("providers[{name:?}]"))?;
            providers.insert(name.clone(), Arc::new(compiled));
        }
        let mut named = HashMap::new();
        for (name, requirement) in &from.requirement_map {
            let compiled = Requirement::compile(requirement, &providers);
            named.insert(name.clone(), compiled.within(format_args!("requirement_map[{name:?}]"))?);
        }
        let mut rules = Vec::with_capacity(from.rules.len());
        for (index, rule) in from.rules.iter().enumerate() {
            rules.push(compile_rule(rule, &providers, &named).within_item("rules", index)?);
        }
        Ok(Self {
            providers,
            rules,
            named,
            bypass_cors_preflight: from.bypass_cors_preflight,
            strip_failure_response: from.strip_failure_response,
        })
    }

    /// Whether a refusal says why.
    pub(crate) fn explains(&self) -> bool {
        !self.strip_failure_response
    }

    /// Whether the request is a preflight that needs no token.
    pub(crate) fn bypasses(&self, method: &[u8], headers: &HeaderList) -> bool {
        self.bypass_cors_preflight
            && method == b"OPTIONS"
            && headers.get(b"origin").is_some_and(|value| !value.is_empty())
            && headers.get(b"access-control-request-method").is_some_and(|value| !value.is_empty())
    }

    /// Checks a request, and on success takes off and adds what the providers say.
    pub(crate) fn check(
        &self,
        query: &RouteQuery<'_>,
        special: Option<&JwtOverride>,
    ) -> Result<Evaluation, Status> {
        let requirement = match special {
            Some(JwtOverride::Disabled) => None,
            Some(JwtOverride::Requirement(name)) => match self.named.get(name) {
                Some(requirement) => Some(requirement),
                // A route that demands what does not exist must not let anybody through.
                None => return Err(Status::VerificationFails),
            },
            None => self
                .rules
                .iter()
                .find(|(condition, _)| condition.matches(query))
                .and_then(|(_, requirement)| requirement.as_ref()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut evaluation = Evaluation::new(now);
        if let Some(requirement) = requirement {
            requirement.evaluate(query.headers, query.path, &mut evaluation)?;
        }
        Ok(evaluation)
    }

    /// Headers that only this filter may set.
    pub(crate) fn sanitize(&self, headers: &mut HeaderList) {
        for provider in self.providers.values() {
            for name in provider.own_headers() {
                headers.remove(name);
            }
        }
    }
}

fn compile_rule(
    rule: &proto_jwt::RequirementRule,
    providers: &BTreeMap<String, Arc<Provider>>,
    named: &HashMap<String, Requirement>,
) -> Result<(RouteCondition, Option<Requirement>), FieldError> {
    use proto_jwt::requirement_rule::RequirementType;
    let condition = rule.r#match.as_ref().ok_or_else(|| FieldError::new("match", "is missing"))?;
    let condition = RouteCondition::compile(condition).within("match")?;
    let requirement = match &rule.requirement_type {
        Some(RequirementType::Requires(requirement)) => {
            Requirement::compile(requirement, providers).within("requires").map(Some)?
        }
        Some(RequirementType::RequirementName(name)) => Some(named.get(name).cloned().ok_or_else(|| {
            FieldError::new("requirement_name", format!("{name:?} is not in requirement_map"))
        })?),
        None => None,
    };
    Ok((condition, requirement))
}
