//! `/memory`: what the process holds.

use serde_json::{Value, json};

/// `envoy.admin.v3.Memory`, from the kernel's view of this process: `allocated` is what is in memory and our own,
/// `heap_size` the data segment. The allocator's inner figures are not kept, so they are 0.
pub(super) fn report() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
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

/// Resident memory in bytes.
pub(super) fn resident() -> u64 {
    field_bytes(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:")
}

/// A `Name:  123 kB` line in bytes; 0 when there is none.
fn field_bytes(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes * 1024)
}
