//! Changes by time: what happened on every edge during every scrape interval of the last hours.
//!
//! Counters become differences here. A counter that shrank belongs to a restarted proxy: its whole value is the change. Recent
//! frames are kept as scraped; older ones are folded into minutes, so that memory follows the number of edges, not the uptime.
//!
//! What proxies counted before anyone looked is known in sum only. Until a window was watched whole, its missing part is filled with the
//! average of that time ([`unwatched`]): who opens the console after sending requests sees them.

mod unwatched;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::edge::{EdgeDelta, EdgeKey, Reporter};
use super::exposition::Sample;
use unwatched::Unwatched;

/// How long frames stay at scrape resolution.
const FINE: Duration = Duration::from_secs(10 * 60);
/// Width of a folded frame.
const COARSE: Duration = Duration::from_secs(60);
/// How long anything is kept.
const KEPT: Duration = Duration::from_secs(6 * 60 * 60);

type Changes = BTreeMap<(EdgeKey, Reporter), EdgeDelta>;

struct Frame {
    start: Instant,
    end: Instant,
    changes: Changes,
}

/// The last known counters of one scraped proxy.
#[derive(Default)]
struct Counters {
    values: HashMap<SeriesKey, f64>,
}

type SeriesKey = (String, Vec<(String, String)>);

/// What one proxy exposes at a beat.
#[derive(Debug)]
pub struct Exposed {
    /// UID of its pod.
    pub target: String,
    /// How long it has been counting; `None` where that is not known.
    pub age: Option<Duration>,
    /// Its counters.
    pub samples: Vec<Sample>,
}

/// What happened between two instants.
#[derive(Debug, Default)]
pub struct Window {
    /// Seconds it tells of; shorter than asked for when the console and the proxies are younger.
    pub seconds: f64,
    /// How many of them went by before the console looked: averages stand for them.
    pub unwatched_seconds: f64,
    /// All edges ever seen; those without traffic in the window have an empty change.
    pub edges: Vec<(EdgeKey, Reporter, EdgeDelta)>,
}

/// The console's memory of telemetry.
#[derive(Default)]
pub struct History {
    frames: VecDeque<Frame>,
    counters: HashMap<String, Counters>,
    seen: BTreeMap<(EdgeKey, Reporter), Instant>,
    observed_since: Option<Instant>,
    unwatched: Unwatched,
}

impl History {
    /// Takes in one beat: what every target exposes at `now`. Targets that vanished lose their counters.
    ///
    /// The first beat of all only sets the base line, and says what happened before; a target that appears later started after the console
    /// did, so its counters are changes from zero.
    pub fn record(&mut self, now: Instant, scraped: Vec<Exposed>) {
        let first = self.observed_since.is_none();
        let start = self.frames.back().map_or(now, |frame| frame.end);
        let mut changes = Changes::new();
        let mut counters = HashMap::with_capacity(scraped.len());
        for Exposed { target, age, samples } in scraped {
            if first {
                self.unwatched.add(age, &samples);
            }
            let before = self.counters.remove(&target);
            counters.insert(target, self.advance(now, samples, before, first, &mut changes));
        }
        // Targets that could not be scraped this time keep their base line for the next beat.
        for (target, before) in std::mem::take(&mut self.counters) {
            counters.entry(target).or_insert(before);
        }
        self.counters = counters;
        self.observed_since.get_or_insert(now);
        self.frames.push_back(Frame { start, end: now, changes });
        self.compact(now);
    }

    /// Forgets the counters of targets that no longer exist.
    pub fn retain_targets(&mut self, exists: impl Fn(&str) -> bool) {
        self.counters.retain(|target, _| exists(target));
    }

    fn advance(
        &mut self,
        now: Instant,
        samples: Vec<Sample>,
        before: Option<Counters>,
        first: bool,
        changes: &mut Changes,
    ) -> Counters {
        let mut after = Counters::default();
        let before = before.unwrap_or_default();
        for sample in samples {
            let Some(reporter) = reporter(&sample) else {
                continue;
            };
            let key = (sample.name.clone(), sample.labels.clone());
            let base = before.values.get(&key).copied().unwrap_or(if first { sample.value } else { 0.0 });
            let change = if sample.value >= base { sample.value - base } else { sample.value };
            let edge = (EdgeKey::of(&sample), reporter);
            self.seen.entry(edge.clone()).or_insert(now);
            if change > 0.0 {
                changes.entry(edge).or_default().record(&sample, change);
            }
            after.values.insert(key, sample.value);
        }
        after
    }

    /// Folds old frames into minutes and drops the oldest.
    fn compact(&mut self, now: Instant) {
        while self.frames.front().is_some_and(|frame| now.duration_since(frame.end) > KEPT) {
            self.frames.pop_front();
        }
        let mut index = 0;
        while index + 1 < self.frames.len() && now.duration_since(self.frames[index + 1].end) > FINE {
            let joined = self.frames[index + 1].end.duration_since(self.frames[index].start);
            if joined > COARSE {
                index += 1;
                continue;
            }
            let Some(next) = self.frames.remove(index + 1) else {
                return;
            };
            let frame = &mut self.frames[index];
            frame.end = next.end;
            for (edge, delta) in next.changes {
                frame.changes.entry(edge).or_default().merge(&delta);
            }
        }
    }

