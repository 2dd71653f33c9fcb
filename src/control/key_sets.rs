//! Public keys of token issuers (JWKS), fetched here so that proxies need not: each proxy gets them with its listeners.
//!
//! Keys that cannot be had are stood in for by one whose private half nobody has: no token passes, none is let in by mistake.

mod fetch;
pub(crate) mod refresh;

use std::collections::HashMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sagene_api::istio::security::request_authentication::JwtRule;
use sagene_model::jwks::has_usable_key;

/// The key nobody can sign for: its private half was never kept.
const NOBODY: &str = concat!(
    r#"{"keys":[{"kty":"RSA","use":"sig","kid":"nobody","e":"AQAB","n":""#,
    "x6NL2pPRFeia-Wa2rCwfWf_Qd07ubftCRztkyr6fn1kDs6IGArDTpVW0zY84KDrw9Z6FvGHDa796ITyIPz_y-hxmlmGfCvqd-SqxI3Cjr",
    "nuqYBRBDZch7aPWm__bavYVTS0uS4po7sPW5aPxaBs6bvxyX1OXgoJBDOUdzxjLm5uxaB-8QVeO1CsmeAwIigmp6if7RD-Ag0PG11gFEl",
    "RZueJRLSQh3p8n4x9SBUTxkuJm7XEpME5999BL3w72FQ8eO6xhZHVNX7ufqnVlv7baF3nZ1o30rVm358vXNfIQM2IDKTL951YgaL4Az6Y",
    r#"76iPQ2fIpQYBdinfBd8_Ptt-j0w"}]}"#
);

/// Keys as they are where proxies can use one of them: with others they would refuse all of their listener.
fn usable(keys: &str) -> &str {
    let read: Result<serde_json::Value, _> = serde_json::from_str(keys);
    if read.is_ok_and(|set| has_usable_key(&set)) { keys } else { NOBODY }
}

/// Where keys are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// At this address.
    Keys(String),
    /// At the address that the issuer's OpenID configuration names.
    Issuer(String),
}

impl Source {
    /// Where the keys of a rule are; `None` where they stand in the rule.
    pub(crate) fn of(rule: &JwtRule) -> Option<Self> {
        match (rule.jwks.as_str(), rule.key_location()) {
            ("", "") => Some(Self::Issuer(rule.issuer.clone())),
            ("", location) => Some(Self::Keys(location.to_owned())),
            _ => None,
        }
    }
}

/// The keys fetched so far. Shared by all indices: what a proxy is given depends on it through the key of its inbound side.
#[derive(Debug, Default)]
pub struct KeySets(RwLock<HashMap<Source, Arc<str>>>);

impl KeySets {
    /// The keys of a rule as they stand in a filter's configuration.
    pub(crate) fn of_rule(&self, rule: &JwtRule) -> Arc<str> {
        let Some(source) = Source::of(rule) else { return usable(&rule.jwks).into() };
        self.read().get(&source).cloned().unwrap_or_else(|| NOBODY.into())
    }

    /// Notes fetched keys; says whether they are new. An issuer that gives none takes back those it gave.
    pub(crate) fn set(&self, source: &Source, keys: &str) -> bool {
        let keys = usable(keys);
        let mut known = self.write();
        if known.get(source).is_some_and(|old| **old == *keys) {
            return false;
        }
        known.insert(source.clone(), keys.into());
        true
    }

    /// Forgets keys that no rule asks for.
    pub(crate) fn retain(&self, wanted: impl Fn(&Source) -> bool) {
        self.write().retain(|source, _| wanted(source));
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Source, Arc<str>>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Source, Arc<str>>> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
