//! The traces of the last while, in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use sagene_api::trace::zipkin::Span;

/// Traces kept; the oldest goes.
const TRACES: usize = 2000;
/// Spans kept of one trace.
const SPANS: usize = 1000;

/// Traces by id. Spans come in any order and may come twice.
#[derive(Debug, Default)]
pub struct TraceStore(Mutex<Traces>);

#[derive(Debug, Default)]
struct Traces {
    by_id: HashMap<String, BTreeMap<(String, String), Span>>,
    /// Ids in the order in which they were first heard of.
    order: VecDeque<String>,
}

impl TraceStore {
    /// Takes spans in. The same span told again replaces what was told before.
    pub fn insert(&self, spans: impl IntoIterator<Item = Span>) {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for span in spans {
            if span.id.is_empty() || span.trace_id.is_empty() {
                continue;
            }
            // A trace may be known to some by the lower half of its id alone.
            let id = format!("{:0>32}", span.trace_id.to_ascii_lowercase());
            if !traces.by_id.contains_key(&id) {
                if traces.order.len() >= TRACES
                    && let Some(oldest) = traces.order.pop_front()
                {
                    traces.by_id.remove(&oldest);
                }
                traces.order.push_back(id.clone());
            }
            let trace = traces.by_id.entry(id).or_default();
            if trace.len() < SPANS {
                // A server may share its client's id: the two are told apart by kind.
                trace.insert((span.id.clone(), span.kind.clone()), span);
            }
        }
    }

    /// The spans of a trace by start; empty where it is not known.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        let traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!("{:0>32}", id.to_ascii_lowercase());
        traces.by_id.get(&id).map(in_order).unwrap_or_default()
    }

    /// The latest traces first; with a name, those in which the service takes part.
    pub fn latest(&self, limit: usize, service: Option<&str>) -> Vec<Vec<Span>> {
        let traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = traces.order.iter().rev().filter_map(|id| traces.by_id.get(id));
        let mut lists: Vec<Vec<Span>> = found
            .filter(|trace| service.is_none_or(|name| trace.values().any(|span| service_of(span) == name)))
            .take(limit)
            .map(in_order)
            .collect();
        lists.sort_by_key(|spans| std::cmp::Reverse(spans.first().map_or(0, |span| span.timestamp)));
        lists
    }

    /// Names of all services, sorted.
    pub fn services(&self) -> Vec<String> {
        let traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = traces.by_id.values().flat_map(BTreeMap::values);
        let names: std::collections::BTreeSet<&str> = spans.map(service_of).collect();
        names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

/// The service that reports a span.
pub fn service_of(span: &Span) -> &str {
    span.local_endpoint.as_ref().map_or("", |endpoint| endpoint.service_name.as_str())
}

fn in_order(trace: &BTreeMap<(String, String), Span>) -> Vec<Span> {
    let mut spans: Vec<Span> = trace.values().cloned().collect();
    spans.sort_by_key(|span| span.timestamp);
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: &str, id: &str, timestamp: u64) -> Span {
        Span { trace_id: trace.into(), id: id.into(), timestamp, ..Span::default() }
    }

    #[test]
    fn traces_join_and_the_oldest_go() {
        let store = TraceStore::default();
        store.insert([
            span("ab", "2", 20),
            span("000000000000000000000000000000AB", "1", 10),
            span("ab", "2", 21),
        ]);
        let ids: Vec<_> = store.trace("ab").into_iter().map(|span| (span.id, span.timestamp)).collect();
        assert_eq!(ids, [("1".to_owned(), 10), ("2".to_owned(), 21)]);
        store.insert((0..TRACES).map(|each| span(&format!("c{each}"), "1", 30)));
        assert!(store.trace("ab").is_empty());
        assert_eq!(store.latest(usize::MAX, None).len(), TRACES);
    }
}
