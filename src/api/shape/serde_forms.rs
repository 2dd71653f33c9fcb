//! Shapes for serde: every format writes and reads them by their form.

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Form, Record, Shape, Source, record};

impl Serialize for dyn Shape + '_ {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.form() {
            Form::Null => serializer.serialize_unit(),
            Form::Bool(value) => serializer.serialize_bool(value),
            Form::Number(number) => number.serialize(serializer),
            Form::Text(text) => serializer.serialize_str(&text),
            Form::List(items) => serializer.collect_seq(items),
            Form::Map(entries) => serializer.collect_map(entries),
            Form::Record(record) => write_record(record, serializer),
            Form::Value(value) => value.serialize(serializer),
        }
    }
}

fn write_record<S: Serializer>(of: &dyn Record, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, field) in record::written(of) {
        map.serialize_entry(name, field)?;
    }
    for (name, value) in of.rest().into_iter().flatten() {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

/// Reads a shape from any format.
pub fn deserialize<'de, T: Shape + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    super::read(Source::Value(value)).map_err(D::Error::custom)
}
