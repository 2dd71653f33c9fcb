//! One request from head to log line: filters, route, upstream, response.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::access_log::format::Facts;
use crate::config::{
    Action, HttpFilter, HttpManager, Overrides, Redirect, Route, RouteQuery, VirtualHost, apply_mutations,
    split_query,
};
use crate::filter::attribute_gen::Attribute;
use crate::filter::cel::CelFacts;
use crate::filter::compressor::AcceptEncoding;
use crate::filter::peer_metadata::{ID_HEADER, METADATA_HEADER, Peer, UNDELIVERED_HEADER};
use crate::filter::rbac::{HttpSubject, Subject, Verdict};
use crate::stats::HttpCounters;
use crate::upstream::host::Host;
use crate::worker::context::Worker;

use super::alarm::Alarm;
use super::body::Body;
use super::codec::{HeadError, Request, Response};
use super::info::{ConnectionInfo, Flags, StreamInfo};
use super::prepare::{Refusal, prepare};
use super::reply::{Replier, local};

/// What a request needs to know of its surroundings.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) worker: Rc<Worker>,
    pub(crate) manager: Arc<HttpManager>,
    pub(crate) connection: Rc<ConnectionInfo>,
    pub(crate) counters: Arc<HttpCounters>,
    /// The listener no longer has this chain: the connection ends with this request.
    pub(crate) leaving: bool,
}

/// What one request leaves for the next on its connection, so that a connection in steady state allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) request: Request,
    pub(crate) response: Response,
    pub(crate) alarm: Alarm,
}

/// One request on its way.
pub(crate) struct Exchange {
    pub(crate) scene: Scene,
    pub(crate) request: Request,
    pub(crate) response: Response,
    pub(crate) alarm: Alarm,
    pub(crate) info: StreamInfo,
    pub(crate) remote: IpAddr,
    pub(crate) grpc: bool,
    pub(crate) random: u64,
    /// Who called, and who answered.
    pub(crate) downstream_peer: Option<Arc<Peer>>,
    pub(crate) upstream_peer: Option<Arc<Peer>>,
    /// The endpoint that was asked last.
    pub(crate) upstream: Option<Rc<Host>>,
    pub(crate) route: Option<(Arc<VirtualHost>, Arc<Route>)>,
    /// Most tokens, tokens left and seconds until there is one, of the bucket the request was counted in.
    pub(crate) rate_limit_state: Option<(u32, u32, u64)>,
    /// What a rate limit service wants the client to know.
    pub(crate) rate_limit_headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) service: Option<(Arc<str>, Arc<str>, Arc<str>)>,
    /// Headers that a filter wants on the answer.
    pub(crate) late_response_headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) accept_encoding: AcceptEncoding,
    /// What expressions made of it.
    pub(crate) attributes: Vec<Attribute>,
    /// Where the request is traced.
    pub(crate) span: Option<Box<crate::tracing::span::Span>>,
    /// The body of the proxy's own answer.
    pub(crate) own_body: Option<Body>,
    /// The client went away before its request was whole: nobody waits for an answer.
    pub(crate) gone: bool,
}

impl Exchange {
    pub(crate) fn new(scene: Scene, memory: Memory) -> Self {
        let Memory { request, mut response, alarm } = memory;
        response.headers.clear();
        let protocol = match request.version {
            0 => "HTTP/1.0",
            1 => "HTTP/1.1",
            _ => "HTTP/2",
        };
        let grpc = request.headers.get(b"content-type").is_some_and(|t| t.starts_with(b"application/grpc"));
        let random = scene.worker.random();
        let remote = scene.connection.remote.ip();
        Self {
            scene,
            request,
            response,
            alarm,
            info: StreamInfo::new(protocol),
            remote,
            grpc,
            random,
            downstream_peer: None,
            upstream_peer: None,
            upstream: None,
            route: None,
            service: None,
            span: None,
            accept_encoding: AcceptEncoding::default(),
            attributes: Vec::new(),
            late_response_headers: Vec::new(),
            rate_limit_state: None,
            rate_limit_headers: Vec::new(),
            own_body: None,
            gone: false,
        }
    }

