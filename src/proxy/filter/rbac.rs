//! Role-based access control, on HTTP requests and on plain connections.

mod subject;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::config::proto::{self, core, matcher, rbac};
use crate::config::{Cidr, FieldError, HeaderMatch, TextMatch, Within, compile_regex, refuse_if};
use crate::filter::metadata::{DynamicMetadata, MetadataMatch};
use crate::http::headers::HeaderList;
use crate::http::info::ConnectionInfo;
use crate::stats::{Counter, HttpCounters, Registry};

/// Compiled rules that are enforced and rules that are only counted.
#[derive(Debug, Default)]
pub(crate) struct Rbac {
    enforced: Option<Rules>,
    shadow: Option<Rules>,
    /// Where the shadow's verdict is told under a prefix of its own.
    told: Option<Told>,
}

/// Names and counters under which a filter with `shadow_rules_stat_prefix` tells the verdict of its shadow rules.
#[derive(Debug)]
struct Told {
    prefix: Box<str>,
    /// Keys of dynamic metadata.
    result_key: Box<str>,
    policy_key: Box<str>,
    /// Of the first connection manager that used the filter; that is nearly always the only one.
    counted: OnceLock<Counted>,
}

/// Counters of a shadow's verdicts in one connection manager.
#[derive(Debug)]
struct Counted {
    manager: Arc<str>,
    allowed: Arc<Counter>,
    denied: Arc<Counter>,
}

#[derive(Debug)]
struct Rules {
    action: rbac::rbac::Action,
    policies: Vec<(String, Vec<Condition>, Vec<Condition>)>,
}

/// One condition; both permissions and principals compile to it.
#[derive(Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Always(bool),
    Header(HeaderMatch),
    Path(TextMatch),
    DestinationIp(Cidr),
    DestinationPort(u32),
    DestinationPorts(i32, i32),
    ServerName(TextMatch),
    Authenticated(Option<TextMatch>),
    DirectIp(Cidr),
    RemoteIp(Cidr),
    Metadata(MetadataMatch),
    /// Path pattern of a URI template, as regular expression.
    Template(regex::bytes::Regex),
}

/// What is judged. On a plain connection the HTTP parts are absent and rules that name them do not match.
pub(crate) struct Subject<'s> {
    pub(crate) connection: &'s ConnectionInfo,
    pub(crate) remote: IpAddr,
    pub(crate) http: Option<HttpSubject<'s>>,
    /// What filters found out before.
    pub(crate) metadata: Option<&'s DynamicMetadata>,
}

/// The HTTP side of a subject.
#[derive(Clone, Copy)]
pub(crate) struct HttpSubject<'s> {
    pub(crate) headers: &'s HeaderList,
    pub(crate) method: &'s [u8],
    pub(crate) path: &'s [u8],
    pub(crate) authority: &'s [u8],
    pub(crate) scheme: &'s [u8],
}

/// The outcome: which policy decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Denied { policy: String },
}

impl Rbac {
    pub(crate) fn compile(
        rules: Option<&rbac::Rbac>,
        shadow: Option<&rbac::Rbac>,
    ) -> Result<Self, FieldError> {
        Ok(Self {
            enforced: rules.map(Rules::compile).transpose().within("rules")?,
            shadow: shadow.map(Rules::compile).transpose().within("shadow_rules")?,
            told: None,
        })
    }

    /// Compiles an HTTP filter.
    pub(crate) fn compile_filter(from: &proto::http::rbac::v3::Rbac) -> Result<Self, FieldError> {
        let made = Self::compile(from.rules.as_ref(), from.shadow_rules.as_ref())?;
        let prefix = from.shadow_rules_stat_prefix.as_str();
        let told = (!prefix.is_empty()).then(|| Told {
            prefix: prefix.into(),
            result_key: format!("{prefix}shadow_engine_result").into(),
            policy_key: format!("{prefix}shadow_effective_policy_id").into(),
            counted: OnceLock::new(),
        });
        Ok(Self { told, ..made })
    }

    /// Counts what the shadow rules say: under the filter's own prefix if it has one, as Envoy does, else among the manager's.
    pub(crate) fn count_shadow(
        &self,
        verdict: &Verdict,
        registry: &Registry,
        manager: &Arc<str>,
        counters: &HttpCounters,
    ) {
        let allowed = *verdict == Verdict::Allowed;
        match &self.told {
            Some(told) => told.count(allowed, registry, manager),
            None if allowed => counters.rbac_shadow_allowed.add(1),
            None => counters.rbac_shadow_denied.add(1),
        }
    }

