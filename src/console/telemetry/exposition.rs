//! Reads the Prometheus text exposition format, keeping only the families the console wants.
//!
//! Source of the rule: the Prometheus text format 0.0.4. Lines that do not parse are skipped: one odd line of an application's own
//! metrics must not blind the graph.

/// One sample: a series at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Metric name, e.g. `istio_requests_total`.
    pub name: String,
    /// Labels in the order written.
    pub labels: Vec<(String, String)>,
    /// The value; counters are cumulative.
    pub value: f64,
}

impl Sample {
    /// The value of a label, or `""` where the label is absent (Prometheus treats both alike).
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }
}

/// All samples of `text` whose name starts with `prefix`.
pub fn parse(text: &str, prefix: &str) -> Vec<Sample> {
    text.lines().filter(|line| line.starts_with(prefix)).filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Sample> {
    let name_end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => parse_labels(inner)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Parses `a="b",c="d"} rest`, returning the labels and what follows the brace.
fn parse_labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, after) = rest.split_once("=\"")?;
        let (value, after) = unescape_until_quote(after)?;
        labels.push((key.trim().to_owned(), value));
        rest = after;
    }
}

fn unescape_until_quote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_labels_values_and_escapes() {
        let text = "# HELP x y\nistio_requests_total{reporter=\"source\",path=\"a\\\"b\\\\\\n\",} 12\nother 3\nistio_build 1 1700000\n";
        let samples = parse(text, "istio_");
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].label("reporter"), "source");
        assert_eq!(samples[0].label("path"), "a\"b\\\n");
        assert_eq!(samples[0].label("absent"), "");
        assert_eq!(samples[0].value, 12.0);
        assert_eq!(samples[1].value, 1.0);
    }

    #[test]
    fn skips_lines_that_do_not_parse() {
        assert!(parse("istio_x{a=\"b} 1\nistio_y{a} 2\nistio_z abc", "istio_").is_empty());
    }
}
