//! `/memory`: what the process holds.

use serde_json::{Value, json};

use sagene_base::memory::{field_bytes, status};

/// `envoy.admin.v3.Memory`, from the kernel's view of this process: `allocated` is what is in memory and our own,
/// `heap_size` the data segment. The allocator's inner figures are not kept, so they are 0.
pub(super) fn report() -> Value {
    let status = status();
    let bytes = |field: &str| field_bytes(&status, field).to_string();
    json!({
        "allocated": bytes("RssAnon:"),
        "heap_size": bytes("VmData:"),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": bytes("VmRSS:"),
    })
}
