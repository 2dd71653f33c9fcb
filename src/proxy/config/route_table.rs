//! Compiled route configurations: host map, routes in order, what to do with a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::field::{FieldError, Within, refuse_fields, refuse_if};
use super::header_mutation::Mutations;
use super::matcher::{Fraction, RegexRewrite};
use super::proto::{self, route};
use super::rate_limit::{RateLimitRule, RulePlace};
use super::retry::RetryPolicy;
use super::route_condition::{RouteCondition, RouteQuery, split_query};
use super::route_hash::HashRule;
use super::route_overrides::Overrides;
use crate::filter::cors::CorsPolicy;

/// A compiled `RouteConfiguration`.
#[derive(Debug, Default)]
pub struct RouteTable {
    pub(crate) mutations: Mutations,
    pub(crate) ignore_port: bool,
    exact: HashMap<Box<str>, usize>,
    /// `*.example.com`, longest first, without the star.
    suffixes: Vec<(Box<str>, usize)>,
    /// `example.*`, longest first, without the star.
    prefixes: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    hosts: Vec<Arc<VirtualHost>>,
}

/// A compiled virtual host.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    pub(crate) name: Arc<str>,
    pub(crate) routes: Vec<Arc<Route>>,
    pub(crate) mutations: Mutations,
    pub(crate) attempt_count: bool,
    pub(crate) attempt_count_in_response: bool,
    pub(crate) require_tls: bool,
    pub(crate) rate_limits: Vec<RateLimitRule>,
    pub(crate) overrides: Overrides,
    /// What the table says about filters; host and route come before it.
    pub(crate) table_overrides: Arc<Overrides>,
}

/// A compiled route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    condition: RouteCondition,
    pub(crate) action: Action,
    pub(crate) mutations: Mutations,
    pub(crate) overrides: Overrides,
    pub(crate) decorator: Option<String>,
    /// Most bytes of a request that are kept to be sent again, where that differs from the listener's.
    pub(crate) body_limit: Option<usize>,
}

#[derive(Debug)]
pub(crate) enum Action {
    Forward(Box<Forward>),
    Redirect(Box<Redirect>),
    Respond { status: u16, body: Bytes },
}

/// A share of the traffic and what is special about it.
#[derive(Debug)]
pub(crate) struct WeightedCluster {
    pub(crate) name: Arc<str>,
    pub(crate) weight: u32,
    pub(crate) mutations: Mutations,
    pub(crate) host_rewrite: Option<Box<str>>,
}

/// A compiled `RouteAction`.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) clusters: Vec<WeightedCluster>,
    pub(crate) cluster_header: Option<Box<[u8]>>,
    pub(crate) not_found_status: u16,
    pub(crate) prefix_rewrite: Option<Box<[u8]>>,
    pub(crate) regex_rewrite: Option<RegexRewrite>,
    pub(crate) path_rewrite: Option<Box<[u8]>>,
    pub(crate) host_rewrite: HostRewrite,
    pub(crate) append_forwarded_host: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Option<Duration>>,
    /// Longest life of a request with its response, when the route says.
    pub(crate) max_stream: Option<Option<Duration>>,
    pub(crate) grpc_timeout_max: Option<Duration>,
    pub(crate) retry: Option<Arc<RetryPolicy>>,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) hash: Vec<HashRule>,
    pub(crate) upgrades: Vec<(String, bool)>,
    pub(crate) rate_limits: Vec<RateLimitRule>,
    /// The virtual host's rules count, too.
    pub(crate) include_vh_rate_limits: bool,
}

#[derive(Debug)]
pub(crate) enum HostRewrite {
    Keep,
    Literal(Box<str>),
    Auto,
    Header(Box<[u8]>),
}

#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) cluster: Arc<str>,
    pub(crate) fraction: Fraction,
    pub(crate) shadow_suffix: bool,
}

#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) status: u16,
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<u16>,
    pub(crate) scheme: Option<Box<str>>,
    pub(crate) path: Option<Box<[u8]>>,
    pub(crate) prefix: Option<Box<[u8]>>,
    pub(crate) regex: Option<RegexRewrite>,
    pub(crate) strip_query: bool,
}

