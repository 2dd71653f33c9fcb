//! What was looked at, what was not, and what was found elsewhere: the sentences on stderr.

use std::collections::BTreeMap;

use sagene_analysis::checks::Check;
use sagene_analysis::{Message, needs};

use super::Subject;

/// Kinds named one by one before the rest is summed up.
const MOST_KINDS: usize = 12;

/// The outcome of an analysis.
pub(super) struct Summary<'s> {
    pub(super) subject: &'s Subject,
    /// The analyzers that ran.
    pub(super) checks: &'s [&'s Check],
    pub(super) messages: &'s [Message],
    /// Findings in namespaces that were not asked for.
    pub(super) elsewhere: &'s BTreeMap<String, usize>,
    pub(super) namespace: &'s str,
}

impl Summary<'_> {
    /// `Looked at 5 objects: 3 VirtualService, 2 Service.`
    pub(super) fn looked_at(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for input in std::iter::once(&self.subject.input).chain(&self.subject.others) {
            for (kind, count) in &input.counts {
                *counts.entry(kind).or_default() += count;
            }
        }
        let kinds = needs::read_by(self.checks, counts.keys().copied());
        let (read, unread): (Vec<_>, Vec<_>) = counts.into_iter().partition(|(kind, _)| kinds.contains(kind));
        let total: usize = read.iter().map(|(_, count)| count).sum();
        let mut text = format!("Looked at {total} object{}", if total == 1 { "" } else { "s" });
        if !self.subject.others.is_empty() {
            text.push_str(&format!(" of {} clusters", self.subject.others.len() + 1));
        }
        if total > 0 {
            text.push_str(": ");
            text.push_str(&listed(read));
        }
        if !unread.is_empty() {
            text.push_str("; not at ");
            text.push_str(&listed(unread));
            text.push_str(" (no analyzer reads these kinds)");
        }
        text.push('.');
        text
    }

    /// What was left out.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.subject.notes.clone();
        if !self.elsewhere.is_empty() {
            let total: usize = self.elsewhere.values().sum();
            let places =
                self.elsewhere.iter().map(|(namespace, count)| (namespace.as_str(), *count)).collect();
            notes.push(format!(
                "{total} finding(s) in other namespaces than {:?} are not shown ({}): -A shows all.",
                self.namespace,
                listed(places)
            ));
        }
        notes
    }
}

/// `3 VirtualService, 2 Service`, most first.
fn listed(mut counts: Vec<(&str, usize)>) -> String {
    counts.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let rest: usize = counts.iter().skip(MOST_KINDS).map(|(_, count)| count).sum();
    let mut parts: Vec<String> =
        counts.iter().take(MOST_KINDS).map(|(kind, count)| format!("{count} {kind}")).collect();
    if rest > 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join(", ")
}
