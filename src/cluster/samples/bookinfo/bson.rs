//! BSON, the part that a small database and its client speak: documents to JSON and back.

use serde_json::{Map, Number, Value};

/// Deepest nesting taken.
const DEPTH: u32 = 32;

/// A document. What JSON cannot say in BSON's common types does not occur in it.
pub(super) fn encode(document: &Map<String, Value>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in document {
        element(&mut body, name, value);
    }
    let length = u32::try_from(body.len() + 5).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], &body, &[0]].concat()
}

fn element(out: &mut Vec<u8>, name: &str, value: &Value) {
    let (kind, bytes) = match value {
        Value::Null => (0x0a, Vec::new()),
        Value::Bool(flag) => (0x08, vec![u8::from(*flag)]),
        Value::Number(number) => match (number.as_i64().map(i32::try_from), number.as_i64()) {
            (Some(Ok(small)), _) => (0x10, small.to_le_bytes().to_vec()),
            (_, Some(large)) => (0x12, large.to_le_bytes().to_vec()),
            _ => (0x01, number.as_f64().unwrap_or_default().to_le_bytes().to_vec()),
        },
        Value::String(text) => {
            let length = u32::try_from(text.len() + 1).unwrap_or(u32::MAX);
            (0x02, [&length.to_le_bytes()[..], text.as_bytes(), &[0]].concat())
        }
        Value::Object(map) => (0x03, encode(map)),
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| (index.to_string(), item.clone()));
            (0x04, encode(&items.collect()))
        }
    };
    out.push(kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(&bytes);
}

/// The document at the start of `bytes`, and what follows it. `None` for what is cut off or of a type that is not known here.
pub(super) fn decode(bytes: &[u8]) -> Option<(Map<String, Value>, &[u8])> {
    let mut reader = Reader { rest: bytes };
    let document = reader.document(0)?;
    Some((document.into_iter().collect(), reader.rest))
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(i32::from_le_bytes(self.number()?)).ok()
    }

    fn name(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let name = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(name)
    }

    fn document(&mut self, depth: u32) -> Option<Vec<(String, Value)>> {
        if depth > DEPTH {
            return None;
        }
        let length = self.length()?.checked_sub(4)?;
        let mut inner = Reader { rest: self.take(length)? };
        let mut elements = Vec::new();
        loop {
            let [kind] = inner.number()?;
            if kind == 0 {
                return Some(elements);
            }
            let name = inner.name()?;
            elements.push((name, inner.value(kind, depth)?));
        }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Option<Value> {
        Some(match kind {
            0x01 => Number::from_f64(f64::from_le_bytes(self.number()?)).map_or(Value::Null, Value::Number),
            0x02 => {
                let length = self.length()?;
                let text = self.take(length)?;
                Value::String(String::from_utf8_lossy(text.get(..length.checked_sub(1)?)?).into_owned())
            }
            0x03 => Value::Object(self.document(depth + 1)?.into_iter().collect()),
            0x04 => Value::Array(self.document(depth + 1)?.into_iter().map(|(_, item)| item).collect()),
            0x05 => {
                let length = self.length()?;
                self.take(length + 1)?;
                Value::Null
            }
            0x07 => Value::String(self.take(12)?.iter().map(|byte| format!("{byte:02x}")).collect()),
            0x08 => Value::Bool(self.take(1)? != [0]),
            0x0a => Value::Null,
            0x10 => i32::from_le_bytes(self.number()?).into(),
            0x09 | 0x11 | 0x12 => i64::from_le_bytes(self.number()?).into(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_come_back_and_what_is_cut_off_does_not() {
        let document = json!({"find": "ratings", "limit": 7, "id": 5_000_000_000_i64, "ok": 1.5, "yes": true, "none": null,
            "cursor": {"firstBatch": [{"rating": 5}, {"rating": 4}]}});
        let document = document.as_object().expect("a document");
        let bytes = encode(document);
        assert_eq!(decode(&[&bytes[..], b"rest"].concat()), Some((document.clone(), &b"rest"[..])));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "{cut}");
        }
    }
}