impl RouteTable {
    pub(crate) fn compile(from: &route::RouteConfiguration) -> Result<Self, FieldError> {
        refuse_if(from.vhds.is_some(), "vhds", "virtual host discovery is not supported")?;
        refuse_fields!(
            from,
            internal_only_headers,
            most_specific_header_mutations_wins,
            vhost_header,
            ignore_path_parameters_in_path_matching,
        );
        refuse_if(
            !from.cluster_specifier_plugins.is_empty(),
            "cluster_specifier_plugins",
            "is not supported",
        )?;
        let mut table = Self {
            mutations: Mutations::of(
                &from.request_headers_to_add,
                &from.request_headers_to_remove,
                &from.response_headers_to_add,
                &from.response_headers_to_remove,
            )?,
            ignore_port: from.ignore_port_in_host_matching,
            ..Self::default()
        };
        let overrides = Arc::new(Overrides::compile(&from.typed_per_filter_config)?);
        for (index, host) in from.virtual_hosts.iter().enumerate() {
            table.add_host(host, &overrides).within_item("virtual_hosts", index)?;
        }
        table.suffixes.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        table.prefixes.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Ok(table)
    }

    fn add_host(&mut self, from: &route::VirtualHost, overrides: &Arc<Overrides>) -> Result<(), FieldError> {
        let index = self.hosts.len();
        for domain in &from.domains {
            let domain = domain.to_ascii_lowercase();
            let fresh = if domain == "*" {
                self.any.replace(index).is_none()
            } else if let Some(suffix) = domain.strip_prefix('*') {
                self.suffixes.push((suffix.into(), index));
                true
            } else if let Some(prefix) = domain.strip_suffix('*') {
                self.prefixes.push((prefix.into(), index));
                true
            } else {
                self.exact.insert(domain.clone().into(), index).is_none()
            };
            if !fresh {
                return Err(FieldError::new(
                    "domains",
                    format!("{domain:?} is also a domain of another virtual host"),
                ));
            }
        }
        self.hosts.push(Arc::new(VirtualHost::compile(from, overrides.clone())?));
        Ok(())
    }

    /// The virtual host of an authority: exact, longest suffix, longest prefix, `*`.
    pub(crate) fn host(&self, authority: &[u8]) -> Option<&Arc<VirtualHost>> {
        let text = std::str::from_utf8(authority).unwrap_or_default();
        let text = if self.ignore_port { without_port(text) } else { text };
        let mut lower = smallvec::SmallVec::<[u8; 128]>::from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        let name = std::str::from_utf8(&lower).unwrap_or_default();
        let index = self
            .exact
            .get(name)
            .copied()
            .or_else(|| {
                self.suffixes
                    .iter()
                    .find(|(s, _)| name.len() > s.len() && name.ends_with(&**s))
                    .map(|(_, i)| *i)
            })
            .or_else(|| {
                self.prefixes
                    .iter()
                    .find(|(p, _)| name.len() > p.len() && name.starts_with(&**p))
                    .map(|(_, i)| *i)
            })
            .or(self.any)?;
        self.hosts.get(index)
    }
}

/// A host without its port; brackets of IPv6 stay.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon)
            if host[colon + 1..].bytes().all(|b| b.is_ascii_digit())
                && !host[..colon].ends_with(':')
                && (host.starts_with('[') == host[..colon].ends_with(']')) =>
        {
            &host[..colon]
        }
        _ => host,
    }
}

impl VirtualHost {
    fn compile(from: &route::VirtualHost, table_overrides: Arc<Overrides>) -> Result<Self, FieldError> {
        refuse_if(from.matcher.is_some(), "matcher", "is not supported; use routes")?;
        refuse_fields!(from, include_is_timeout_retry_header, retry_policy_typed_config);
        let retry = from
            .retry_policy
            .as_ref()
            .map(RetryPolicy::compile)
            .transpose()
            .within("retry_policy")?
            .map(Arc::new);
        let limit = from.request_body_buffer_limit.map(|n| usize::try_from(n.value).unwrap_or(usize::MAX));
        let limit = limit.or(from.per_request_buffer_limit_bytes.map(|n| n.value as usize));
        let mut routes = Vec::with_capacity(from.routes.len());
        for (index, each) in from.routes.iter().enumerate() {
            routes.push(Arc::new(Route::compile(each, retry.as_ref(), limit).within_item("routes", index)?));
        }
        let mut overrides = Overrides::compile(&from.typed_per_filter_config)?;
        if let (None, Some(cors)) = (&overrides.cors, &from.cors) {
            overrides.cors = Some(Arc::new(CorsPolicy::compile_route(cors).within("cors")?));
        }
        Ok(Self {
            name: from.name.as_str().into(),
            routes,
            mutations: Mutations::of(
                &from.request_headers_to_add,
                &from.request_headers_to_remove,
                &from.response_headers_to_add,
                &from.response_headers_to_remove,
            )?,
            attempt_count: from.include_request_attempt_count,
            attempt_count_in_response: from.include_attempt_count_in_response,
            require_tls: from.require_tls != 0,
            rate_limits: RateLimitRule::compile_all(&from.rate_limits, RulePlace::Route)?,
            overrides,
            table_overrides,
        })
    }

