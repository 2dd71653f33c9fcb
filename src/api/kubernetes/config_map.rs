//! ConfigMap: small public data.

use std::collections::BTreeMap;

use super::secret::ByteString;
use crate::SortedMap;

shape! {
    /// Data by key.
    #[derive(Eq)]
    pub struct ConfigMap {
        /// Text.
        pub data: SortedMap<String, String>,
        /// Bytes.
        pub binary_data: BTreeMap<String, ByteString>,
        /// Whether the values may never change.
        pub immutable: bool,
    }
}

resource!(ConfigMap, "", "ConfigMap", "configmaps", true, ["v1"], flat = true);
