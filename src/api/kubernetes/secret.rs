//! Secret: small private data, base64 in JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::SortedMap;
use crate::shape::{Form, Mistake, Reader, Shape};

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

impl Shape for ByteString {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        let text = reader.text("a string")?;
        self.0 = STANDARD.decode(text.as_bytes()).map_err(Mistake::custom)?;
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Text(Cow::Owned(STANDARD.encode(&self.0)))
    }

    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }

    fn schema() -> Value {
        json!({ "type": "string", "format": "byte" })
    }
}

serde_by_shape!(ByteString);

resource!(Secret, "", "Secret", "secrets", true, ["v1"], flat = true);