    /// The first route that matches.
    pub(crate) fn route(&self, query: &RouteQuery<'_>) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.matches(query))
    }
}

impl Route {
    fn compile(
        from: &route::Route,
        retry: Option<&Arc<RetryPolicy>>,
        host_limit: Option<usize>,
    ) -> Result<Self, FieldError> {
        let rule = from.r#match.as_ref().ok_or_else(|| FieldError::new("match", "is missing"))?;
        let mut overrides = Overrides::compile(&from.typed_per_filter_config)?;
        let action = compile_action(from, retry)?;
        if let Some(route::route::Action::Route(route::RouteAction { cors: Some(cors), .. })) = &from.action {
            overrides.cors = Some(Arc::new(CorsPolicy::compile_route(cors).within("route.cors")?));
        }
        Ok(Self {
            name: from.name.as_str().into(),
            condition: RouteCondition::compile(rule).within("match")?,
            action,
            mutations: Mutations::of(
                &from.request_headers_to_add,
                &from.request_headers_to_remove,
                &from.response_headers_to_add,
                &from.response_headers_to_remove,
            )?,
            overrides,
            body_limit: from
                .request_body_buffer_limit
                .map(|n| usize::try_from(n.value).unwrap_or(usize::MAX))
                .or(from.per_request_buffer_limit_bytes.map(|n| n.value as usize))
                .or(host_limit),
            decorator: from.decorator.as_ref().map(|d| d.operation.clone()),
        })
    }

    pub(crate) fn matches(&self, query: &RouteQuery<'_>) -> bool {
        self.condition.matches(query)
    }

    /// The path after this route's rewrite; `None` = unchanged.
    pub(crate) fn rewritten_path(&self, forward: &Forward, path: &[u8]) -> Option<Vec<u8>> {
        let (only, parameters) = split_query(path);
        let mut out = if let Some(prefix) = &forward.prefix_rewrite {
            self.replace_matched(only, prefix)
        } else if let Some(regex) = &forward.regex_rewrite {
            regex.apply(only)
        } else if let Some(whole) = &forward.path_rewrite {
            whole.to_vec()
        } else {
            return None;
        };
        if only.len() < path.len() {
            out.push(b'?');
            out.extend_from_slice(parameters);
        }
        Some(out)
    }

    /// Puts `new` in the place of what this route's path rule matched.
    pub(crate) fn replace_matched(&self, path: &[u8], new: &[u8]) -> Vec<u8> {
        let matched = self.condition.matched_length(path);
        [new, path.get(matched..).unwrap_or_default()].concat()
    }
}

fn compile_action(from: &route::Route, retry: Option<&Arc<RetryPolicy>>) -> Result<Action, FieldError> {
    use route::route::Action as From;
    match &from.action {
        Some(From::Route(action)) => {
            Ok(Action::Forward(Box::new(Forward::compile(action, retry).within("route")?)))
        }
        Some(From::Redirect(redirect)) => {
            Ok(Action::Redirect(Box::new(Redirect::compile(redirect).within("redirect")?)))
        }
        Some(From::DirectResponse(direct)) => {
            refuse_if(direct.body_format.is_some(), "direct_response.body_format", "is not supported yet")?;
            let body = direct
                .body
                .as_ref()
                .map(proto::data)
                .transpose()
                .within("direct_response.body")?
                .unwrap_or_default();
            let status = u16::try_from(direct.status).ok().filter(|s| (200..600).contains(s));
            let status = status.ok_or_else(|| {
                FieldError::new("direct_response.status", format!("{} is not in 200-599", direct.status))
            })?;
            Ok(Action::Respond { status, body: body.into() })
        }
        Some(From::FilterAction(_) | From::NonForwardingAction(_)) => {
            Err(FieldError::new("action", "only route, redirect and direct_response are supported"))
        }
        None => Err(FieldError::new("action", "is missing")),
    }
}

