//! The filter at work on one request and its response.

use super::accept::{Choice, choose};
use super::statistics::Counters;
use super::{Compressor, CompressorOverride, Etag};
use crate::gzip::GzipSettings;
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::headers::HeaderList;

/// `accept-encoding` as the filter met it: on its way on, the request may have lost it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum AcceptEncoding {
    /// The request never came to the filter.
    #[default]
    Unread,
    Absent,
    Present(String),
}

impl Exchange {
    /// Notes what the client takes, and compresses the request where that is wanted.
    pub(crate) fn compress_request(
        &mut self,
        filter: &Compressor,
        special: Option<&CompressorOverride>,
        body: &mut Body,
    ) {
        let headers = &mut self.request.headers;
        if self.accept_encoding == AcceptEncoding::Unread {
            self.accept_encoding = match headers.get(b"accept-encoding") {
                Some(value) => AcceptEncoding::Present(String::from_utf8_lossy(value).into_owned()),
                None => AcceptEncoding::Absent,
            };
        }
        if filter.removes_accept_encoding(special) {
            headers.remove(b"accept-encoding");
        }
        let counters = filter.counters(&self.scene.worker.registry, &self.scene.manager.stat_prefix);
        let tells = &counters.request;
        // What follows an upgrade is no body.
        let is_body = self.request.upgrade.is_none() && self.request.method != b"CONNECT" && !body.is_done();
        let Some(rule) = filter.request.as_ref().filter(|rule| rule.enabled && is_body) else {
            tells.not_compressed.add(1);
            return;
        };
        let long = rule.takes_length(headers);
        if !long {
            tells.content_length_too_small.add(1);
        }
        if !long || !rule.takes_type(headers) || headers.contains(b"content-encoding") {
            tells.not_compressed.add(1);
            return;
        }
        tells.compressed.add(1);
        headers.remove(b"content-length");
        headers.set(b"content-encoding", b"gzip");
        body.compress(filter.settings, tells.clone());
    }

    /// Compresses the response where it may and the client takes it.
    pub(crate) fn compress_response(
        &mut self,
        filter: &Compressor,
        special: Option<&CompressorOverride>,
        body: &mut Body,
    ) {
        if self.accept_encoding == AcceptEncoding::Unread {
            return;
        }
        let status = self.response.status;
        // After these the connection belongs to another protocol.
        let switches = status == 101 || self.request.method == b"CONNECT" && status / 100 == 2;
        let counters = filter.counters(&self.scene.worker.registry, &self.scene.manager.stat_prefix);
        let headers = &mut self.response.headers;
        let worth_it = filter.is_worth_it(special, headers, counters);
        let takes_type = filter.response.takes_type(headers);
        let wanted = worth_it && !body.is_done() && is_wanted(&self.accept_encoding, takes_type, counters);
        let possible = worth_it
            && !switches
            && takes_type
            && !has_token(headers, b"cache-control", |token| token.eq_ignore_ascii_case(b"no-transform"))
            && filter.takes_etag(headers, counters)
            && !headers.contains(b"content-encoding")
            && !filter.codes.contains(&u32::from(status));
        if wanted && possible {
            counters.response.compressed.add(1);
            filter.mark_etag(headers);
            headers.remove(b"content-length");
            headers.set(b"content-encoding", b"gzip");
            body.compress(filter.settings(special), counters.response.clone());
        } else {
            counters.response.not_compressed.add(1);
        }
        // Caches must know that other clients may get the same otherwise.
        if possible {
            add_vary(headers);
        }
    }
}

impl Compressor {
    fn removes_accept_encoding(&self, special: Option<&CompressorOverride>) -> bool {
        match special {
            Some(CompressorOverride::Disabled) => false,
            Some(CompressorOverride::Enabled { removes_accept_encoding: Some(removes), .. }) => *removes,
            _ => self.removes_accept_encoding && self.is_enabled(special),
        }
    }

    fn is_enabled(&self, special: Option<&CompressorOverride>) -> bool {
        match special {
            None => self.response.enabled,
            Some(special) => *special != CompressorOverride::Disabled,
        }
    }

    fn settings(&self, special: Option<&CompressorOverride>) -> GzipSettings {
        match special {
            Some(CompressorOverride::Enabled { settings: Some(settings), .. }) => *settings,
            _ => self.settings,
        }
    }

    fn is_worth_it(
        &self,
        special: Option<&CompressorOverride>,
        headers: &HeaderList,
        counters: &Counters,
    ) -> bool {
        if !self.is_enabled(special) {
            return false;
        }
        let long = self.response.takes_length(headers);
        if !long {
            counters.response.content_length_too_small.add(1);
        }
        long
    }

    fn takes_etag(&self, headers: &HeaderList, counters: &Counters) -> bool {
        let refused = self.etag == Etag::Kept && headers.contains(b"etag");
        if refused {
            counters.not_compressed_etag.add(1);
        }
        !refused
    }

    /// A strong tag names the very bytes, which will be others now.
    fn mark_etag(&self, headers: &mut HeaderList) {
        let Some(etag) = headers.get(b"etag") else { return };
        if etag.get(..2).is_some_and(|head| head.eq_ignore_ascii_case(b"W/")) {
            return;
        }
        if self.etag == Etag::Weakened {
            let weak = [b"W/", etag].concat();
            headers.set(b"etag", &weak);
        } else {
            headers.remove(b"etag");
        }
    }
}

fn is_wanted(accept: &AcceptEncoding, allowed: bool, counters: &Counters) -> bool {
    let AcceptEncoding::Present(accept) = accept else {
        counters.no_accept_header.add(1);
        return false;
    };
    let choice = choose(accept, allowed);
    let counter = match choice {
        Choice::Gzip => &counters.header_compressor_used,
        Choice::Any => &counters.header_wildcard,
        Choice::Identity => &counters.header_identity,
        Choice::Nothing => &counters.header_not_valid,
    };
    counter.add(1);
    matches!(choice, Choice::Gzip | Choice::Any)
}

fn has_token(headers: &HeaderList, name: &[u8], is_it: impl Fn(&[u8]) -> bool) -> bool {
    headers
        .get_all(name)
        .any(|value| value.split(|byte| *byte == b',').any(|token| is_it(token.trim_ascii())))
}

fn add_vary(headers: &mut HeaderList) {
    // As Envoy has it: a token in other letters does not count.
    if has_token(headers, b"vary", |token| token == b"Accept-Encoding") {
        return;
    }
    let vary = match headers.get(b"vary") {
        Some(value) if !value.is_empty() => [value, b", Accept-Encoding"].concat(),
        _ => b"Accept-Encoding".to_vec(),
    };
    headers.set(b"vary", &vary);
}
