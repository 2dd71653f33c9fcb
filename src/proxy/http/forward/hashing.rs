//! The hash that consistent load balancing goes by.

use std::time::Duration;

use crate::config::{Forward, HashSource};
use crate::http::exchange::Exchange;

/// The combined hash of the route's policies; `None` = none of them applies.
pub(super) fn hash_of(exchange: &mut Exchange, forward: &Forward) -> Option<u64> {
    let mut combined: Option<u64> = None;
    for rule in &forward.hash {
        let value = match &rule.source {
            HashSource::Header(name) => exchange.request.headers.get(name).map(<[u8]>::to_vec),
            HashSource::SourceIp => Some(exchange.remote.to_string().into_bytes()),
            HashSource::Query(name) => {
                let (_, query) = crate::config::split_query(&exchange.request.path);
                query
                    .split(|b| *b == b'&')
                    .find_map(|pair| pair.strip_prefix(&**name)?.strip_prefix(b"=").map(<[u8]>::to_vec))
            }
            HashSource::Cookie { name, ttl, path } => cookie(exchange, name, *ttl, path),
        };
        if let Some(value) = value {
            combined = Some(ahash::RandomState::with_seeds(5, 6, 7, 8).hash_one(&(combined, value)));
            if rule.terminal {
                break;
            }
        }
    }
    combined
}

/// The cookie's value; with a lifetime, a missing cookie is made and set in the response.
fn cookie(exchange: &mut Exchange, name: &str, ttl: Option<Duration>, path: &str) -> Option<Vec<u8>> {
    let found =
        exchange.request.headers.get_all(b"cookie").flat_map(|value| value.split(|b| *b == b';')).find_map(
            |pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec),
        );
    let ttl = match (found, ttl) {
        (Some(found), _) => return Some(found),
        (None, ttl) => ttl?,
    };
    let value = format!("{:016x}", exchange.random);
    let age = if ttl.is_zero() { String::new() } else { format!("; Max-Age={}", ttl.as_secs()) };
    let path = if path.is_empty() { String::new() } else { format!("; Path={path}") };
    exchange
        .response
        .headers
        .append(b"set-cookie", format!("{name}=\"{value}\"{age}{path}; HttpOnly").as_bytes());
    Some(value.into_bytes())
}
