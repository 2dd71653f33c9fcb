//! What fortio prints of durations and sizes: a summary, a histogram, percentiles.

use std::fmt::Write;

/// Borders in units of a thousandth, growing with their size.
const BORDERS: [u32; 47] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100,
    120, 140, 160, 180, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000, 2000, 3000, 4000,
];

const PERCENTILES: [f64; 5] = [50.0, 75.0, 90.0, 99.0, 99.9];

/// Values of one kind.
#[derive(Debug, Default, Clone)]
pub(super) struct Samples(pub(super) Vec<f64>);

impl Samples {
    /// `NAME : count 20 avg … +/- … min … max … sum …`
    pub(super) fn summary(&self, name: &str) -> String {
        let count = self.0.len();
        let sum: f64 = self.0.iter().sum();
        let average = if count == 0 { 0.0 } else { sum / count as f64 };
        let variance: f64 =
            self.0.iter().map(|value| (value - average).powi(2)).sum::<f64>() / count.max(1) as f64;
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        let least = if count == 0 { 0.0 } else { least };
        format!(
            "{name} : count {count} avg {} +/- {} min {} max {} sum {}",
            short(average),
            short(variance.sqrt()),
            short(least),
            short(most),
            short(sum)
        )
    }

    /// Ranges with what fell into them, then percentiles; `unit` is what a thousandth of a second is in the values' unit.
    pub(super) fn histogram(&self, unit: f64) -> String {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let mut text = "# range, mid point, percentile, count\n".to_owned();
        let mut before = 0;
        let (least, most) = (sorted.first().copied().unwrap_or(0.0), sorted.last().copied().unwrap_or(0.0));
        for (index, border) in BORDERS.iter().enumerate() {
            let from = f64::from(*border) * unit;
            let to = BORDERS.get(index + 1).map_or(f64::INFINITY, |next| f64::from(*next) * unit);
            let up_to = sorted.partition_point(|value| *value <= to);
            if up_to > before {
                let (from, to) = (from.max(least), to.min(most));
                let percentile = up_to as f64 * 100.0 / sorted.len() as f64;
                let sign = if before == 0 { ">=" } else { ">" };
                let _infallible = writeln!(
                    text,
                    "{sign} {} <= {} , {} , {percentile:.2}, {}",
                    short(from),
                    short(to),
                    short((from + to) / 2.0),
                    up_to - before
                );
            }
            before = up_to;
        }
        for wanted in PERCENTILES {
            let _infallible = writeln!(text, "# target {wanted}% {}", short(percentile(&sorted, wanted)));
        }
        text
    }
}

fn percentile(sorted: &[f64], wanted: f64) -> f64 {
    let position = (wanted / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(position.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Up to nine digits after the point, without closing zeros.
fn short(value: f64) -> String {
    // A sum of nothing is -0.
    let text = format!("{:.9}", value + 0.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_summed_up() {
        let samples = Samples(vec![0.001, 0.002, 0.003, 0.010]);
        assert!(
            samples.summary("Function Time").starts_with("Function Time : count 4 avg 0.004 +/- 0.0035355")
        );
        let histogram = samples.histogram(0.001);
        assert!(histogram.contains("> 0.009 <= 0.01 , 0.0095 , 100.00, 1\n"), "{histogram}");
        assert!(histogram.contains("# target 50% 0.002\n"), "{histogram}");
        assert!(Samples::default().summary("x").contains("count 0 avg 0 +/- 0 min 0"));
    }
}
