//! The control plane's own metrics, in Prometheus' text format and under istiod's names.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Upper bounds of push and convergence times, in seconds.
const SECONDS: [f64; 9] = [0.01, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];

type Key = (&'static str, String);

/// A set of metrics; share it behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    counters: Mutex<BTreeMap<Key, u64>>,
    histograms: Mutex<BTreeMap<Key, Histogram>>,
    started: Instant,
    version: String,
}

#[derive(Debug, Default, Clone)]
struct Histogram {
    buckets: [u64; SECONDS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    /// Starts counting.
    pub fn new(version: &str) -> Self {
        Self {
            counters: Mutex::default(),
            histograms: Mutex::default(),
            started: Instant::now(),
            version: version.to_owned(),
        }
    }

    /// Adds one to a counter; `labels` as in `type="cds"`.
    pub fn count(&self, name: &'static str, labels: &str) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        match counters.get_mut(&(name, labels.to_owned())) {
            Some(counter) => *counter += 1,
            None => {
                counters.insert((name, labels.to_owned()), 1);
            }
        }
    }

    /// Adds a time to a histogram.
    pub fn observe(&self, name: &'static str, labels: &str, time: Duration) {
        let mut histograms = self.histograms.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = histograms.entry((name, labels.to_owned())).or_default();
        let seconds = time.as_secs_f64();
        for (bucket, bound) in histogram.buckets.iter_mut().zip(SECONDS) {
            *bucket += u64::from(seconds <= bound);
        }
        histogram.count += 1;
        histogram.sum += seconds;
    }

    /// Everything in text, with gauges that are read off now: name, labels, value.
    pub fn render(&self, gauges: &[(&str, String, f64)]) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((name, labels), value) in self.counters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            head(&mut text, &mut last, name, "counter");
            sample(&mut text, name, labels, *value as f64);
        }
        for ((name, labels), histogram) in
            self.histograms.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            head(&mut text, &mut last, name, "histogram");
            let comma = if labels.is_empty() { "" } else { "," };
            for (count, bound) in histogram.buckets.iter().zip(SECONDS) {
                let labels = format!("{labels}{comma}le=\"{bound}\"");
                sample(&mut text, &format!("{name}_bucket"), &labels, *count as f64);
            }
            let labels_infinite = format!("{labels}{comma}le=\"+Inf\"");
            sample(&mut text, &format!("{name}_bucket"), &labels_infinite, histogram.count as f64);
            sample(&mut text, &format!("{name}_sum"), labels, histogram.sum);
            sample(&mut text, &format!("{name}_count"), labels, histogram.count as f64);
        }
        let version = escape(&self.version);
        let own = [
            ("istio_build", format!("component=\"pilot\",tag=\"{version}\""), 1.0),
            ("istiod_uptime_seconds", String::new(), self.started.elapsed().as_secs_f64()),
            ("pilot_info", format!("version=\"{version}\""), 1.0),
        ];
        for (name, labels, value) in own.iter().chain(gauges) {
            head(&mut text, &mut last, name, "gauge");
            sample(&mut text, name, labels, *value);
        }
        process(&mut text);
        text
    }
}

fn head<'a>(text: &mut String, last: &mut &'a str, name: &'a str, kind: &str) {
    if *last != name {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# TYPE {name} {kind}");
        *last = name;
    }
}

fn sample(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

/// A label value as the format wants it.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// `process_*`, as far as the kernel says.
fn process(text: &mut String) {
    const PAGE: f64 = 4096.0;
    const TICKS: f64 = 100.0;
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system), Some(pages)) = (number(11), number(12), number(21)) {
        let mut last = "";
        head(text, &mut last, "process_cpu_seconds_total", "counter");
        sample(text, "process_cpu_seconds_total", "", (user + system) / TICKS);
        head(text, &mut last, "process_resident_memory_bytes", "gauge");
        sample(text, "process_resident_memory_bytes", "", pages * PAGE);
    }
}

/// Seconds since 1970.
pub fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
