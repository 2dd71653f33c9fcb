//! What must be true of the tokens of a request: one provider, any, all, or nothing at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::provider::{Effects, Provider};
use super::status::Status;
use super::token::Token;
use super::{Accepted, HeaderList, proto_jwt};
use crate::config::{FieldError, Within, refuse_if};

type Providers = BTreeMap<String, Arc<Provider>>;

/// A compiled `JwtRequirement`.
#[derive(Debug, Clone)]
pub(super) enum Requirement {
    Provider(Arc<Provider>, Option<Vec<String>>),
    Any(Vec<Requirement>, Bypass),
    All(Vec<Requirement>),
    /// Tokens may be missing; those that are there must be good.
    AllowMissing(Vec<Arc<Provider>>),
    /// Good tokens are read, everything passes.
    AllowMissingOrFailed(Vec<Arc<Provider>>),
}

/// What `requires_any` lets through beside its providers.
#[derive(Debug, Clone)]
pub(super) enum Bypass {
    Nothing,
    Missing(Vec<Arc<Provider>>),
    MissingOrFailed,
}

/// One evaluation: the time, and what accepted tokens do to the request.
#[derive(Debug)]
pub(crate) struct Evaluation {
    now: u64,
    effects: Effects,
}

impl Evaluation {
    pub(super) fn new(now: u64) -> Self {
        Self { now, effects: Effects::default() }
    }

    /// Changes the request as the accepted tokens' providers say.
    pub(crate) fn apply(self, headers: &mut HeaderList, path: &mut Vec<u8>) -> Accepted {
        for place in &self.effects.remove {
            place.remove(headers, path);
        }
        for (name, value) in &self.effects.add_headers {
            headers.append(name, value);
        }
        Accepted { metadata: self.effects.metadata, clear_route_cache: self.effects.clear_route_cache }
    }
}

impl Requirement {
    pub(super) fn compile(
        from: &proto_jwt::JwtRequirement,
        providers: &Providers,
    ) -> Result<Self, FieldError> {
        use proto_jwt::jwt_requirement::RequiresType;
        let all = || providers.values().cloned().collect::<Vec<_>>();
        Ok(match &from.requires_type {
            Some(RequiresType::ProviderName(name)) => {
                Self::Provider(find(providers, name).within("provider_name")?, None)
            }
            Some(RequiresType::ProviderAndAudiences(both)) => Self::Provider(
                find(providers, &both.provider_name).within("provider_and_audiences.provider_name")?,
                Some(both.audiences.clone()),
            ),
            Some(RequiresType::RequiresAny(list)) => {
                compile_any(&list.requirements, providers).within("requires_any")?
            }
            Some(RequiresType::RequiresAll(list)) => {
                let each = |(index, one)| Self::compile(one, providers).within_item("requirements", index);
                let parts: Result<_, _> = list.requirements.iter().enumerate().map(each).collect();
                Self::All(parts.within("requires_all")?)
            }
            Some(RequiresType::AllowMissing(_)) => Self::AllowMissing(all()),
            Some(RequiresType::AllowMissingOrFailed(_)) => Self::AllowMissingOrFailed(all()),
            Some(_) => {
                let reason = "extract_only_without_validation is not supported";
                return Err(FieldError::new("requires_type", reason));
            }
            None => return Err(FieldError::new("requires_type", "is missing")),
        })
    }

    /// Checks the tokens of a request.
    pub(super) fn evaluate(
        &self,
        headers: &HeaderList,
        path: &[u8],
        run: &mut Evaluation,
    ) -> Result<(), Status> {
        match self {
            Self::Provider(provider, audiences) => {
                by_provider(provider, audiences.as_deref(), headers, path, run)
            }
            Self::All(parts) => parts.iter().try_for_each(|part| part.evaluate(headers, path, run)),
            Self::Any(parts, bypass) => any(parts, bypass, headers, path, run),
            Self::AllowMissing(providers) => by_issuer(providers, headers, path, run),
            Self::AllowMissingOrFailed(providers) => {
                // Whatever is wrong with a token, the request goes on without it.
                let _ = by_issuer(providers, headers, path, run);
                Ok(())
            }
        }
    }
}