    /// Notes what the shadow rules say, for filters that go by it.
    pub(crate) fn note_shadow(&self, verdict: &Verdict, metadata: &mut Option<Box<DynamicMetadata>>) {
        let Some(told) = &self.told else { return };
        let metadata = metadata.get_or_insert_default();
        let mut note = |key: &str, value: &str| metadata.set("envoy.filters.http.rbac", key, value.into());
        match verdict {
            Verdict::Allowed => note(&told.result_key, "allowed"),
            Verdict::Denied { policy } => {
                note(&told.result_key, "denied");
                note(&told.policy_key, policy);
            }
        }
    }

    /// The enforced verdict.
    pub(crate) fn judge(&self, subject: &Subject<'_>) -> Verdict {
        self.enforced.as_ref().map_or(Verdict::Allowed, |rules| rules.judge(subject, "enforced"))
    }

    /// What the shadow rules would have said; `None` without shadow rules. Asked before [`Self::judge`].
    pub(crate) fn shadow(&self, subject: &Subject<'_>) -> Option<Verdict> {
        if self.enforced.is_some() || self.shadow.is_some() {
            subject.tell();
        }
        self.shadow.as_ref().map(|rules| rules.judge(subject, "shadow"))
    }
}

impl Told {
    /// Counters are looked up once for each manager, not for each request; a second manager's are looked up each time.
    fn count(&self, allowed: bool, registry: &Registry, manager: &Arc<str>) {
        let known = self.counted.get_or_init(|| self.counters(registry, manager));
        let other;
        let counted = if known.manager == *manager {
            known
        } else {
            other = self.counters(registry, manager);
            &other
        };
        if allowed { &counted.allowed } else { &counted.denied }.add(1);
    }

    fn counters(&self, registry: &Registry, manager: &Arc<str>) -> Counted {
        let (front, prefix) = (manager.trim_end_matches(';'), self.prefix.trim_end_matches('.'));
        let named = |said: &str| registry.counter(&format!("http.{front}.rbac.{prefix}.shadow_{said}"));
        Counted { manager: manager.clone(), allowed: named("allowed"), denied: named("denied") }
    }
}

impl Rules {
    fn compile(from: &rbac::Rbac) -> Result<Self, FieldError> {
        let mut policies = Vec::new();
        for (name, policy) in &from.policies {
            let at = |e: FieldError| e.within(format_args!("policies[{name:?}]"));
            if policy.condition.is_some() || policy.checked_condition.is_some() {
                return Err(at(FieldError::new("condition", "CEL conditions are not supported")));
            }
            let permissions = policy
                .permissions
                .iter()
                .map(permission)
                .collect::<Result<_, _>>()
                .within("permissions")
                .map_err(at)?;
            let principals = policy
                .principals
                .iter()
                .map(principal)
                .collect::<Result<_, _>>()
                .within("principals")
                .map_err(at)?;
            policies.push((name.clone(), permissions, principals));
        }
        policies.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { action: from.action(), policies })
    }

    /// `engine` is `enforced` or `shadow`: so Envoy's debug log names them.
    fn judge(&self, subject: &Subject<'_>, engine: &str) -> Verdict {
        let hit = self.policies.iter().find(|(_, permissions, principals)| {
            permissions.iter().any(|c| c.holds(subject)) && principals.iter().any(|c| c.holds(subject))
        });
        let policy = hit.map_or("none", |(name, ..)| name);
        let is_denied = match self.action {
            rbac::rbac::Action::Allow => hit.is_none(),
            rbac::rbac::Action::Deny => hit.is_some(),
            rbac::rbac::Action::Log => false,
        };
        let said = if is_denied { "denied" } else { "allowed" };
        tracing::debug!("{engine} {said}, matched policy {policy}");
        if is_denied { Verdict::Denied { policy: policy.to_owned() } } else { Verdict::Allowed }
    }
}