impl Forward {
    fn compile(
        from: &route::RouteAction,
        vhost_retry: Option<&Arc<RetryPolicy>>,
    ) -> Result<Self, FieldError> {
        use route::route_action::HostRewriteSpecifier as Host;
        refuse_if(
            from.internal_redirect_policy.is_some(),
            "internal_redirect_policy",
            "is not supported yet",
        )?;
        refuse_if(from.hedge_policy.is_some(), "hedge_policy", "is not supported")?;
        refuse_if(
            from.path_rewrite_policy.is_some(),
            "path_rewrite_policy",
            "URI templates are not supported yet",
        )?;
        refuse_fields!(
            from,
            metadata_match,
            flush_timeout,
            retry_policy_typed_config,
            grpc_timeout_offset,
            internal_redirect_action,
        );
        let (clusters, cluster_header) = compile_clusters(from)?;
        let text = |t: &String| (!t.is_empty()).then(|| t.clone().into_bytes().into_boxed_slice());
        let stream = from.max_stream_duration.as_ref();
        let grpc_max =
            stream.and_then(|s| s.grpc_timeout_header_max.as_ref()).or(from.max_grpc_timeout.as_ref());
        let retry = match &from.retry_policy {
            Some(policy) => Some(Arc::new(RetryPolicy::compile(policy).within("retry_policy")?)),
            None => vhost_retry.cloned(),
        };
        Ok(Self {
            clusters,
            cluster_header,
            not_found_status: if from.cluster_not_found_response_code == 1 { 404 } else { 503 },
            prefix_rewrite: text(&from.prefix_rewrite),
            regex_rewrite: from
                .regex_rewrite
                .as_ref()
                .map(RegexRewrite::compile)
                .transpose()
                .within("regex_rewrite")?,
            path_rewrite: text(&from.path_rewrite),
            host_rewrite: match &from.host_rewrite_specifier {
                None => HostRewrite::Keep,
                Some(Host::HostRewriteLiteral(host)) => HostRewrite::Literal(host.as_str().into()),
                Some(Host::AutoHostRewrite(auto)) => {
                    if auto.value {
                        HostRewrite::Auto
                    } else {
                        HostRewrite::Keep
                    }
                }
                Some(Host::HostRewriteHeader(name)) => {
                    HostRewrite::Header(name.to_ascii_lowercase().into_bytes().into())
                }
                Some(_) => {
                    return Err(FieldError::new(
                        "host_rewrite_specifier",
                        "only literal, auto and header rewrites are supported",
                    ));
                }
            },
            append_forwarded_host: from.append_x_forwarded_host,
            timeout: proto::timeout(from.timeout.as_ref(), Some(Duration::from_secs(15))),
            idle_timeout: from.idle_timeout.as_ref().map(|d| proto::timeout(Some(d), None)),
            max_stream: stream
                .and_then(|s| s.max_stream_duration.as_ref())
                .map(|most| proto::timeout(Some(most), None)),
            grpc_timeout_max: grpc_max.map(proto::duration),
            retry,
            mirrors: from
                .request_mirror_policies
                .iter()
                .enumerate()
                .map(|(i, m)| Mirror::compile(m).within_item("request_mirror_policies", i))
                .collect::<Result<_, _>>()?,
            hash: from
                .hash_policy
                .iter()
                .enumerate()
                .map(|(i, h)| HashRule::compile(h).within_item("hash_policy", i))
                .collect::<Result<_, _>>()?,
            rate_limits: RateLimitRule::compile_all(&from.rate_limits, RulePlace::Route)?,
            include_vh_rate_limits: from.include_vh_rate_limits.as_ref().is_some_and(|b| b.value),
            upgrades: from
                .upgrade_configs
                .iter()
                .map(|u| (u.upgrade_type.to_ascii_lowercase(), u.enabled.as_ref().is_none_or(|b| b.value)))
                .collect(),
        })
    }

