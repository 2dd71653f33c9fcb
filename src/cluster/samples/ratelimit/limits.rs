//! The limits in force: looked up by domain and descriptor, entry by entry.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;

use super::log;
use super::rules::{File, RateLimit, Rule, parse};

/// How deep descriptors may be nested.
const DEPTH: usize = 64;

/// All domains.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Limits {
    domains: BTreeMap<String, Node>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Node {
    limit: Option<Limit>,
    /// By `key_value`, or by `key` for any value.
    below: BTreeMap<String, Node>,
    /// Keys of `below` that end with a star, as they were written.
    open: Vec<String>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    /// `domain.key_value.key`: its name in statistics.
    pub(super) full_key: String,
    pub(super) requests_per_unit: u32,
    pub(super) unit: Unit,
    pub(super) unlimited: bool,
    /// Counts, but never says no.
    pub(super) shadow_mode: bool,
    /// Statistics of each value that came, not only of the limit.
    pub(super) detailed_metric: bool,
    pub(super) name: String,
    pub(super) replaces: Vec<String>,
}

impl Limits {
    /// Reads all files (name, text).
    ///
    /// # Errors
    /// The first mistake, with the name of its file.
    pub(super) fn read(files: &[(String, String)]) -> Result<Self, String> {
        let mut limits = Self::default();
        for (name, text) in files {
            parse(text).and_then(|file| limits.add(file)).map_err(|problem| format!("{name}: {problem}"))?;
        }
        Ok(limits)
    }

    fn add(&mut self, file: File) -> Result<(), String> {
        if file.domain.is_empty() {
            return Err("config file cannot have empty domain".to_owned());
        }
        if self.domains.contains_key(&file.domain) {
            return Err(format!("duplicate domain '{}' in config file", file.domain));
        }
        let mut root = Node::default();
        root.add(&file.domain, file.descriptors, DEPTH)?;
        self.domains.insert(file.domain, root);
        Ok(())
    }

    /// The limit for a descriptor. A limit that the descriptor brings along is taken as it is.
    pub(super) fn of(&self, domain: &str, descriptor: &RateLimitDescriptor) -> Option<Limit> {
        let Some(root) = self.domains.get(domain) else {
            log::debug(|| format!("unknown domain '{domain}'"));
            return None;
        };
        if let Some(given) = &descriptor.limit {
            return Some(Limit {
                full_key: full_key(domain, descriptor),
                requests_per_unit: given.requests_per_unit,
                // Both messages number these units alike.
                unit: Unit::try_from(given.unit).unwrap_or(Unit::Unknown),
                unlimited: false,
                shadow_mode: false,
                detailed_metric: false,
                name: String::new(),
                replaces: Vec::new(),
            });
        }
        let mut node = root;
        for entry in &descriptor.entries {
            node = node.next(&entry.key, &entry.value)?;
        }
        let mut limit = node.limit.clone()?;
        if limit.detailed_metric {
            limit.full_key = full_key(domain, descriptor);
        }
        Some(limit)
    }

    /// One line for each limit, as the debug port shows them.
    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        self.domains.values().for_each(|node| node.show(&mut text));
        text
    }
}

impl Node {
    fn add(&mut self, parent: &str, rules: Vec<Rule>, depth: usize) -> Result<(), String> {
        if depth == 0 {
            return Err(format!("descriptors are nested more than {DEPTH} deep"));
        }
        for rule in rules {
            if rule.key.is_empty() {
                return Err(format!("{parent}: descriptor has empty key"));
            }
            let own = if rule.value.is_empty() { rule.key } else { format!("{}_{}", rule.key, rule.value) };
            let full_key = format!("{parent}.{own}");
            if self.below.contains_key(&own) {
                return Err(format!("duplicate descriptor composite key '{full_key}'"));
            }
            let limit = rule
                .rate_limit
                .map(|limit| Limit::compile(full_key.clone(), limit, rule.shadow_mode, rule.detailed_metric));
            let mut node = Self { limit: limit.transpose()?, ..Self::default() };
            node.add(&full_key, rule.descriptors, depth - 1)?;
            if own.ends_with('*') {
                self.open.push(own.clone());
            }
            self.below.insert(own, node);
        }
        Ok(())
    }

    fn next(&self, key: &str, value: &str) -> Option<&Self> {
        let whole = format!("{key}_{value}");
        log::debug(|| format!("looking up key: {whole}"));
        let open = || {
            let found = self.open.iter().find(|open| whole.starts_with(open.trim_end_matches('*')));
            found.and_then(|open| self.below.get(open))
        };
        self.below.get(&whole).or_else(open).or_else(|| {
            log::debug(|| format!("looking up key: {key}"));
            self.below.get(key)
        })
    }

    fn show(&self, text: &mut String) {
        if let Some(limit) = &self.limit {
            text.push_str(&format!(
                "{}: unit={} requests_per_unit={}, shadow_mode: {}\n",
                limit.full_key,
                limit.unit.as_str_name(),
                limit.requests_per_unit,
                limit.shadow_mode
            ));
        }
        self.below.values().for_each(|node| node.show(text));
    }
}

impl Limit {
    fn compile(
        full_key: String,
        from: RateLimit,
        shadow_mode: bool,
        detailed_metric: bool,
    ) -> Result<Self, String> {
        let unit = Unit::from_str_name(&from.unit.to_ascii_uppercase()).unwrap_or(Unit::Unknown);
        match (from.unlimited, unit) {
            (true, _) if !from.unit.is_empty() => {
                return Err(format!("{full_key}: should not specify rate limit unit when unlimited"));
            }
            (false, Unit::Unknown) => {
                return Err(format!("{full_key}: invalid rate limit unit '{}'", from.unit));
            }
            _ => {}
        }
        let replaces: Vec<String> = from.replaces.into_iter().map(|other| other.name).collect();
        if replaces.iter().any(String::is_empty) {
            return Err(format!("{full_key}: should not have an empty replaces entry"));
        }
        if replaces.contains(&from.name) {
            return Err(format!("{full_key}: replaces should not contain name of same descriptor"));
        }
        Ok(Self {
            full_key,
            requests_per_unit: from.requests_per_unit,
            unit,
            unlimited: from.unlimited,
            shadow_mode,
            detailed_metric,
            name: from.name,
            replaces,
        })
    }

    /// Length of its window, in seconds.
    pub(super) fn seconds(&self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        match self.unit {
            Unit::Unknown | Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 60 * 60,
            Unit::Day => DAY,
            Unit::Week => 7 * DAY,
            Unit::Month => 30 * DAY,
            Unit::Year => 365 * DAY,
        }
    }
}

/// `domain.key_value.key_value`.
fn full_key(domain: &str, descriptor: &RateLimitDescriptor) -> String {
    let parts = descriptor.entries.iter().map(|entry| match entry.value.as_str() {
        "" => format!(".{}", entry.key),
        value => format!(".{}_{value}", entry.key),
    });
    std::iter::once(domain.to_owned()).chain(parts).collect()
}
