//! How messages write lists, selectors and missing things.

use sagene_api::Resource;
use sagene_api::{Object, ObjectMeta};
use sagene_model::labels::Labels;

use crate::code::Code;
use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;

/// `[a b c]`.
pub(in crate::checks) fn list<I: IntoIterator>(items: I) -> String
where
    I::Item: ToString,
{
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(" "))
}

/// `a=b,c=d`, in the order of keys.
pub(in crate::checks) fn selector(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// `namespace/name`.
pub(in crate::checks) fn key(metadata: &ObjectMeta) -> String {
    if metadata.namespace.is_empty() {
        metadata.name.clone()
    } else {
        format!("{}/{}", metadata.namespace, metadata.name)
    }
}

/// How messages name an object, whatever holds it.
pub(in crate::checks) fn refer<S: Resource>(object: &Object<S>) -> ObjectRef {
    ObjectRef::new(S::KIND, &object.metadata.namespace, &object.metadata.name)
}

/// IST0101.
pub(in crate::checks) fn not_found<S: Resource>(
    object: &Object<S>,
    what: &str,
    name: &str,
    path: FieldPath,
) -> Message {
    not_found_by(refer(object), what, name, path)
}

/// IST0101, of an object that has more such findings.
pub(in crate::checks) fn not_found_by(object: ObjectRef, what: &str, name: &str, path: FieldPath) -> Message {
    // Most names need no escapes, and joining takes a fraction of formatting.
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    let text = if is_plain {
        ["Referenced ", what, " not found: \"", name, "\""].concat()
    } else {
        format!("Referenced {what} not found: {name:?}")
    };
    Message::new(Code::ReferencedResourceNotFound, object, text).at(path)
}

/// The first label of a selector, which is where a message about it points to.
pub(in crate::checks) fn first_label(path: &str, labels: &Labels) -> FieldPath {
    let path = FieldPath::parse(path);
    labels.keys().next().map_or_else(|| path.clone(), |key| path.key(key))
}
