//! Kubernetes quantities (`100m`, `1.5Gi`, `2e3`) as numbers.

use serde_json::Value;

const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The number a quantity stands for.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    // First, because `1E3` is a number and not three exa.
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some(text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor))
}

/// As [`parse`]; YAML may have made a number of it.
pub(crate) fn parse_value(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| parse(value.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_scale() {
        assert_eq!(parse("100m"), Some(0.1));
        assert_eq!(parse("2"), Some(2.0));
        assert_eq!(parse("1Ki"), Some(1024.0));
        assert_eq!(parse("1E"), Some(1e18));
        assert_eq!(parse("2e3"), Some(2000.0));
        assert_eq!(parse("many"), None);
        assert_eq!(parse(""), None);
    }
}
