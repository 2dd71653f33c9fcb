//! What a route, a virtual host or a filter counts requests by (`rate_limits`): actions that each give one entry of a
//! descriptor, and what the descriptor says besides.

mod action;

use super::field::{FieldError, Within, refuse_if};
use super::proto::{route, types};
use super::route_condition::RouteQuery;
use crate::filter::metadata::{DynamicMetadata, MetadataKey};
use action::Action;

/// Keys and values, in order.
pub(crate) type Entries = Vec<(String, String)>;

/// Most hits that one request may count for (Envoy's limit).
const MOST_HITS: u64 = 1_000_000_000;

/// What one request is counted by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) entries: Entries,
    /// A limit that holds instead of the one that the service knows.
    pub(crate) limit: Option<LimitOverride>,
    /// How often the request counts, where that is not once.
    pub(crate) hits: Option<Hits>,
}

/// So many requests in a unit of time (`RateLimitUnit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitOverride {
    pub(crate) requests_per_unit: u32,
    pub(crate) unit: i32,
}

/// A number of hits, taken from what is left or given back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hits {
    pub(crate) number: u64,
    pub(crate) negative: bool,
}

/// Where rules stand; not all fields mean something everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RulePlace {
    /// `rate_limits` of a virtual host or a route.
    Route,
    /// `rate_limits` of a filter, or of `typed_per_filter_config`.
    Filter,
}

/// A compiled `RateLimit`.
#[derive(Debug)]
pub(crate) struct RateLimitRule {
    pub(crate) stage: u32,
    actions: Vec<Action>,
    limit: Option<LimitSource>,
    hits: Option<Hits>,
}

#[derive(Debug)]
enum LimitSource {
    Fixed(LimitOverride),
    /// An object with `requests_per_unit` and `unit`.
    Metadata(MetadataKey),
}

/// What actions read of a request.
pub(crate) struct RateLimitFacts<'f> {
    pub(crate) query: &'f RouteQuery<'f>,
    /// The trusted client address.
    pub(crate) remote: std::net::IpAddr,
    /// The cluster that the route leads to.
    pub(crate) cluster: Option<&'f str>,
    /// The cluster that this proxy is of.
    pub(crate) own_cluster: &'f str,
}

impl RateLimitRule {
    pub(crate) fn compile_all(list: &[route::RateLimit], place: RulePlace) -> Result<Vec<Self>, FieldError> {
        let each = |(index, one)| Self::compile(one, place).within_item("rate_limits", index);
        list.iter().enumerate().map(each).collect()
    }

    fn compile(from: &route::RateLimit, place: RulePlace) -> Result<Self, FieldError> {
        refuse_if(from.apply_on_stream_done, "apply_on_stream_done", "is not supported")?;
        refuse_if(
            from.x_ratelimit_option != 0,
            "x_ratelimit_option",
            "is not supported; the filter says it",
        )?;
        if place == RulePlace::Filter {
            refuse_if(from.stage.is_some(), "stage", "means something on virtual hosts and routes only")?;
            refuse_if(
                !from.disable_key.is_empty(),
                "disable_key",
                "means something on virtual hosts and routes only",
            )?;
        }
        let stage = super::proto::uint(from.stage.as_ref(), 0);
        refuse_if(stage > 10, "stage", "is above 10")?;
        refuse_if(from.actions.is_empty(), "actions", "is empty")?;
        let each = |(index, action): (usize, &route::rate_limit::Action)| {
            Action::compile(action).within_item("actions", index)
        };
        Ok(Self {
            stage,
            actions: from.actions.iter().enumerate().map(each).collect::<Result<_, _>>()?,
            limit: from.limit.as_ref().map(LimitSource::compile).transpose().within("limit")?,
            hits: compile_hits(from.hits_addend.as_ref(), place).within("hits_addend")?,
        })
    }

    /// The descriptor of a request; `None` where an action finds nothing. Where all of them may and do, it is empty.
    pub(crate) fn descriptor(&self, facts: &RateLimitFacts<'_>) -> Option<Descriptor> {
        let entries = self.actions.iter().map(|action| action.entry(facts)).collect::<Option<Vec<_>>>()?;
        let entries: Entries = entries.into_iter().flatten().collect();
        let limit = self.limit.as_ref().and_then(|limit| limit.of(facts.query.metadata));
        Some(Descriptor { entries, limit, hits: self.hits })
    }
}

impl LimitSource {
    fn compile(from: &route::rate_limit::Override) -> Result<Self, FieldError> {
        use route::rate_limit::r#override::OverrideSpecifier;
        match &from.override_specifier {
            Some(OverrideSpecifier::RateLimit(limit)) => Ok(Self::Fixed(LimitOverride {
                requests_per_unit: limit.requests_per_unit,
                unit: limit.unit,
            })),
            Some(OverrideSpecifier::DynamicMetadata(from)) => {
                let key = from.metadata_key.as_ref();
                let key =
                    key.ok_or_else(|| FieldError::new("dynamic_metadata.metadata_key", "is missing"))?;
                Ok(Self::Metadata(MetadataKey::compile(key).within("dynamic_metadata.metadata_key")?))
            }
            None => Err(FieldError::new("override_specifier", "give rate_limit or dynamic_metadata")),
        }
    }

    fn of(&self, metadata: Option<&DynamicMetadata>) -> Option<LimitOverride> {
        let key = match self {
            Self::Fixed(limit) => return Some(*limit),
            Self::Metadata(key) => key,
        };
        let found = key.find(metadata)?;
        let requests = found.get("requests_per_unit")?.as_f64().filter(|number| number.fract() == 0.0)?;
        let unit = types::RateLimitUnit::from_str_name(found.get("unit")?.as_str()?)?;
        (0.0..=f64::from(u32::MAX))
            .contains(&requests)
            .then_some(LimitOverride { requests_per_unit: requests as u32, unit: unit.into() })
    }
}

fn compile_hits(
    from: Option<&route::rate_limit::HitsAddend>,
    place: RulePlace,
) -> Result<Option<Hits>, FieldError> {
    let Some(from) = from else { return Ok(None) };
    refuse_if(
        place == RulePlace::Route,
        "",
        "means something in rate_limits of a filter and of typed_per_filter_config only",
    )?;
    refuse_if(!from.format.is_empty(), "format", "is not supported; give number")?;
    let number = from.number.as_ref().map_or(1, |wrapped| wrapped.value);
    refuse_if(number > MOST_HITS, "number", "is above 1000000000")?;
    Ok(Some(Hits { number, negative: from.is_negative_hits }))
}
