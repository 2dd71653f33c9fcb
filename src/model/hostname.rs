//! Host names and how they match: wildcards, short names, the most specific of several.
//!
//! Istio's rule: a host is a DNS name or a wildcard whose only `*` is the whole first label (`*.example.com`) or all of it (`*`);
//! comparison ignores case; a name without a dot is short for the service of that name in the namespace of the object that names it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// A host name or wildcard, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(Box<str>);

impl Hostname {
    /// Reads a host as written.
    pub fn new(text: &str) -> Self {
        let mut lower: Box<str> = text.into();
        lower.make_ascii_lowercase();
        Self(lower)
    }

    /// The full name of a service of Kubernetes.
    pub fn of_service(name: &str, namespace: &str, domain: &str) -> Self {
        // Joined at its exact length, and kept: names of services are made by the hundred thousand.
        let mut host = [name, ".", namespace, ".svc.", domain].concat();
        host.make_ascii_lowercase();
        Self(host.into_boxed_str())
    }

    /// Resolves a host of an object in `namespace`: a name without a dot is a service of that namespace.
    pub fn resolve(text: &str, namespace: &str, domain: &str) -> Self {
        if text.is_empty() || text.contains('.') || text.starts_with('*') {
            return Self::new(text.trim_end_matches('.'));
        }
        Self::of_service(text, namespace, domain)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `*` and `*.…`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// True where some concrete name is meant by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// True where every name that `other` means is meant by this one too.
    pub fn covers(&self, other: &Self) -> bool {
        if self.0 == other.0 {
            return true;
        }
        let Some(suffix) = self.0.strip_prefix('*') else { return false };
        let covered = other.0.strip_prefix('*').unwrap_or(&other.0);
        covered.len() >= suffix.len()
            && covered.ends_with(suffix)
            && (other.is_wildcard() || covered.len() > suffix.len())
    }

    /// The narrower of two that overlap; `None` where they do not.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            Some(other.clone())
        } else if other.covers(self) {
            Some(self.clone())
        } else {
            None
        }
    }

    /// Order of precedence: exact names before wildcards, longer before shorter, then by text.
    pub fn by_specificity(&self, other: &Self) -> Ordering {
        let rank = |host: &Self| (host.is_wildcard(), std::cmp::Reverse(host.0.len()));
        rank(self).cmp(&rank(other)).then_with(|| self.0.cmp(&other.0))
    }
}

/// The most specific of `candidates` that covers `host`.
pub fn most_specific<'a, T>(
    host: &Hostname,
    candidates: impl Iterator<Item = (&'a Hostname, T)>,
) -> Option<(&'a Hostname, T)> {
    candidates
        .filter(|(candidate, _)| candidate.covers(host))
        .min_by(|(left, _), (right, _)| left.by_specificity(right))
}

impl fmt::Display for Hostname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for Hostname {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Hostname {
        Hostname::new(text)
    }

    #[test]
    fn wildcards_cover_whole_labels_of_any_depth() {
        assert!(host("*").covers(&host("a.com")));
        assert!(host("*.com").covers(&host("a.b.com")));
        assert!(host("*.com").covers(&host("*.b.com")));
        assert!(host("*.Example.com").covers(&host("x.example.COM")));
        assert!(!host("*.com").covers(&host("com")));
        assert!(!host("*.com").covers(&host("acom")));
        assert!(!host("*.b.com").covers(&host("*.com")));
        assert!(!host("a.com").covers(&host("*.com")));
        assert!(host("a.com").overlaps(&host("*.com")));
    }

    #[test]
    fn short_names_belong_to_the_namespace_of_who_writes_them() {
        assert_eq!(
            Hostname::resolve("reviews", "shop", "cluster.local").as_str(),
            "reviews.shop.svc.cluster.local"
        );
        assert_eq!(Hostname::resolve("reviews.other", "shop", "cluster.local").as_str(), "reviews.other");
        assert_eq!(Hostname::resolve("*", "shop", "cluster.local").as_str(), "*");
    }

    #[test]
    fn exact_beats_long_beats_short() {
        let candidates = [host("*"), host("*.com"), host("*.a.com"), host("x.a.com")];
        let best = |name: &str, count: usize| {
            most_specific(&host(name), candidates[..count].iter().map(|candidate| (candidate, ())))
        };
        assert_eq!(best("x.a.com", 4).map(|(found, ())| found.as_str()), Some("x.a.com"));
        assert_eq!(best("x.a.com", 3).map(|(found, ())| found.as_str()), Some("*.a.com"));
        assert_eq!(best("y.b.org", 4).map(|(found, ())| found.as_str()), Some("*"));
    }
}
