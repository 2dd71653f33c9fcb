//! Label and field selectors in Kubernetes' syntax, and the filter that lists and watches apply.

use serde_json::Value;

use super::error::ApiError;

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelRequirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

/// A parsed label selector; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<LabelRequirement>);

impl LabelSelector {
    /// Parses `app=web,tier in (a,b),!legacy,replicas>2`. The error is the API server's answer to a requirement that does not parse.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            requirements.push(parse_label_requirement(part)?);
        }
        Ok(Self(requirements))
    }

    /// Reads the `metav1.LabelSelector` object form (`matchLabels`, `matchExpressions`). An absent or null selector matches nothing
    /// in workloads; callers decide. Unknown operators match nothing.
    pub(crate) fn from_object(selector: &Value) -> Self {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            requirements
                .push(LabelRequirement::In(key.clone(), vec![value.as_str().unwrap_or("").to_owned()]));
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().unwrap_or("").to_owned();
            let values = expression["values"].as_array().into_iter().flatten();
            let values = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
            requirements.push(match expression["operator"].as_str() {
                Some("In") => LabelRequirement::In(key, values),
                Some("NotIn") => LabelRequirement::NotIn(key, values),
                Some("Exists") => LabelRequirement::Exists(key),
                Some("DoesNotExist") => LabelRequirement::Absent(key),
                _ => LabelRequirement::In(key, Vec::new()),
            });
        }
        Self(requirements)
    }

    /// Whether labels (an object of strings, or null) satisfy every requirement.
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl LabelRequirement {
    fn matches(&self, labels: &Value) -> bool {
        let get = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::Exists(key) => get(key).is_some(),
            Self::Absent(key) => get(key).is_none(),
            Self::In(key, values) => get(key).is_some_and(|label| values.iter().any(|value| value == label)),
            Self::NotIn(key, values) => {
                !get(key).is_some_and(|label| values.iter().any(|value| value == label))
            }
            Self::Greater(key, bound) => number(get(key)).is_some_and(|label| label > *bound),
            Self::Less(key, bound) => number(get(key)).is_some_and(|label| label < *bound),
        }
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0usize);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_label_requirement(part: &str) -> Result<LabelRequirement, ApiError> {
    let wrong = || {
        ApiError::bad_request(format!(
            "unable to parse requirement: {part:?} is not a valid label selector requirement"
        ))
    };
    let key_of = |key: &str| {
        let key = key.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if key.is_empty() || !key.chars().all(plain) { Err(wrong()) } else { Ok(key.to_owned()) }
    };
    if let Some(key) = part.strip_prefix('!')
        && !key.contains('=')
    {
        return Ok(LabelRequirement::Absent(key_of(key)?));
    }
    let value_of = |value: &str| {
        let value = value.trim();
        match super::object_meta::wrong_label_value(value) {
            None => Ok(vec![value.to_owned()]),
            Some(_) => Err(wrong()),
        }
    };
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(LabelRequirement::NotIn(key_of(key)?, value_of(value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(LabelRequirement::In(key_of(key)?, value_of(value)?));
    }
    if let Some(listed) = part.strip_suffix(')')
        && let Some((head, values)) = listed.split_once('(')
    {
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok(LabelRequirement::In(key_of(key)?, values)),
            (Some(key), Some("notin"), None) => Ok(LabelRequirement::NotIn(key_of(key)?, values)),
            _ => Err(wrong()),
        };
    }
    if let Some((key, bound)) = part.split_once('>') {
        return Ok(LabelRequirement::Greater(key_of(key)?, bound.trim().parse().map_err(|_| wrong())?));
    }
    if let Some((key, bound)) = part.split_once('<') {
        return Ok(LabelRequirement::Less(key_of(key)?, bound.trim().parse().map_err(|_| wrong())?));
    }
    Ok(LabelRequirement::Exists(key_of(part)?))
}

/// A parsed field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<FieldRequirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Parses `spec.nodeName=sagene,status.phase!=Failed`; only paths that `supported` accepts (beside name and namespace) pass.
    pub(crate) fn parse(text: &str, supported: impl Fn(&str) -> bool) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                )));
            };
            let path = path.trim();
            if !matches!(path, "metadata.name" | "metadata.namespace") && !supported(path) {
                return Err(ApiError::bad_request(format!("field label not supported: {path}")));
            }
            requirements.push(FieldRequirement {
                path: path.to_owned(),
                value: value.trim().to_owned(),
                equal,
            });
        }
        Ok(Self(requirements))
    }

    fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let actual = field_text(object, &requirement.path);
            (actual == requirement.value) == requirement.equal
        })
    }

    /// The one name that can match, when the selector says so.
    pub(crate) fn exact_name(&self) -> Option<&str> {
        self.0.iter().find(|one| one.equal && one.path == "metadata.name").map(|one| one.value.as_str())
    }
}

/// The value at a dotted path as text; `""` when absent, as Kubernetes compares it.
fn field_text(object: &Value, path: &str) -> String {
    let mut value = object;
    for part in path.split('.') {
        match value.get(part) {
            Some(next) => value = next,
            None => return String::new(),
        }
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Everything a list or watch filters by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// `""` for all.
    pub(crate) namespace: String,
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Filter {
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        (self.namespace.is_empty() || metadata["namespace"].as_str() == Some(self.namespace.as_str()))
            && (self.labels.is_empty() || self.labels.matches(&metadata["labels"]))
            && self.fields.matches(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn label_selectors_follow_kubernetes_syntax() {
        assert!(selects("app=web,tier in (a, b),!legacy", json!({"app": "web", "tier": "b"})));
        assert!(!selects("app=web,tier notin (a,b)", json!({"app": "web", "tier": "b"})));
        assert!(selects("app!=web", json!({})));
        assert!(selects("weight>3", json!({"weight": "4"})));
        assert!(LabelSelector::parse("app in web").is_err());
    }

    #[test]
    fn field_selectors_refuse_unknown_fields() {
        let error = FieldSelector::parse("spec.color=red", |_| false).unwrap_err();
        assert_eq!(error.message, "field label not supported: spec.color");
        let selector =
            FieldSelector::parse("metadata.name=a,status.phase!=Failed", |path| path == "status.phase")
                .unwrap();
        assert!(selector.matches(&json!({"metadata": {"name": "a"}})));
        assert_eq!(selector.exact_name(), Some("a"));
    }
}