fn permission(from: &rbac::Permission) -> Result<Condition, FieldError> {
    use rbac::permission::Rule;
    let set = |set: &rbac::permission::Set| set.rules.iter().map(permission).collect::<Result<Vec<_>, _>>();
    Ok(match from.rule.as_ref() {
        Some(Rule::AndRules(rules)) => Condition::All(set(rules).within("and_rules")?),
        Some(Rule::OrRules(rules)) => Condition::Any(set(rules).within("or_rules")?),
        Some(Rule::NotRule(rule)) => Condition::Not(Box::new(permission(rule).within("not_rule")?)),
        Some(Rule::Any(any)) => Condition::Always(*any),
        Some(Rule::Header(header)) => Condition::Header(HeaderMatch::compile(header).within("header")?),
        Some(Rule::UrlPath(path)) => Condition::Path(path_rule(path).within("url_path")?),
        Some(Rule::DestinationIp(range)) => {
            Condition::DestinationIp(Cidr::compile(range).within("destination_ip")?)
        }
        Some(Rule::DestinationPort(port)) => Condition::DestinationPort(*port),
        Some(Rule::DestinationPortRange(range)) => Condition::DestinationPorts(range.start, range.end),
        Some(Rule::RequestedServerName(name)) => {
            Condition::ServerName(TextMatch::compile(name).within("requested_server_name")?)
        }
        Some(Rule::Metadata(metadata)) => {
            Condition::Metadata(MetadataMatch::compile(metadata).within("metadata")?)
        }
        Some(Rule::SourcedMetadata(sourced)) => {
            Condition::Metadata(sourced_metadata(sourced).within("sourced_metadata")?)
        }
        Some(Rule::UriTemplate(extension)) => {
            Condition::Template(template(extension).within("uri_template")?)
        }
        _ => {
            return Err(FieldError::new("rule", "is missing or not supported (matcher)"));
        }
    })
}

fn principal(from: &rbac::Principal) -> Result<Condition, FieldError> {
    use rbac::principal::Identifier;
    let set = |set: &rbac::principal::Set| set.ids.iter().map(principal).collect::<Result<Vec<_>, _>>();
    Ok(match from.identifier.as_ref() {
        Some(Identifier::AndIds(ids)) => Condition::All(set(ids).within("and_ids")?),
        Some(Identifier::OrIds(ids)) => Condition::Any(set(ids).within("or_ids")?),
        Some(Identifier::NotId(id)) => Condition::Not(Box::new(principal(id).within("not_id")?)),
        Some(Identifier::Any(any)) => Condition::Always(*any),
        Some(Identifier::Authenticated(auth)) => Condition::Authenticated(
            auth.principal_name
                .as_ref()
                .map(TextMatch::compile)
                .transpose()
                .within("authenticated.principal_name")?,
        ),
        Some(Identifier::SourceIp(range) | Identifier::DirectRemoteIp(range)) => {
            Condition::DirectIp(Cidr::compile(range).within("direct_remote_ip")?)
        }
        Some(Identifier::RemoteIp(range)) => Condition::RemoteIp(Cidr::compile(range).within("remote_ip")?),
        Some(Identifier::Header(header)) => Condition::Header(HeaderMatch::compile(header).within("header")?),
        Some(Identifier::UrlPath(path)) => Condition::Path(path_rule(path).within("url_path")?),
        Some(Identifier::FilterState(state)) => filter_state(state)?,
        Some(Identifier::Metadata(metadata)) => {
            Condition::Metadata(MetadataMatch::compile(metadata).within("metadata")?)
        }
        Some(Identifier::SourcedMetadata(sourced)) => {
            Condition::Metadata(sourced_metadata(sourced).within("sourced_metadata")?)
        }
        _ => {
            return Err(FieldError::new("identifier", "is missing or not supported (custom)"));
        }
    })
}

/// Istio reads the peer's identity from filter state `io.istio.peer_principal`; it is the authenticated principal.
fn filter_state(from: &matcher::FilterStateMatcher) -> Result<Condition, FieldError> {
    use matcher::filter_state_matcher::Matcher;
    match (&*from.key, &from.matcher) {
        ("io.istio.peer_principal", Some(Matcher::StringMatch(text))) => {
            Ok(Condition::Authenticated(Some(TextMatch::compile(text)?)))
        }
        (key, _) => Err(FieldError::new(
            "filter_state",
            format!("{key:?} is not known; known: io.istio.peer_principal"),
        )),
    }
}

fn path_rule(from: &matcher::PathMatcher) -> Result<TextMatch, FieldError> {
    match &from.rule {
        Some(matcher::path_matcher::Rule::Path(text)) => TextMatch::compile(text).within("path"),
        None => Err(FieldError::new("rule", "is missing")),
    }
}

/// Metadata of the request are known; those of the route are not.
fn sourced_metadata(from: &rbac::SourcedMetadata) -> Result<MetadataMatch, FieldError> {
    refuse_if(
        from.metadata_source() != rbac::MetadataSource::Dynamic,
        "metadata_source",
        "only DYNAMIC is supported",
    )?;
    let wanted =
        from.metadata_matcher.as_ref().ok_or_else(|| FieldError::new("metadata_matcher", "is missing"))?;
    MetadataMatch::compile(wanted).within("metadata_matcher")
}