fn find(providers: &Providers, name: &str) -> Result<Arc<Provider>, FieldError> {
    let found = providers.get(name).cloned();
    found.ok_or_else(|| FieldError::new("", format!("{name:?} is not in providers")))
}

fn compile_any(list: &[proto_jwt::JwtRequirement], providers: &Providers) -> Result<Requirement, FieldError> {
    use proto_jwt::jwt_requirement::RequiresType::{AllowMissing, AllowMissingOrFailed};
    refuse_if(list.is_empty(), "requirements", "is empty")?;
    let (mut parts, mut bypass) = (Vec::new(), Bypass::Nothing);
    for (index, one) in list.iter().enumerate() {
        match &one.requires_type {
            Some(AllowMissingOrFailed(_)) => bypass = Bypass::MissingOrFailed,
            Some(AllowMissing(_)) if !matches!(bypass, Bypass::MissingOrFailed) => {
                bypass = Bypass::Missing(providers.values().cloned().collect());
            }
            Some(AllowMissing(_)) => {}
            _ => parts.push(Requirement::compile(one, providers).within_item("requirements", index)?),
        }
    }
    Ok(Requirement::Any(parts, bypass))
}

/// The first that holds counts; of the failures, one that says something about the token.
fn any(
    parts: &[Requirement],
    bypass: &Bypass,
    headers: &HeaderList,
    path: &[u8],
    run: &mut Evaluation,
) -> Result<(), Status> {
    let mut worst = None;
    let mut note = |status: Status| match worst {
        Some(known) if !Status::is_vague(known) || (status.is_vague() && known == Status::UnknownIssuer) => {}
        _ => worst = Some(status),
    };
    for part in parts {
        match part.evaluate(headers, path, run) {
            Ok(()) => return Ok(()),
            Err(status) => note(status),
        }
    }
    match bypass {
        Bypass::Nothing => {}
        Bypass::MissingOrFailed => return Ok(()),
        Bypass::Missing(providers) => match by_issuer(providers, headers, path, run) {
            Ok(()) => return Ok(()),
            Err(status) => note(status),
        },
    }
    Err(worst.unwrap_or(Status::Missed))
}

/// Every token that the provider finds must be good, and there must be one.
fn by_provider(
    provider: &Provider,
    audiences: Option<&[String]>,
    headers: &HeaderList,
    path: &[u8],
    run: &mut Evaluation,
) -> Result<(), Status> {
    let found = provider.find(headers, path);
    if found.is_empty() {
        return Err(Status::Missed);
    }
    let mut effects = Effects::default();
    for one in &found {
        let token = Token::parse(&one.text)?;
        provider.verify(&token, run.now, audiences)?;
        provider.accept(&token, one, &mut effects);
    }
    run.effects.add(effects);
    Ok(())
}

/// Every token that any provider finds must be good for the provider of its issuer; there may be none.
fn by_issuer(
    providers: &[Arc<Provider>],
    headers: &HeaderList,
    path: &[u8],
    run: &mut Evaluation,
) -> Result<(), Status> {
    let mut places = Vec::new();
    for place in providers.iter().flat_map(|provider| &provider.locations) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut effects = Effects::default();
    for found in places.iter().flat_map(|place| place.find(headers, path)) {
        let token = Token::parse(&found.text)?;
        let of_issuer = providers.iter().find(|provider| provider.issuer == token.issuer);
        let provider = of_issuer
            .or_else(|| providers.iter().find(|provider| provider.issuer.is_empty()))
            .filter(|provider| provider.locations.contains(&found.at))
            .ok_or(Status::UnknownIssuer)?;
        provider.verify(&token, run.now, None)?;
        provider.accept(&token, &found, &mut effects);
    }
    run.effects.add(effects);
    Ok(())
}

impl Effects {
    fn add(&mut self, other: Self) {
        self.remove.extend(other.remove);
        self.add_headers.extend(other.add_headers);
        self.metadata.extend(other.metadata);
        self.clear_route_cache |= other.clear_route_cache;
    }
}
