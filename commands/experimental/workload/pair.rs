//! `NAME=VALUE` of the command line.

/// Both sides of the first `=`; the name must not be empty.
pub(super) fn of_texts(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// The same with a port on the right.
pub(super) fn of_port(text: &str) -> Result<(String, u32), String> {
    let (name, value) = of_texts(text)?;
    match value.parse() {
        Ok(port @ 1..=65535) => Ok((name, port)),
        _ => Err(format!("{value:?} is no port; write NAME=NUMBER with a number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_equal_signs_and_names_may_not_be_missing() {
        assert_eq!(of_texts("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(of_texts("a="), Ok(("a".to_owned(), String::new())));
        assert!(of_texts("a").is_err() && of_texts("=b").is_err());
    }

    #[test]
    fn ports_are_numbers() {
        assert_eq!(of_port("http=8080"), Ok(("http".to_owned(), 8080)));
        for wrong in ["http", "http=", "http=0", "http=65536", "http=web"] {
            assert!(of_port(wrong).is_err(), "{wrong}");
        }
    }
}