    /// What happened in the last `duration`, up to the latest beat.
    pub fn window(&self, duration: Duration) -> Window {
        let Some(end) = self.frames.back().map(|frame| frame.end) else {
            return Window::default();
        };
        let mut edges: Changes = self.seen.keys().map(|key| (key.clone(), EdgeDelta::default())).collect();
        let mut start = end;
        for frame in self.frames.iter().rev() {
            if end.duration_since(frame.start) > duration && start < end {
                break;
            }
            start = frame.start;
            for (edge, delta) in &frame.changes {
                edges.entry(edge.clone()).or_default().merge(delta);
            }
        }
        let watched = end.duration_since(start);
        let missing = match self.observed_since {
            // Nothing of the watched time was left out: the window reaches beyond it.
            Some(since) if start <= since => duration.saturating_sub(watched),
            _ => Duration::ZERO,
        };
        let unwatched = self.unwatched.fill(missing, &mut edges);
        Window {
            seconds: (watched + unwatched).as_secs_f64(),
            unwatched_seconds: unwatched.as_secs_f64(),
            edges: edges.into_iter().map(|((key, reporter), delta)| (key, reporter, delta)).collect(),
        }
    }

    /// The last `duration` cut into `steps` windows of equal length, oldest first: the material of a sparkline.
    pub fn steps(&self, duration: Duration, steps: u32) -> Vec<Window> {
        let Some(end) = self.frames.back().map(|frame| frame.end) else {
            return Vec::new();
        };
        let width = duration / steps.max(1);
        let mut windows: Vec<Window> = (0..steps.max(1)).map(|_| Window::default()).collect();
        let mut sums: Vec<Changes> = (0..windows.len()).map(|_| Changes::new()).collect();
        for frame in &self.frames {
            let age = end.duration_since(frame.end);
            let index = (age.as_secs_f64() / width.as_secs_f64()) as usize;
            let Some(slot) = windows.len().checked_sub(index + 1) else {
                continue;
            };
            windows[slot].seconds += frame.end.duration_since(frame.start).as_secs_f64();
            for (edge, delta) in &frame.changes {
                sums[slot].entry(edge.clone()).or_default().merge(delta);
            }
        }
        for (window, sum) in windows.iter_mut().zip(sums) {
            window.edges = sum.into_iter().map(|((key, reporter), delta)| (key, reporter, delta)).collect();
        }
        windows
    }
}

fn reporter(sample: &Sample) -> Option<Reporter> {
    match sample.label("reporter") {
        "source" => Some(Reporter::Source),
        "destination" => Some(Reporter::Destination),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::parse;

    fn scrape(value: u32) -> Vec<Exposed> {
        scrape_of_age(value, None)
    }

    fn scrape_of_age(value: u32, age: Option<u64>) -> Vec<Exposed> {
        let text = format!(
            "istio_requests_total{{reporter=\"destination\",source_workload=\"a\",destination_workload=\"b\",response_code=\"200\"}} {value}\n"
        );
        let age = age.map(Duration::from_secs);
        vec![Exposed { target: "pod".to_owned(), age, samples: parse(&text, "istio_") }]
    }

    fn requests(history: &History, seconds: u64) -> f64 {
        history
            .window(Duration::from_secs(seconds))
            .edges
            .iter()
            .map(|(_, _, delta)| delta.total_requests())
            .sum()
    }

    #[test]
    fn counts_changes_not_totals() {
        let mut history = History::default();
        let start = Instant::now();
        history.record(start, scrape(100));
        assert_eq!(requests(&history, 60), 0.0);
        assert_eq!(history.window(Duration::from_secs(60)).edges.len(), 1, "an idle edge is still known");
        history.record(start + Duration::from_secs(5), scrape(130));
        history.record(start + Duration::from_secs(10), scrape(150));
        assert_eq!(requests(&history, 60), 50.0);
        assert_eq!(history.window(Duration::from_secs(60)).seconds, 10.0);
        assert_eq!(requests(&history, 5), 20.0);
    }

    #[test]
    fn a_restarted_proxy_counts_from_zero() {
        let mut history = History::default();
        let start = Instant::now();
        history.record(start, scrape(100));
        history.record(start + Duration::from_secs(5), scrape(7));
        assert_eq!(requests(&history, 60), 7.0);
    }

    #[test]
    fn what_was_counted_before_the_console_looked_is_averaged() {
        let window = |history: &History| {
            let window = history.window(Duration::from_secs(60));
            (window.seconds, window.unwatched_seconds)
        };
        let start = Instant::now();
        let mut young = History::default();
        young.record(start, scrape_of_age(90, Some(30)));
        assert_eq!(
            (requests(&young, 60), window(&young)),
            (90.0, (30.0, 30.0)),
            "all of a young proxy's life"
        );

        let mut history = History::default();
        history.record(start, scrape_of_age(1000, Some(600)));
        assert_eq!((requests(&history, 60), window(&history)), (100.0, (60.0, 60.0)));
        history.record(start + Duration::from_secs(15), scrape(1007));
        assert_eq!((requests(&history, 60), window(&history)), (75.0 + 7.0, (60.0, 45.0)));
        history.record(start + Duration::from_secs(61), scrape(1007));
        assert_eq!((requests(&history, 60), window(&history)), (0.0, (46.0, 0.0)), "all of it was watched");
    }

    #[test]
    fn old_frames_fold_without_losing_requests() {
        let mut history = History::default();
        let start = Instant::now();
        for beat in 0..400 {
            history.record(start + Duration::from_secs(5 * beat), scrape(beat as u32));
        }
        assert_eq!(requests(&history, 3600), 399.0);
        assert!(history.frames.len() < 200, "{} frames", history.frames.len());
    }
}
