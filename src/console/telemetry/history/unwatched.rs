//! What proxies counted from their start to the console's first look.

use std::time::Duration;

use super::{Changes, EdgeKey, Sample, reporter};

/// By proxy: how long it had been counting, and what.
#[derive(Default)]
pub(super) struct Unwatched {
    proxies: Vec<(Duration, Changes)>,
}

impl Unwatched {
    /// What a proxy of this age exposes. Of proxies of unknown age nothing can be said.
    pub(super) fn add(&mut self, age: Option<Duration>, samples: &[Sample]) {
        let Some(age) = age.filter(|age| !age.is_zero()) else { return };
        let mut changes = Changes::new();
        for sample in samples.iter().filter(|sample| sample.value > 0.0) {
            if let Some(reporter) = reporter(sample) {
                changes.entry((EdgeKey::of(sample), reporter)).or_default().record(sample, sample.value);
            }
        }
        self.proxies.push((age, changes));
    }

    /// Adds the last `missing` time before the first look to `edges`, as if all of it had been alike. Answers how much of it there was.
    pub(super) fn fill(&self, missing: Duration, edges: &mut Changes) -> Duration {
        let mut longest = Duration::ZERO;
        for (age, changes) in &self.proxies {
            let part = missing.min(*age);
            longest = longest.max(part);
            let share = part.as_secs_f64() / age.as_secs_f64();
            if share > 0.0 {
                for (edge, counted) in changes {
                    edges.entry(edge.clone()).or_default().merge_share(counted, share);
                }
            }
        }
        longest
    }
}
