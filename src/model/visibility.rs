//! Who may see an object: `exportTo`.

/// True where an object of `owner` with this `exportTo` is visible in `viewer`. An empty list means `default`, and an empty default
/// means everywhere.
pub fn is_visible(export_to: &[String], default: &[String], owner: &str, viewer: &str) -> bool {
    let list = if export_to.is_empty() { default } else { export_to };
    if list.is_empty() {
        return true;
    }
    list.iter().any(|entry| match entry.as_str() {
        "*" => true,
        "." => owner == viewer,
        "~" => false,
        namespace => namespace == viewer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_defaults_and_nobody() {
        let list = |text: &str| {
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(is_visible(&[], &[], "a", "b"));
        assert!(!is_visible(&[], &list("."), "a", "b"));
        assert!(is_visible(&list("*"), &list("."), "a", "b"));
        assert!(is_visible(&list(".,c"), &[], "a", "c"));
        assert!(!is_visible(&list("~"), &[], "a", "a"));
    }
}
