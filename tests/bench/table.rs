//! Printing a case as a table (Markdown): medians over the rounds, lowest and highest in brackets.

use crate::arguments::Case;
use crate::case::Results;
use crate::sample::{Sample, Spread};

const REFERENCE: &str = "Envoy";

/// Prints the figures that matter in the case.
pub(crate) fn print(case: Case, results: &Results) {
    let (title, columns): (&str, Vec<Column>) = match case {
        Case::Plain => ("one HTTP/1.1 hop", load_columns()),
        Case::Features => ("one HTTP/1.1 hop with a policy and an access log", load_columns()),
        Case::Mtls => ("two hops, mutual TLS 1.3 between them", load_columns()),
        Case::Mesh => (
            "two hops, mutual TLS 1.3; Sagene with a policy of ten rules, retries, metrics and access log, the others bare",
            load_columns(),
        ),
        Case::Latency => (
            "two hops, mutual TLS 1.3, fixed rate",
            vec![
                Column::new("p50 ms", |s| s.p50.as_secs_f64() * 1e3),
                Column::new("p99 ms", |s| s.p99.as_secs_f64() * 1e3),
                Column::new("processors busy", Sample::busy),
            ],
        ),
        Case::Start => (
            "idle, one HTTP/1.1 hop",
            vec![
                Column::new("start to first answer ms", |s| s.start.as_secs_f64() * 1e3).compared(),
                Column::new("RSS MB", |s| s.memory.resident as f64 / 1e6).compared(),
                Column::new("of it anonymous MB", |s| s.memory.anonymous as f64 / 1e6),
            ],
        ),
    };
    println!("\n### {title}\n");
    let heads = columns.iter().flat_map(|column| {
        let ratio = column.compared.then(|| format!("of {REFERENCE}'s"));
        [Some(column.name.to_owned()), ratio].into_iter().flatten()
    });
    let heads: Vec<String> = heads.collect();
    println!("| | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
    let reference =
        results.iter().find(|(name, _)| *name == REFERENCE).map(|(_, samples)| samples.as_slice());
    for (name, samples) in results {
        let cells: Vec<String> = columns.iter().flat_map(|column| column.cells(samples, reference)).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn load_columns() -> Vec<Column> {
    vec![
        Column::new("CPU µs/request", Sample::cost).compared(),
        Column::new("of it user µs", Sample::user_cost),
        Column::new("requests/s", Sample::rate),
        Column::new("RSS MB after", |s| s.memory.resident as f64 / 1e6),
    ]
}

struct Column {
    name: &'static str,
    value: fn(&Sample) -> f64,
    compared: bool,
}

impl Column {
    fn new(name: &'static str, value: fn(&Sample) -> f64) -> Self {
        Self { name, value, compared: false }
    }

    /// With a column of ratios to the reference, round by round.
    fn compared(mut self) -> Self {
        self.compared = true;
        self
    }

    fn cells(&self, samples: &[Sample], reference: Option<&[Sample]>) -> Vec<String> {
        let mut cells = vec![cell(Spread::of(samples.iter().map(self.value)))];
        if self.compared {
            cells.push(reference.map_or_else(String::new, |reference| {
                let ratios = samples.iter().zip(reference).map(|(a, b)| (self.value)(a) / (self.value)(b));
                cell(Spread::of(ratios))
            }));
        }
        cells
    }
}

fn cell(spread: Spread) -> String {
    let digits = match spread.median {
        large if large >= 1000.0 => 0,
        large if large >= 10.0 => 1,
        _ => 2,
    };
    let Spread { median, low, high } = spread;
    format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
}