    /// Carries the request through; what it used comes back to be used again.
    pub(crate) async fn run(mut self, mut body: Body, replier: &mut Replier) -> Memory {
        self.scene.counters.downstream_rq_total.add(1);
        self.scene.counters.downstream_rq_active.add(1);
        self.info.bytes_received = 0;
        let passed = self.enter(&mut body, replier).await;
        let unread = body.is_on_its_way();
        let forwards =
            passed && matches!(&self.route, Some((_, route)) if matches!(route.action, Action::Forward(_)));
        // An answer of our own leaves the body unread, and what follows cannot be told from it.
        self.request.keep_alive &= forwards || !unread;
        match (passed, &self.route) {
            (true, Some((_, route))) => {
                let route = route.clone();
                match &route.action {
                    Action::Forward(forward) => {
                        super::forward::forward(&mut self, &route, forward, body, replier).await
                    }
                    Action::Redirect(redirect) => {
                        self.redirect(&route, redirect);
                        self.answer(replier).await;
                    }
                    Action::Respond { status, body } => {
                        self.info.details = "direct_response".into();
                        self.own(*status, body, Flags::default());
                        self.answer(replier).await;
                    }
                }
            }
            _ => self.answer(replier).await,
        }
        self.scene.counters.downstream_rq_active.sub(1);
        super::report::report(&mut self);
        Memory { request: self.request, response: self.response, alarm: self.alarm }
    }

    /// Everything before the route's action. `false` = an answer of our own is ready.
    async fn enter(&mut self, body: &mut Body, replier: &mut Replier) -> bool {
        let scene = self.scene.clone();
        let random = u128::from(scene.worker.random()) << 64 | u128::from(self.random);
        match prepare(&mut self.request, &scene.manager, &scene.connection, random) {
            Ok(remote) => {
                self.remote = remote;
                if remote != scene.connection.remote.ip() {
                    self.info.client = Some((remote, 0).into());
                }
            }
            Err(refusal) => {
                self.refuse(refusal);
                return false;
            }
        }
        self.find_route();
        self.start_span();
        let lost = self.route.is_none() && self.request.method == b"CONNECT";
        if !lost && !self.may_upgrade() {
            self.refuse(Refusal::UpgradeRefused);
            return false;
        }
        for filter in &scene.manager.filters {
            let passed = match filter {
                HttpFilter::ExtAuthz(check) => {
                    let overrides = self.special(|overrides| &overrides.ext_authz);
                    self.authorize(check, overrides.as_ref(), body, replier).await
                }
                HttpFilter::Buffer(most) => {
                    let special = self.special(|overrides| &overrides.buffer);
                    self.buffer(*most, special, body, replier).await
                }
                HttpFilter::RateLimit(limit) => {
                    let special = self.special(|overrides| &overrides.ratelimit);
                    self.limit_rate_globally(limit, special.as_deref()).await
                }
                HttpFilter::Compressor(compressor) => {
                    let special = self.special(|overrides| &overrides.compressor);
                    self.compress_request(compressor, special.as_ref(), body);
                    true
                }
                other => self.filter(other).await,
            };
            if !passed {
                return false;
            }
        }
        let Some((vhost, _)) = &self.route else {
            self.info.details = "route_not_found".into();
            self.request.keep_alive &= !lost;
            self.own(404, b"", Flags::NO_ROUTE);
            return false;
        };
        if vhost.require_tls && self.request.scheme != "https" {
            let location = [b"https://".as_slice(), &self.request.authority, &self.request.path].concat();
            self.response.headers.set(b"location", &location);
            self.own(301, b"", Flags::default());
            return false;
        }
        true
    }

    /// Whether the connection manager, or the route for its requests, lets the protocol change. CONNECT is one, too.
    fn may_upgrade(&self) -> bool {
        let wanted = match &self.request.upgrade {
            Some(wanted) => wanted.as_str(),
            None if self.request.method == b"CONNECT" => "connect",
            None => return true,
        };
        let special = self.route.as_ref().and_then(|(_, route)| match &route.action {
            Action::Forward(forward) => {
                forward.upgrades.iter().find(|(name, _)| name == wanted).map(|(_, allowed)| *allowed)
            }
            _ => None,
        });
        special.unwrap_or_else(|| self.scene.manager.upgrades.iter().any(|each| each == wanted))
    }

