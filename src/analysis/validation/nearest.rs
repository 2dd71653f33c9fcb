//! The word that was probably meant.

/// The candidate that differs least from `word`, if it differs little.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted = plain(word);
    let most = (wanted.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` ; did you mean …?`, or nothing.
pub(crate) fn hint<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

/// Without case and separators: `connect_timeout` is `connectTimeout`.
fn plain(word: &str) -> String {
    word.chars()
        .filter(|character| !matches!(character, '_' | '-'))
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_differences_only() {
        let names = ["timeout", "route", "connectTimeout", "mirror", "mirrors"];
        for (word, near) in [
            ("timout", Some("timeout")),
            ("connect_timeout", Some("connectTimeout")),
            ("mirrorz", Some("mirror")),
            ("Route", Some("route")),
            ("foo", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), near, "{word}");
        }
    }
}
