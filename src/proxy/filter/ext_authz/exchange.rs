//! The filter at work on a request: body gathered, service asked, its word carried out.

use bytes::Bytes;

use super::grpc::{self, SentBody};
use super::{Changes, Counters, Decision, ExtAuthz, ExtAuthzOverride, Refusal, Service};
use crate::http::body::Body;
use crate::http::call::call;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;
use crate::http::reply::Replier;

/// Namespace of what the service wants noted.
const NAMESPACE: &str = "envoy.filters.http.ext_authz";

impl Exchange {
    /// Asks the service. `false` = an answer of our own is ready.
    pub(crate) async fn authorize(
        &mut self,
        filter: &ExtAuthz,
        special: Option<&ExtAuthzOverride>,
        body: &mut Body,
        replier: &mut Replier,
    ) -> bool {
        let worker = self.scene.worker.clone();
        let counters = filter.counters(&worker.registry, &self.scene.manager.stat_prefix.clone());
        let meant =
            filter.enabled_metadata.as_ref().is_none_or(|rule| rule.matches(self.info.metadata.as_deref()));
        let drawn = filter.enabled.as_ref().is_none_or(|share| share.takes(worker.random()));
        if !meant || !drawn || matches!(special, Some(ExtAuthzOverride::Disabled)) {
            counters.disabled.add(1);
            return true;
        }
        let (context, no_body) = match special {
            Some(ExtAuthzOverride::Settings { context, no_body }) => (&**context, *no_body),
            _ => (&[][..], false),
        };
        let limit = filter.body.filter(|_| !no_body && self.request.upgrade.is_none());
        let gathered = match limit {
            Some(limit) => self.gather(limit.most, limit.partial, body, replier).await,
            None => Some((Bytes::new(), false)),
        };
        let Some((part, partial)) = gathered else { return false };
        let sent = SentBody {
            bytes: &part,
            as_bytes: limit.is_some_and(|limit| limit.as_bytes),
            partial: limit.map(|_| partial),
        };
        let decision = self.ask(filter, &sent, context, part.clone()).await;
        self.carry_out(filter, decision, counters)
    }

    async fn ask(
        &self,
        filter: &ExtAuthz,
        body: &SentBody<'_>,
        context: &[(String, String)],
        part: Bytes,
    ) -> Decision {
        let worker = &self.scene.worker;
        let answer = match &filter.service {
            Service::Http(service) => {
                let answer = call(worker, service.question(filter, &self.request, part)).await;
                answer.map(|answer| service.decision(&answer))
            }
            Service::Grpc(service) => {
                let message = grpc::attributes(self, filter, body, context);
                call(worker, service.question(grpc::CHECK, &message))
                    .await
                    .map(|answer| grpc::decision(&answer))
            }
        };
        answer.unwrap_or_else(|error| {
            tracing::debug!(%error, "the authorization service gave no answer");
            Decision::Failed
        })
    }

    fn carry_out(&mut self, filter: &ExtAuthz, decision: Decision, counters: &Counters) -> bool {
        match decision {
            Decision::Allowed(changes) => {
                counters.ok.add(1);
                self.change(*changes);
                if filter.clear_route_cache {
                    self.route = None;
                    self.find_route();
                }
                true
            }
            Decision::Denied(refusal) => {
                counters.denied.add(1);
                self.deny(*refusal);
                false
            }
            Decision::Failed => {
                counters.error.add(1);
                if filter.fail_open {
                    counters.failure_mode_allowed.add(1);
                    if filter.tells_failure {
                        self.request.headers.set(b"x-envoy-auth-failure-mode-allowed", b"true");
                    }
                    return true;
                }
                self.info.details = "ext_authz_error".into();
                self.own(filter.status_on_error, b"", Flags::UNAUTHORIZED_EXTERNAL);
                false
            }
        }
    }

    fn change(&mut self, changes: Changes) {
        for name in &changes.remove {
            self.request.headers.remove(name);
        }
        for (name, value) in &changes.set {
            self.set_request(name, value);
        }
        for (name, value) in &changes.append {
            if self.request.headers.contains(name) {
                self.request.headers.append(name, value);
            }
        }
        for (name, value) in &changes.add_if_absent {
            if !self.request.headers.contains(name) {
                self.request.headers.append(name, value);
            }
        }
        self.late_response_headers.extend(changes.response);
        if !changes.query_set.is_empty() || !changes.query_remove.is_empty() {
            change_query(&mut self.request.path, &changes.query_set, &changes.query_remove);
        }
        self.note_metadata(changes.metadata);
    }

    fn set_request(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":path" => self.request.path = value.to_vec(),
            b":authority" | b"host" => self.request.authority = value.to_vec(),
            b":method" => self.request.method = value.to_vec(),
            name if name.starts_with(b":") => {}
            name => self.request.headers.set(name, value),
        }
    }

    fn deny(&mut self, refusal: Refusal) {
        self.note_metadata(refusal.metadata);
        self.info.details = "ext_authz_denied".into();
        for (name, value) in &refusal.headers {
            if !name.starts_with(b":") && name != b"content-length" {
                self.response.headers.append(name, value);
            }
        }
        self.own(refusal.status, &refusal.body, Flags::UNAUTHORIZED_EXTERNAL);
    }

    fn note_metadata(&mut self, metadata: Option<serde_json::Value>) {
        if let Some(serde_json::Value::Object(fields)) = metadata {
            for (key, value) in fields {
                self.info.metadata.get_or_insert_default().set(NAMESPACE, &key, value);
            }
        }
    }
}

/// Sets and removes parameters of a path's query.
fn change_query(path: &mut Vec<u8>, set: &[(String, String)], remove: &[String]) {
    let text = String::from_utf8_lossy(path).into_owned();
    let (front, query) = text.split_once('?').unwrap_or((&text, ""));
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let kept = query.split('&').filter(|pair| !pair.is_empty()).filter(|pair| {
        let name = name(pair);
        !remove.contains(&name) && !set.iter().any(|(each, _)| *each == name)
    });
    let added = set.iter().map(|(name, value)| format!("{name}={value}"));
    let pairs: Vec<String> = kept.map(str::to_owned).chain(added).collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    *path = format!("{front}{query}").into_bytes();
}
