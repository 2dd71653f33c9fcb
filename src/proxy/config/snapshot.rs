//! The compiled, immutable configuration that workers read.

/// Everything the request path needs, compiled. Replaced as a whole; parts that did not change are shared.
#[derive(Debug, Default)]
pub struct Snapshot {
    generation: u64,
}

impl Snapshot {
    /// Counts the swaps since start; a worker compares it to know that something changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn with_generation(generation: u64) -> Self {
        Self { generation }
    }
}
