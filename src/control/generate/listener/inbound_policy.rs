//! Which filter chains a port of a workload has: by the mutual TLS demanded and the protocol declared.

use sagene_model::Protocol;
use sagene_model::peer_authentication::Mode;

use super::super::proto::listener;
use super::chain::{MUTUAL_ANY, MUTUAL_HTTP, MUTUAL_TCP, plaintext_http};

/// One chain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChainKind {
    /// Conditions beside the port.
    pub(super) condition: listener::FilterChainMatch,
    /// Requests are read.
    pub(super) http: bool,
    /// Mutual TLS ends here.
    pub(super) mutual_tls: bool,
}

fn tls(protocols: &[&str]) -> listener::FilterChainMatch {
    listener::FilterChainMatch {
        transport_protocol: "tls".to_owned(),
        application_protocols: protocols.iter().map(|&protocol| protocol.to_owned()).collect(),
        ..listener::FilterChainMatch::default()
    }
}

fn raw() -> listener::FilterChainMatch {
    listener::FilterChainMatch { transport_protocol: "raw_buffer".to_owned(), ..Default::default() }
}

/// The chains of a port, in order of matching.
pub(super) fn chains(mode: Mode, protocol: Protocol, http10: bool) -> Vec<ChainKind> {
    let of = |condition, http, mutual_tls| ChainKind { condition, http, mutual_tls };
    let http = protocol.is_http();
    match mode {
        Mode::Permissive if protocol.is_unspecified() => vec![
            of(tls(&MUTUAL_HTTP), true, true),
            of(plaintext_http(http10), true, false),
            of(tls(&MUTUAL_TCP), false, true),
            of(raw(), false, false),
            // TLS of the application's own.
            of(tls(&[]), false, false),
        ],
        Mode::Permissive if http => vec![of(tls(&MUTUAL_ANY), true, true), of(raw(), true, false)],
        Mode::Permissive => {
            vec![of(tls(&MUTUAL_TCP), false, true), of(tls(&[]), false, false), of(raw(), false, false)]
        }
        Mode::Strict if protocol.is_unspecified() => {
            vec![of(tls(&MUTUAL_HTTP), true, true), of(tls(&[]), false, true)]
        }
        Mode::Strict => vec![of(tls(&[]), http, true)],
        Mode::Disable if protocol.is_unspecified() => vec![
            of(plaintext_http(http10), true, false),
            of(listener::FilterChainMatch::default(), false, false),
        ],
        Mode::Disable => vec![of(listener::FilterChainMatch::default(), http, false)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_chains_as_istio_has() {
        let count = |mode, protocol| chains(mode, protocol, false).len();
        let counts =
            |protocol| [Mode::Permissive, Mode::Strict, Mode::Disable].map(|mode| count(mode, protocol));
        assert_eq!(counts(Protocol::Unspecified), [5, 2, 2]);
        assert_eq!(counts(Protocol::Http), [2, 1, 1]);
        assert_eq!(counts(Protocol::Tcp), [3, 1, 1]);
        assert!(chains(Mode::Strict, Protocol::Unspecified, false).iter().all(|chain| chain.mutual_tls));
    }
}