    /// Answers for a head that is none; counted and logged like any request.
    pub(crate) async fn refuse_head(mut self, error: HeadError, replier: &mut Replier) {
        let flags = match error {
            HeadError::NoHost | HeadError::Timeout => Flags::default(),
            HeadError::Idle => Flags::STREAM_IDLE_TIMEOUT,
            _ => Flags::DOWNSTREAM_PROTOCOL_ERROR,
        };
        self.scene.counters.downstream_rq_total.add(1);
        self.request.keep_alive = false;
        self.info.details = error.to_string().into();
        self.own(error.status(), error.text().as_bytes(), flags);
        self.answer(replier).await;
        super::report::report(&mut self);
    }

    fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::BadPath => {
                self.info.details = "path_normalization_failed".into();
                self.own(400, b"", Flags::default());
            }
            Refusal::UpgradeRefused => {
                self.info.details = "upgrade_failed".into();
                self.request.keep_alive = false;
                self.own(403, b"", Flags::default());
            }
            Refusal::Redirect(path) => {
                self.info.details = "path_normalization_failed".into();
                self.response.headers.set(b"location", &path);
                self.own(307, b"", Flags::default());
            }
        }
    }

    /// What of the request routes and filters match.
    pub(crate) fn route_query(&self) -> RouteQuery<'_> {
        RouteQuery {
            path: &self.request.path,
            method: &self.request.method,
            authority: &self.request.authority,
            scheme: self.request.scheme.as_bytes(),
            headers: &self.request.headers,
            metadata: self.info.metadata.as_deref(),
            random: self.random,
        }
    }

    pub(crate) fn find_route(&mut self) {
        let Some(table) = self.scene.worker.routes(&self.scene.manager) else { return };
        let Some(vhost) = table.host(&self.request.authority) else { return };
        let query = self.route_query();
        if let Some(route) = vhost.route(&query) {
            self.info.route_name = Some(route.name.clone());
            if let Action::Forward(forward) = &route.action {
                self.info.cluster = forward.pick(self.random).map(|chosen| chosen.name.clone());
            }
            self.route = Some((vhost.clone(), route.clone()));
        }
    }

    /// What the route, else its host, else the table, says about a filter.
    pub(crate) fn special<T: Clone>(&self, pick: impl Fn(&Overrides) -> &Option<T>) -> Option<T> {
        let (vhost, route) = self.route.as_ref()?;
        let near = pick(&route.overrides).clone().or_else(|| pick(&vhost.overrides).clone());
        near.or_else(|| pick(&vhost.table_overrides).clone())
    }

    /// Runs one filter on the request.
    async fn filter(&mut self, filter: &HttpFilter) -> bool {
        match filter {
            HttpFilter::PeerMetadata(options) if options.discover_downstream => {
                self.downstream_peer = self.scene.worker.peer(&self.request.headers);
                self.request.headers.remove(METADATA_HEADER);
                self.request.headers.remove(ID_HEADER);
                true
            }
            HttpFilter::Rbac(rbac) => {
                let special = self.special(|overrides| &overrides.rbac);
                match special {
                    Some(None) => true,
                    Some(Some(special)) => self.judge(&special),
                    None => self.judge(rbac),
                }
            }
            HttpFilter::HeaderMutation(changes) => {
                self.mutate_request_by_filter(changes);
                true
            }
            HttpFilter::AttributeGen(filter) => {
                self.generate_attributes(filter, true);
                true
            }
            HttpFilter::Fault(fault) => {
                let special = self.special(|overrides| &overrides.fault);
                self.inject_fault(special.as_deref().unwrap_or(fault)).await
            }
            HttpFilter::LocalRateLimit(limit) => {
                let special = self.special(|overrides| &overrides.local_ratelimit);
                self.limit_rate(special.as_ref().unwrap_or(limit))
            }
            HttpFilter::JwtAuthn(jwt) => {
                let special = self.special(|overrides| &overrides.jwt);
                self.authenticate(jwt, special.as_ref())
            }
            HttpFilter::Cors => {
                let Some(cors) = self.special(|overrides| &overrides.cors) else {
                    return true;
                };
                if cors.preflight(&self.request.method, &self.request.headers, &mut self.response.headers) {
                    self.info.details = "cors_response".into();
                    self.own(200, b"", Flags::default());
                    return false;
                }
                true
            }
            _ => true,
        }
    }

    fn judge(&mut self, rbac: &crate::filter::rbac::Rbac) -> bool {
        let http = HttpSubject {
            headers: &self.request.headers,
            method: &self.request.method,
            path: &self.request.path,
            authority: &self.request.authority,
            scheme: self.request.scheme.as_bytes(),
        };
        let subject = Subject {
            connection: &self.scene.connection,
            remote: self.remote,
            http: Some(http),
            metadata: self.info.metadata.as_deref(),
        };
        let (shadow, verdict) = (rbac.shadow(&subject), rbac.judge(&subject));
        if let Some(shadow) = &shadow {
            let Scene { worker, manager, counters, .. } = &self.scene;
            rbac.count_shadow(shadow, &worker.registry, &manager.stat_prefix, counters);
            rbac.note_shadow(shadow, &mut self.info.metadata);
        }
        match verdict {
            Verdict::Allowed => {
                self.scene.counters.rbac_allowed.add(1);
                true
            }
            Verdict::Denied { policy } => {
                self.scene.counters.rbac_denied.add(1);
                self.info.details = format!("rbac_access_denied_matched_policy[{policy}]").into();
                self.own(403, b"RBAC: access denied", Flags::default());
                false
            }
        }
    }

    fn redirect(&mut self, route: &Route, redirect: &Redirect) {
        let (path, query) = split_query(&self.request.path);
        let mut target = if let Some(whole) = &redirect.path {
            whole.to_vec()
        } else if let Some(prefix) = &redirect.prefix {
            route.replace_matched(path, prefix)
        } else if let Some(regex) = &redirect.regex {
            regex.apply(path)
        } else {
            path.to_vec()
        };
        if !redirect.strip_query && !query.is_empty() && !target.contains(&b'?') {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        let authority = String::from_utf8_lossy(&self.request.authority).into_owned();
        let scheme = redirect.scheme.as_deref().unwrap_or(self.request.scheme);
        let mut host = redirect.host.as_deref().map_or_else(|| authority.clone(), str::to_owned);
        if redirect.scheme.is_some() && redirect.host.is_none() && redirect.port.is_none() {
            // A port that stands for the old scheme does not survive the change.
            for port in [":80", ":443"] {
                host = host.strip_suffix(port).unwrap_or(&host).to_owned();
            }
        }
        if let Some(port) = redirect.port {
            host = host
                .rsplit_once(':')
                .filter(|(_, p)| p.bytes().all(|b| b.is_ascii_digit()))
                .map_or(host.as_str(), |(h, _)| h)
                .to_owned();
            host = format!("{host}:{port}");
        }
        let location = [scheme.as_bytes(), b"://", host.as_bytes(), &target].concat();
        self.response.headers.set(b"location", &location);
        self.info.details = "direct_response".into();
        self.own(redirect.status, b"", Flags::default());
        self.grpc = false;
    }

    /// Prepares an answer of the proxy's own.
    pub(crate) fn own(&mut self, status: u16, text: &[u8], flags: Flags) {
        self.info.flags.set(flags);
        self.own_body = Some(local(&mut self.response, status, text, self.grpc));
    }

    /// Sends the prepared answer.
    pub(crate) async fn answer(&mut self, replier: &mut Replier) {
        let mut body = self.own_body.take().unwrap_or(Body::Empty);
        if !self.gone {
            self.info.response_code = self.response.status;
            body = self.map_local_reply(body);
        }
        if self.grpc {
            let code = self.response.headers.get_text(b"grpc-status");
            self.info.grpc_status = code.and_then(|code| code.parse().ok());
        }
        if self.request.method == b"HEAD" {
            body = Body::Empty;
        }
        self.leave(&mut body);
        // The rest of an unread request body cannot be told from the next request.
        if !self.request.keep_alive {
            replier.set_close();
        }
        if self.gone {
            replier.abort();
            return;
        }
        let sent = &mut self.info.bytes_sent;
        let sending = match replier.start(&self.response, &body, None) {
            Ok(mut sink) => {
                super::body::pump(&mut body, &mut sink, |piece| *sent += piece.len() as u64).await.is_ok()
            }
            Err(_) => false,
        };
        if !sending {
            self.info.flags.set(Flags::DOWNSTREAM_TERMINATION);
        }
    }

    /// What every response gets on its way out.
    pub(crate) fn leave(&mut self, body: &mut Body) {
        use crate::config::proto::network::http_connection_manager::v3::http_connection_manager::ServerHeaderTransformation as Server;
        let manager = self.scene.manager.clone();
        super::codec::strip_hop_by_hop(&mut self.response.headers);
        if let Some((vhost, route)) = self.route.clone() {
            let overrides = &route.overrides;
            if let Some(cors) = overrides
                .cors
                .as_ref()
                .or(vhost.overrides.cors.as_ref())
                .filter(|_| manager.filters.iter().any(|f| matches!(f, HttpFilter::Cors)))
            {
                cors.mark(&self.request.headers, &mut self.response.headers);
            }
            if vhost.attempt_count_in_response && self.info.attempts > 0 {
                let attempts = super::number::Decimal::of(self.info.attempts.into());
                self.response.headers.set(b"x-envoy-attempt-count", attempts.as_bytes());
            }
            let chosen = match &route.action {
                Action::Forward(forward) => forward.pick(self.random).map(|chosen| &chosen.mutations),
                _ => None,
            };
            let table = self.scene.worker.routes(&manager);
            let outer = table.as_ref().map(|table| &table.mutations);
            for level in chosen.into_iter().chain([&route.mutations, &vhost.mutations]).chain(outer) {
                self.mutate_response(&level.response);
            }
        }
        self.change_response_by_filters(body);
        let tells_peer = manager.peer_metadata().is_some_and(|options| options.propagate_downstream);
        if tells_peer && self.downstream_peer.is_some() {
            if self.info.flags.has("UF") {
                self.response.headers.set(UNDELIVERED_HEADER, b"true");
            }
            let own = &self.scene.worker.own;
            self.response.headers.set(METADATA_HEADER, own.encoded.as_bytes());
            self.response.headers.set(ID_HEADER, own.id.as_bytes());
        }
        for (name, value) in std::mem::take(&mut self.late_response_headers) {
            self.response.headers.set(&name, &value);
        }
        self.tell_rate_limit();
        self.tell_global_rate_limit();
        if !self.response.headers.contains(b"date") {
            let date = self.scene.worker.date();
            self.response.headers.append(b"date", date.as_bytes());
        }
        match manager.server_header {
            Server::PassThrough => {}
            Server::AppendIfAbsent if self.response.headers.contains(b"server") => {}
            _ => self.response.headers.set(b"server", manager.server_name.as_bytes()),
        }
        if manager.request_id_in_response
            && let Some(id) = self.request.headers.get(b"x-request-id").map(<[u8]>::to_vec)
        {
            self.response.headers.set(b"x-request-id", &id);
        }
    }

    /// Applies response header mutations.
    pub(crate) fn mutate_response(&mut self, list: &[crate::config::Mutation]) {
        if list.is_empty() {
            return;
        }
        let mut headers = std::mem::take(&mut self.response.headers);
        apply_mutations(list, &mut headers, |template, headers| self.render(template, None, Some(headers)));
        self.response.headers = headers;
    }

    /// Applies request header mutations.
    pub(crate) fn mutate_request(&mut self, list: &[crate::config::Mutation]) {
        if list.is_empty() {
            return;
        }
        let mut headers = std::mem::take(&mut self.request.headers);
        apply_mutations(list, &mut headers, |template, headers| self.render(template, Some(headers), None));
        self.request.headers = headers;
    }

    fn render(
        &self,
        template: &crate::access_log::format::Template,
        request: Option<&super::headers::HeaderList>,
        response: Option<&super::headers::HeaderList>,
    ) -> Vec<u8> {
        if let Some(text) = template.constant() {
            return text.to_vec();
        }
        let facts = Facts {
            request: request.unwrap_or(&self.request.headers),
            response: response.unwrap_or(&self.response.headers),
            ..self.facts()
        };
        let mut out = Vec::new();
        template.render(&facts, true, &mut out);
        out
    }

    /// What expressions read.
    pub(crate) fn cel_facts(&self) -> CelFacts<'_> {
        CelFacts {
            facts: self.facts(),
            downstream_peer: self.downstream_peer.as_deref(),
            upstream_peer: self.upstream_peer.as_deref(),
            generated: &self.attributes,
        }
    }

    /// What logs and templates read.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            info: &self.info,
            connection: &self.scene.connection,
            request: &self.request.headers,
            response: &self.response.headers,
            pseudo: [
                &self.request.method,
                &self.request.path,
                &self.request.authority,
                self.request.scheme.as_bytes(),
            ],
        }
    }
}
