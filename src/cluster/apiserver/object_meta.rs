//! `metadata`: what the server fills in, keeps, and refuses.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::error::{ApiError, Cause};
use super::operations::Target;

/// Letters that generated names end with, as Kubernetes picks them: no vowels, nothing that looks alike.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// Most bytes of a name that a suffix is put behind.
const GENERATED_BASE_LIMIT: usize = 63 - SUFFIX_LENGTH;

/// Now as `metav1.Time`: RFC 3339, whole seconds.
pub(crate) fn now() -> String {
    time_in(0)
}

/// `seconds` from now.
pub(crate) fn time_in(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64);
    jiff::Timestamp::from_second(now.saturating_add(seconds)).map(|time| time.to_string()).unwrap_or_default()
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The system's generator cannot fail after start-up; zeros would only make a name collide, which is reported as such.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    bytes
}

/// A random (version 4) UUID.
pub(crate) fn new_uid() -> String {
    let mut bytes: [u8; 16] = random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A name from `generateName`.
pub(crate) fn generated_name(base: &str) -> String {
    let mut end = base.len().min(GENERATED_BASE_LIMIT);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let suffix =
        random::<SUFFIX_LENGTH>().map(|byte| SUFFIX_LETTERS[byte as usize % SUFFIX_LETTERS.len()] as char);
    format!("{}{}", &base[..end], suffix.iter().collect::<String>())
}

/// Checks that the body is an object of the addressed kind and makes its metadata an object.
pub(crate) fn check_type(target: &Target, object: &mut Value) -> Result<(), ApiError> {
    let reference = &target.definition.reference;
    let expected = target.api_version();
    let Some(map) = object.as_object_mut() else {
        return Err(ApiError::bad_request("the body of the request must be a JSON object"));
    };
    let api_version = map.get("apiVersion").and_then(Value::as_str).unwrap_or("").to_owned();
    let kind = map.get("kind").and_then(Value::as_str).unwrap_or("").to_owned();
    if (!api_version.is_empty() && api_version != expected) || (!kind.is_empty() && kind != reference.kind) {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({api_version}, Kind={kind}) does not match the expected API version ({expected}, Kind={})",
            reference.kind
        )));
    }
    map.insert("apiVersion".to_owned(), json!(expected));
    map.insert("kind".to_owned(), json!(reference.kind));
    if !map.get("metadata").is_some_and(Value::is_object) {
        map.insert("metadata".to_owned(), json!({}));
    }
    Ok(())
}

/// Checks name and namespace of the body against the path and completes them.
pub(crate) fn check_identity(target: &Target, object: &mut Value) -> Result<(), ApiError> {
    let metadata = &mut object["metadata"];
    let text = |field: &Value| field.as_str().unwrap_or("").to_owned();
    let (name, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
    if !target.name.is_empty() && !name.is_empty() && name != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    if target.definition.reference.namespaced {
        if !namespace.is_empty() && namespace != target.namespace {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata["namespace"] = json!(target.namespace);
    } else if let Some(map) = metadata.as_object_mut() {
        map.remove("namespace");
    }
    if !target.name.is_empty() {
        metadata["name"] = json!(target.name);
    }
    Ok(())
}

/// What errors call a new object before it has its name: that, or what it will begin with.
pub(crate) fn called(object: &Value) -> &str {
    let text = |field: &str| object["metadata"][field].as_str().filter(|text| !text.is_empty());
    text("name").or_else(|| text("generateName")).unwrap_or_default()
}

/// Makes up the name of an object that asks for it. Mutating admission comes first, as in Kubernetes: what is refused there is refused in
/// the same words each time.
pub(crate) fn give_name(metadata: &mut Map<String, Value>) {
    let base = text(metadata, "generateName").to_owned();
    if text(metadata, "name").is_empty() && !base.is_empty() {
        metadata.insert("name".to_owned(), json!(generated_name(&base)));
    }
}

/// Fills in what the server decides on create.
pub(crate) fn prepare_create(metadata: &mut Map<String, Value>) {
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "selfLink"] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), json!(new_uid()));
    metadata.insert("creationTimestamp".to_owned(), json!(now()));
}

/// Keeps what only the server changes.
pub(crate) fn prepare_update(metadata: &mut Map<String, Value>, old: &Value) {
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "generation",
        "selfLink",
    ] {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
}