/// `*` stands for one path segment, `**` for any rest.
fn template(from: &core::TypedExtensionConfig) -> Result<regex::bytes::Regex, FieldError> {
    use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
    const SEGMENT: &str = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=]";
    let any = from.typed_config.as_ref().ok_or_else(|| FieldError::new("typed_config", "is missing"))?;
    let config: UriTemplateMatchConfig = proto::decode(any)?;
    let parts = config.path_template.split('/').map(|part| match part {
        "**" => "[a-zA-Z0-9\\-._~%!$&'()+,;:@=/]*".to_owned(),
        "*" => format!("{SEGMENT}+"),
        text => regex::escape(text),
    });
    if config.path_template.contains('{') {
        return Err(FieldError::new("typed_config.path_template", "variables in braces are not supported"));
    }
    compile_regex(&parts.collect::<Vec<_>>().join("/")).within("typed_config.path_template")
}

impl Condition {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let connection = subject.connection;
        match self {
            Self::All(list) => list.iter().all(|each| each.holds(subject)),
            Self::Any(list) => list.iter().any(|each| each.holds(subject)),
            Self::Not(inner) => !inner.holds(subject),
            Self::Always(any) => *any,
            Self::Header(rule) => subject.http.is_some_and(|http| {
                rule.matches(http.headers, |name| match name {
                    b":method" => Some(http.method),
                    b":path" => Some(http.path),
                    b":authority" => Some(http.authority),
                    b":scheme" => Some(http.scheme),
                    _ => None,
                })
            }),
            Self::Path(rule) => subject.http.is_some_and(|http| rule.matches(path_only(http.path))),
            Self::DestinationIp(range) => range.contains(connection.local.ip()),
            Self::DestinationPort(port) => u32::from(connection.local.port()) == *port,
            Self::DestinationPorts(start, end) => {
                (*start..*end).contains(&i32::from(connection.local.port()))
            }
            Self::ServerName(rule) => rule.matches(connection.server_name.as_bytes()),
            Self::Authenticated(None) => connection.peer.is_some(),
            Self::Authenticated(Some(rule)) => connection.peer.as_ref().is_some_and(|peer| {
                let mut names = peer.uris.iter().chain(&peer.dns).peekable();
                if names.peek().is_none() {
                    rule.matches(peer.subject.as_bytes())
                } else {
                    names.any(|name| rule.matches(name.as_bytes()))
                }
            }),
            Self::DirectIp(range) => range.contains(connection.direct_remote.ip()),
            Self::RemoteIp(range) => range.contains(subject.remote),
            Self::Metadata(rule) => rule.matches(subject.metadata),
            Self::Template(rule) => subject.http.is_some_and(|http| rule.is_match(path_only(http.path))),
        }
    }
}

/// The path that policies see: without query and fragment.
fn path_only(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::SampleValue;

    #[test]
    fn shadow_verdicts_count_by_manager_under_the_filters_prefix() {
        let filter = proto::http::rbac::v3::Rbac {
            shadow_rules: Some(rbac::Rbac::default()),
            shadow_rules_stat_prefix: "istio_dry_run_allow_".to_owned(),
            ..Default::default()
        };
        let (rbac, registry) = (Rbac::compile_filter(&filter).unwrap(), Registry::default());
        let (one, other): (Arc<str>, Arc<str>) = ("inbound_0.0.0.0_80;".into(), "other".into());
        let counters = HttpCounters::default();
        let denied = Verdict::Denied { policy: "none".to_owned() };
        for (verdict, manager) in
            [(&denied, &one), (&denied, &one), (&Verdict::Allowed, &other), (&denied, &other)]
        {
            rbac.count_shadow(verdict, &registry, manager, &counters);
        }
        let counted = |name: &str| {
            let name = format!("http.{name}");
            registry.samples().into_iter().find(|sample| sample.name == name).map(|sample| sample.value)
        };
        let of_one = "inbound_0.0.0.0_80.rbac.istio_dry_run_allow_.shadow_denied";
        assert_eq!(counted(of_one), Some(SampleValue::Counter(2)));
        assert_eq!(counted("other.rbac.istio_dry_run_allow_.shadow_allowed"), Some(SampleValue::Counter(1)));
        assert_eq!(counted("other.rbac.istio_dry_run_allow_.shadow_denied"), Some(SampleValue::Counter(1)));
        assert_eq!(counters.rbac_shadow_denied.get(), 0, "counted twice");
    }
}