    /// The cluster for a random number.
    pub(crate) fn pick(&self, random: u64) -> Option<&WeightedCluster> {
        if let [only] = self.clusters.as_slice() {
            return Some(only);
        }
        let total: u64 = self.clusters.iter().map(|each| u64::from(each.weight)).sum();
        let mut point = random.checked_rem(total)?;
        self.clusters.iter().find(|each| {
            let hit = point < u64::from(each.weight);
            point = point.saturating_sub(u64::from(each.weight));
            hit
        })
    }
}

fn compile_clusters(
    from: &route::RouteAction,
) -> Result<(Vec<WeightedCluster>, Option<Box<[u8]>>), FieldError> {
    use route::route_action::ClusterSpecifier;
    match &from.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => {
            let only = WeightedCluster {
                name: name.as_str().into(),
                weight: 1,
                mutations: Mutations::default(),
                host_rewrite: None,
            };
            Ok((vec![only], None))
        }
        Some(ClusterSpecifier::ClusterHeader(name)) => {
            Ok((Vec::new(), Some(name.to_ascii_lowercase().into_bytes().into())))
        }
        Some(ClusterSpecifier::WeightedClusters(set)) => {
            refuse_fields!(set, random_value_specifier);
            let mut clusters = Vec::with_capacity(set.clusters.len());
            for (index, each) in set.clusters.iter().enumerate() {
                refuse_fields!(each, metadata_match, cluster_header, typed_per_filter_config);
                clusters.push(WeightedCluster {
                    name: each.name.as_str().into(),
                    weight: proto::uint(each.weight.as_ref(), 0),
                    mutations: Mutations::of(
                        &each.request_headers_to_add,
                        &each.request_headers_to_remove,
                        &each.response_headers_to_add,
                        &each.response_headers_to_remove,
                    )
                    .within_item("weighted_clusters.clusters", index)?,
                    host_rewrite: each.host_rewrite_specifier.as_ref().map(|route::weighted_cluster::cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(
                                host,
                            )| host.as_str().into()),
                });
            }
            if clusters.iter().all(|each| each.weight == 0) {
                return Err(FieldError::new("weighted_clusters", "the weights sum to 0"));
            }
            Ok((clusters, None))
        }
        _ => Err(FieldError::new(
            "cluster_specifier",
            "only cluster, cluster_header and weighted_clusters are supported",
        )),
    }
}

impl Mirror {
    fn compile(from: &route::route_action::RequestMirrorPolicy) -> Result<Self, FieldError> {
        refuse_fields!(from, cluster_header, request_headers_mutations, host_rewrite_literal);
        Ok(Self {
            cluster: from.cluster.as_str().into(),
            fraction: from.runtime_fraction.as_ref().map_or(Fraction::ALL, Fraction::of_runtime),
            shadow_suffix: !from.disable_shadow_host_suffix_append,
        })
    }
}

impl Redirect {
    fn compile(from: &route::RedirectAction) -> Result<Self, FieldError> {
        use route::redirect_action::{PathRewriteSpecifier as Path, SchemeRewriteSpecifier as Scheme};
        let mut redirect = Self {
            status: [301, 302, 303, 307, 308].get(from.response_code as usize).copied().unwrap_or(301),
            host: (!from.host_redirect.is_empty()).then(|| from.host_redirect.as_str().into()),
            port: u16::try_from(from.port_redirect).ok().filter(|port| *port != 0),
            scheme: match &from.scheme_rewrite_specifier {
                Some(Scheme::HttpsRedirect(true)) => Some("https".into()),
                Some(Scheme::SchemeRedirect(scheme)) => Some(scheme.as_str().into()),
                _ => None,
            },
            path: None,
            prefix: None,
            regex: None,
            strip_query: from.strip_query,
        };
        match &from.path_rewrite_specifier {
            Some(Path::PathRedirect(path)) => redirect.path = Some(path.clone().into_bytes().into()),
            Some(Path::PrefixRewrite(prefix)) => redirect.prefix = Some(prefix.clone().into_bytes().into()),
            Some(Path::RegexRewrite(regex)) => {
                redirect.regex = Some(RegexRewrite::compile(regex).within("regex_rewrite")?)
            }
            Some(_) => {
                return Err(FieldError::new(
                    "path_rewrite",
                    "is not supported; use path_redirect, prefix_rewrite or regex_rewrite",
                ));
            }
            None => {}
        }
        Ok(redirect)
    }
}
