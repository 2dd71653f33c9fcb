//! What `accept-encoding` means for the one encoding there is, gzip, by Envoy's reading of it.

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Gzip,
    /// `*` is what it likes best: anything will do.
    Any,
    /// No encoding.
    Identity,
    /// Nothing that there is.
    Nothing,
}

/// The coding with the highest `q`, the first of equals. `allowed` = gzip may be chosen.
pub(super) fn choose(accept: &str, allowed: bool) -> Choice {
    let codings: Vec<(&str, f32)> = accept.split(',').filter_map(coding).collect();
    let refused = codings.iter().any(|(name, q)| *name == "gzip" && *q <= 0.0);
    let allowed = allowed && !refused;
    let (mut choice, mut best) = (Choice::Nothing, 0.0);
    for (name, q) in codings {
        let each = match name {
            "gzip" if allowed => Choice::Gzip,
            "*" if allowed => Choice::Any,
            "identity" => Choice::Identity,
            _ => continue,
        };
        if q > best {
            (choice, best) = (each, q);
        }
    }
    choice
}

/// A coding and its `q`; `None` where the `q` is no number.
fn coding(text: &str) -> Option<(&str, f32)> {
    let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    let q = match parameters.split_once('=') {
        Some((key, value)) if key.trim().eq_ignore_ascii_case("q") => value.trim().parse().ok()?,
        _ => 1.0,
    };
    Some((name, q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_they_like_best() {
        for (accept, choice) in [
            ("gzip", Choice::Gzip),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", Choice::Gzip),
            ("gzip ; q=0.5", Choice::Gzip),
            ("gzip;Q=0.1", Choice::Gzip),
            ("gzip;x=1", Choice::Gzip),
            ("identity;q=0.4, gzip;q=0.5", Choice::Gzip),
            ("identity;q=0.5, gzip;q=0.4", Choice::Identity),
            ("identity, gzip", Choice::Identity),
            ("gzip, identity", Choice::Gzip),
            ("deflate, *;q=0.1", Choice::Any),
            ("*", Choice::Any),
            ("*;q=0", Choice::Nothing),
            ("gzip;q=0", Choice::Nothing),
            ("gzip;q=abc", Choice::Nothing),
            ("gzip, gzip;q=0", Choice::Nothing),
            ("*;q=0.5, gzip;q=0", Choice::Nothing),
            ("GZIP", Choice::Nothing),
            ("deflate, br", Choice::Nothing),
            ("", Choice::Nothing),
        ] {
            assert_eq!(choose(accept, true), choice, "{accept:?}");
        }
        assert_eq!(choose("gzip, *", false), Choice::Nothing);
        assert_eq!(choose("gzip, identity", false), Choice::Identity);
    }
}
