//! The mesh's hosts and how a question finds one: full names, short names, search domains, wildcards.

use std::collections::HashMap;
use std::net::IpAddr;

/// One host of the mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its addresses; none means that the host exists and has no address.
    pub addresses: Vec<IpAddr>,
    /// Whether it is a Kubernetes service, which short names can mean.
    pub kubernetes: bool,
}

/// The mesh's hosts by name, and the names this workload may shorten them to.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    hosts: HashMap<String, Host>,
    namespace: String,
    /// `svc.cluster.local`
    service_domain: String,
    /// How many names are wildcards; without any, none is looked for.
    wildcards: usize,
}

/// A name's place in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) host: &'a Host,
    /// The name that the search domain was appended to, when it was: the answer then begins with an alias.
    pub(super) alias_of: Option<String>,
}

impl NameTable {
    /// A table for a workload in `namespace` whose proxy was started with `--domain domain`
    /// (`<namespace>.svc.cluster.local`).
    pub fn new(namespace: &str, domain: &str) -> Self {
        let domain = domain.trim_matches('.').to_ascii_lowercase();
        let service_domain = match domain.strip_prefix(&format!("{namespace}.")) {
            Some(rest) => rest.to_owned(),
            None => domain,
        };
        Self { namespace: namespace.to_owned(), service_domain, ..Self::default() }
    }

    /// The same place in the mesh with other hosts. Names are taken without regard to case and final dot.
    pub fn with_hosts(&self, hosts: impl IntoIterator<Item = (String, Host)>) -> Self {
        let hosts: HashMap<String, Host> =
            hosts.into_iter().map(|(name, host)| (normalize(&name), host)).collect();
        Self {
            wildcards: hosts.keys().filter(|name| name.starts_with("*.")).count(),
            hosts,
            namespace: self.namespace.clone(),
            service_domain: self.service_domain.clone(),
        }
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Hosts in the order of their names.
    pub fn hosts(&self) -> Vec<(&str, &Host)> {
        let mut hosts: Vec<_> = self.hosts.iter().map(|(name, host)| (name.as_str(), host)).collect();
        hosts.sort_by_key(|(name, _)| *name);
        hosts
    }

    /// Finds what `question` means to this workload; `search` are the domains its resolver appends.
    pub(super) fn find(&self, question: &str, search: &[String]) -> Option<Found<'_>> {
        let name = normalize(question);
        if let Some(host) = self.find_plain(&name) {
            return Some(Found { host, alias_of: None });
        }
        for domain in search {
            let base = name.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
            if let Some(base) = base
                && let Some(host) = self.find_plain(base)
            {
                return Some(Found { host, alias_of: Some(base.to_owned()) });
            }
        }
        None
    }

    fn find_plain(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name).or_else(|| self.find_shortened(name)).or_else(|| self.find_wildcard(name))
    }

    /// `reviews`, `reviews.ns`, `reviews.ns.svc`, `reviews.ns.svc.cluster` for `reviews.ns.svc.cluster.local`.
    fn find_shortened(&self, name: &str) -> Option<&Host> {
        if self.service_domain.is_empty() {
            return None;
        }
        let labels: Vec<&str> = name.split('.').collect();
        let full = match labels.as_slice() {
            [service] => format!("{service}.{}.{}", self.namespace, self.service_domain),
            [service, namespace, tail @ ..] => {
                let domain: Vec<&str> = self.service_domain.split('.').collect();
                if tail.len() >= domain.len() || domain[..tail.len()] != *tail {
                    return None;
                }
                format!("{service}.{namespace}.{}", self.service_domain)
            }
            [] => return None,
        };
        self.hosts.get(&full).filter(|host| host.kubernetes)
    }

    /// The nearest `*.` above `name`.
    fn find_wildcard(&self, name: &str) -> Option<&Host> {
        if self.wildcards == 0 {
            return None;
        }
        let mut rest = name;
        while let Some((_, above)) = rest.split_once('.') {
            if let Some(host) = self.hosts.get(&format!("*.{above}")) {
                return Some(host);
            }
            rest = above;
        }
        None
    }
}

fn normalize(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