fn text<'a>(metadata: &'a Map<String, Value>, field: &str) -> &'a str {
    metadata.get(field).and_then(Value::as_str).unwrap_or("")
}

/// How names of a kind must look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// RFC 1123 subdomain, at most 253 bytes.
    Subdomain,
    /// RFC 1123 label, at most 63 bytes.
    Label,
    /// RFC 1035 label (services).
    ServiceLabel,
    /// Anything that fits into a URL path segment (RBAC).
    PathSegment,
}

/// Checks name, namespace, labels, annotations, finalizers and owner references.
pub(crate) fn validate(object: &Value, rule: NameRule, namespaced: bool) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    let name = metadata["name"].as_str().unwrap_or("");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(detail) = wrong_name(name, rule) {
        causes.push(Cause::invalid("metadata.name", &metadata["name"], &detail));
    }
    if namespaced && metadata["namespace"].as_str().unwrap_or("").is_empty() {
        causes.push(Cause::required("metadata.namespace", ""));
    }
    validate_labels(&metadata["labels"], "metadata.labels", &mut causes);
    validate_annotations(&metadata["annotations"], "metadata.annotations", &mut causes);
    validate_finalizers(metadata, &mut causes);
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or("").is_empty() {
                causes.push(Cause::invalid(
                    format!("metadata.ownerReferences.{field}"),
                    &json!(""),
                    "must not be empty",
                ));
            }
        }
    }
    causes
}

/// Checks labels, or a selector that is made of labels.
pub(crate) fn validate_labels(labels: &Value, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if let Some(detail) = wrong_qualified_name(key) {
            causes.push(Cause::invalid(path, &json!(key), &detail));
        }
        if let Some(detail) = wrong_label_value(value.as_str().unwrap_or("")) {
            causes.push(Cause::invalid(path, value, &detail));
        }
    }
}

pub(crate) fn validate_annotations(annotations: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if let Some(detail) = wrong_qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid(path, &json!(key), &detail));
        }
    }
    if size > 256 << 10 {
        let message = "Too long: may not be more than 262144 bytes".to_owned();
        causes.push(Cause { reason: "FieldValueTooLong".to_owned(), message, field: path.to_owned() });
    }
}

/// Finalizers that need no domain: Kubernetes' own.
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

fn validate_finalizers(metadata: &Value, causes: &mut Vec<Cause>) {
    for (at, finalizer) in metadata["finalizers"].as_array().into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or("");
        let path = format!("metadata.finalizers[{at}]");
        if let Some(detail) = wrong_qualified_name(name) {
            causes.push(Cause::invalid(path, finalizer, &detail));
        } else if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(path, finalizer, detail));
        }
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end \
     with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an \
     alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SERVICE_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and \
     end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with a name.
pub(crate) fn wrong_name(name: &str, rule: NameRule) -> Option<String> {
    let limit = if matches!(rule, NameRule::Subdomain | NameRule::PathSegment) { 253 } else { 63 };
    if name.len() > limit {
        return Some(format!("must be no more than {limit} characters"));
    }
    match rule {
        NameRule::Subdomain => (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned()),
        NameRule::Label => (!is_label(name)).then(|| LABEL.to_owned()),
        NameRule::ServiceLabel => {
            let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
            (!is_label(name) || !starts_well).then(|| SERVICE_LABEL.to_owned())
        }
        NameRule::PathSegment if matches!(name, "." | "..") => Some(format!("may not be '{name}'")),
        NameRule::PathSegment => {
            name.chars().find(|c| matches!(c, '/' | '%')).map(|c| format!("may not contain '{c}'"))
        }
    }
}

/// RFC 1123 label.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// What is wrong with a label or annotation key.
pub(crate) fn wrong_qualified_name(key: &str) -> Option<String> {
    let (prefix, name) = match key.rsplit_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if wrong_name(prefix, NameRule::Subdomain).is_some() {
            return Some(format!("prefix part {SUBDOMAIN}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 characters".to_owned());
    }
    (!is_label_text(name)).then(|| NAME_PART.to_owned())
}

fn is_label_text(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

/// What is wrong with a label value.
pub(crate) fn wrong_label_value(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!value.is_empty() && !is_label_text(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
         alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    })
}
