//! Secret: small private data, base64 in JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::SortedMap;

shape! {
    /// Private data by key.
    #[derive(Eq)]
    pub struct Secret {
        /// `Opaque`, `kubernetes.io/tls` and the like.
        pub r#type: String,
        /// Values.
        pub data: BTreeMap<String, ByteString>,
        /// Values as text, only on writing.
        pub string_data: SortedMap<String, String>,
        /// Whether the values may never change.
        pub immutable: bool,
    }
}

/// Bytes written as base64. `Debug` shows their number only, so that no key ends up in a log.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ByteString(pub Vec<u8>);

impl fmt::Debug for ByteString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{} bytes>", self.0.len())
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for ByteString {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteString".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "byte" })
    }
}

resource!(Secret, "", "Secret", "secrets", true, ["v1"], flat = true);
