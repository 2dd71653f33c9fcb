//! Label selectors on objects that are not on a server yet: `a=b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`, by comma.

use serde_json::Value;

use crate::exit::Failure;
use crate::kubectl::session::error;

/// Whether the object's labels are as the selector says.
pub(super) fn matches(selector: &str, object: &Value) -> Result<bool, Failure> {
    let labels = &object["metadata"]["labels"];
    for requirement in requirements(selector) {
        if !meets(requirement.trim(), labels)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Splits at commas outside of parentheses.
fn requirements(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    let parts = selector.split(move |sign| {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        sign == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty())
}

fn meets(requirement: &str, labels: &Value) -> Result<bool, Failure> {
    let value = |key: &str| labels.get(key.trim()).and_then(Value::as_str);
    if let Some((key, set)) = requirement.split_once(" notin ") {
        return Ok(value(key).is_none_or(|it| !members(set).any(|member| member == it)));
    }
    if let Some((key, set)) = requirement.split_once(" in ") {
        return Ok(value(key).is_some_and(|it| members(set).any(|member| member == it)));
    }
    if let Some((key, wanted)) = requirement.split_once("!=") {
        return Ok(value(key) != Some(wanted.trim()));
    }
    if let Some((key, wanted)) = requirement.split_once('=') {
        return Ok(value(key) == Some(wanted.trim_start_matches('=').trim()));
    }
    if requirement.contains([' ', '(', ')']) {
        return Err(error(format!("unable to parse requirement: {requirement:?}")));
    }
    Ok(match requirement.strip_prefix('!') {
        Some(key) => value(key).is_none(),
        None => value(requirement).is_some(),
    })
}

fn members(set: &str) -> impl Iterator<Item = &str> {
    set.trim().trim_start_matches('(').trim_end_matches(')').split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_is_understood() {
        let object = json!({"metadata": {"labels": {"app": "reviews", "version": "v1"}}});
        for (selector, wanted) in [
            ("app=reviews", true),
            ("app==reviews,version=v1", true),
            ("app=reviews,version!=v1", false),
            ("app in (ratings, reviews),version", true),
            ("version notin (v1,v2)", false),
            ("!owner", true),
            ("!app", false),
        ] {
            assert_eq!(matches(selector, &object).ok(), Some(wanted), "{selector}");
        }
        assert!(matches("app of (a)", &object).is_err());
    }
}
