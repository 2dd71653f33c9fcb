//! SPIFFE identities as Istio forms them: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.

use std::fmt;
use std::str::FromStr;

/// The identity of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Trust domain, `cluster.local` by default.
    pub trust_domain: String,
    /// Namespace.
    pub namespace: String,
    /// Service account.
    pub service_account: String,
}

/// A text that is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no workload identity; want spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT")]
pub struct IdentityError {
    text: String,
}

impl Identity {
    /// An identity of its parts.
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Self {
        Self {
            trust_domain: trust_domain.to_owned(),
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || IdentityError { text: text.to_owned() };
        let mut parts = text.strip_prefix("spiffe://").ok_or_else(wrong)?.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty());
        let (trust_domain, ns, namespace, sa, account) = (next(), next(), next(), next(), next());
        match (trust_domain, ns, namespace, sa, account, next()) {
            (Some(trust_domain), Some("ns"), Some(namespace), Some("sa"), Some(account), None) => {
                Ok(Self::new(trust_domain, namespace, account))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let identity = Identity::new("cluster.local", "shop", "cart");
        assert_eq!(identity.to_string().parse(), Ok(identity));
        for wrong in [
            "",
            "spiffe://",
            "spiffe://td/ns/a",
            "spiffe://td/ns/a/sa/",
            "spiffe://td/ns/a/sa/b/c",
            "https://td/ns/a/sa/b",
            "spiffe://td/sa/a/ns/b",
        ] {
            assert!(wrong.parse::<Identity>().is_err(), "{wrong}");
        }
    }
}
