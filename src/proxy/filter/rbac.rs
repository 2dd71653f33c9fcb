//! Role-based access control, on HTTP requests and on plain connections.

use std::net::IpAddr;

use crate::config::proto::{self, core, matcher, rbac};
use crate::config::{Cidr, FieldError, HeaderMatch, TextMatch, Within, compile_regex, refuse_if};
use crate::filter::metadata::{DynamicMetadata, MetadataMatch};
use crate::http::headers::HeaderList;
use crate::http::info::ConnectionInfo;
use crate::stats::{HttpCounters, Registry};

/// Compiled rules that are enforced and rules that are only counted.
#[derive(Debug, Default)]
pub(crate) struct Rbac {
    enforced: Option<Rules>,
    shadow: Option<Rules>,
    /// In front of the names under which the shadow's verdict is noted; empty = it is not.
    shadow_prefix: Box<str>,
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
            shadow_prefix: Box::default(),
        })
    }

    /// Compiles an HTTP filter.
    pub(crate) fn compile_filter(from: &proto::http::rbac::v3::Rbac) -> Result<Self, FieldError> {
        let made = Self::compile(from.rules.as_ref(), from.shadow_rules.as_ref())?;
        Ok(Self { shadow_prefix: from.shadow_rules_stat_prefix.as_str().into(), ..made })
    }

    /// Counts what the shadow rules say: under the filter's own prefix if it has one, as Envoy does, else among the manager's.
    pub(crate) fn count_shadow(
        &self,
        verdict: &Verdict,
        registry: &Registry,
        manager: &str,
        counters: &HttpCounters,
    ) {
        let (said, counter) = match verdict {
            Verdict::Allowed => ("allowed", &counters.rbac_shadow_allowed),
            Verdict::Denied { .. } => ("denied", &counters.rbac_shadow_denied),
        };
        if self.shadow_prefix.is_empty() {
            return counter.add(1);
        }
        let (manager, prefix) = (manager.trim_end_matches(';'), self.shadow_prefix.trim_end_matches('.'));
        registry.counter(&format!("http.{manager}.rbac.{prefix}.shadow_{said}")).add(1);
    }

    /// Notes what the shadow rules say, for filters that go by it.
    pub(crate) fn note_shadow(&self, verdict: &Verdict, metadata: &mut Option<Box<DynamicMetadata>>) {
        if self.shadow_prefix.is_empty() {
            return;
        }
        let metadata = metadata.get_or_insert_default();
        let mut note = |key: &str, value: &str| {
            let key = format!("{}{key}", self.shadow_prefix);
            metadata.set("envoy.filters.http.rbac", &key, value.into());
        };
        match verdict {
            Verdict::Allowed => note("shadow_engine_result", "allowed"),
            Verdict::Denied { policy } => {
                note("shadow_engine_result", "denied");
                note("shadow_effective_policy_id", policy);
            }
        }
    }

    /// The enforced verdict.
    pub(crate) fn judge(&self, subject: &Subject<'_>) -> Verdict {
        self.enforced.as_ref().map_or(Verdict::Allowed, |rules| rules.judge(subject, "enforced"))
    }

    /// What the shadow rules would have said; `None` without shadow rules.
    pub(crate) fn shadow(&self, subject: &Subject<'_>) -> Option<Verdict> {
        self.shadow.as_ref().map(|rules| rules.judge(subject, "shadow"))
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
