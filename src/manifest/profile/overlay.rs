//! Merging of settings: maps by key, everything else replaced. `null` in the overlay removes the key.

use serde_json::Value;

/// Lays `overlay` over `base`.
pub(crate) fn merge(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (slot, value) => *slot = value,
    }
}
