//! Structs, by their table.

use std::borrow::Cow;
use std::fmt;

use serde::de::Expected;
use serde_json::{Map, Value};

use super::{Mistake, Reader, Shape, Table};

/// A struct whose fields stand in a table.
pub trait Record: Shape {
    /// The table.
    fn table_of() -> &'static Table
    where
        Self: Sized;

    /// The table, of a value whose type is not known.
    fn table(&self) -> &'static Table;

    /// The field at a place of the table; `None` past its end.
    fn field(&self, place: usize) -> Option<&dyn Shape>;

    /// The same, to be changed.
    fn field_mut(&mut self, place: usize) -> Option<&mut dyn Shape>;

    /// Fields that the table does not name, where the struct keeps them.
    fn rest(&self) -> Option<&Map<String, Value>> {
        None
    }

    /// The same, to be changed.
    fn rest_mut(&mut self) -> Option<&mut Map<String, Value>> {
        None
    }
}

/// Reads the fields that `reader` holds.
pub(crate) fn read(record: &mut dyn Record, reader: Reader<'_>) -> Result<(), Mistake> {
    let table = record.table();
    for (key, reader) in reader.map(&Struct(table.name))? {
        match table.fields.iter().position(|field| field.name == key) {
            Some(_) if reader.is_null() => {}
            Some(place) => read_field(record, place, key, reader)?,
            None => {
                if let Some(rest) = record.rest_mut() {
                    rest.insert(key.into_owned(), reader.into_value());
                }
            }
        }
    }
    Ok(())
}

fn read_field(
    record: &mut dyn Record,
    place: usize,
    key: Cow<'_, str>,
    reader: Reader<'_>,
) -> Result<(), Mistake> {
    let Some(field) = record.field_mut(place) else { return Ok(()) };
    field.read(reader).map_err(|mistake| mistake.below_key(key.into_owned()))
}

/// The fields that are written, in their order.
pub(crate) fn written(record: &dyn Record) -> impl Iterator<Item = (&'static str, &dyn Shape)> {
    let table = record.table();
    table.fields.iter().enumerate().filter_map(move |(place, field)| {
        let shape = record.field(place)?;
        let is_left_out = if table.with_defaults { shape.form().holds_nothing() } else { shape.is_blank() };
        (!is_left_out).then_some((field.name, shape))
    })
}

/// Whether no field says anything.
pub(crate) fn is_blank(record: &dyn Record) -> bool {
    let table = record.table();
    !table.with_defaults
        && (0..table.fields.len()).all(|place| record.field(place).is_none_or(|field| field.is_blank()))
        && record.rest().is_none_or(Map::is_empty)
}

/// What a struct is called in mistakes.
struct Struct(&'static str);

impl Expected for Struct {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "struct {}", self.0)
    }
}
