//! The difference of two JSON documents as an RFC 6902 patch.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One operation of a JSON patch, as an AdmissionReview carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum JsonPatchOp {
    /// Sets a member that was absent.
    Add {
        /// JSON pointer.
        path: String,
        /// New value.
        value: Value,
    },
    /// Replaces a member that was present.
    Replace {
        /// JSON pointer.
        path: String,
        /// New value.
        value: Value,
    },
    /// Removes a member.
    Remove {
        /// JSON pointer.
        path: String,
    },
}

/// Operations that turn `from` into `to`. Objects are compared by member; an array that differs is replaced as a whole, so the
/// patch never depends on positions that another webhook might shift.
#[must_use]
pub fn diff(from: &Value, to: &Value) -> Vec<JsonPatchOp> {
    let mut operations = Vec::new();
    compare(&mut operations, "", from, to);
    operations
}

fn compare(operations: &mut Vec<JsonPatchOp>, path: &str, from: &Value, to: &Value) {
    let (Value::Object(before), Value::Object(after)) = (from, to) else {
        if from != to {
            operations.push(JsonPatchOp::Replace { path: path.to_owned(), value: to.clone() });
        }
        return;
    };
    for (key, value) in after {
        let member = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        match before.get(key) {
            None => operations.push(JsonPatchOp::Add { path: member, value: value.clone() }),
            Some(old) => compare(operations, &member, old, value),
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        operations.push(JsonPatchOp::Remove {
            path: format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")),
        });
    }
}
