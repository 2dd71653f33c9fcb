//! Descriptors as Rust tables without a pointer in them: rows refer to one another, and to one text of all names, by number.
//! `envoy/reflect/table.rs` says what the columns mean.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Write as _;

use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};

/// The tables' source, and the text of all names.
pub(crate) struct Tables {
    pub(crate) source: String,
    pub(crate) names: String,
}

/// All messages and enumerations of some files.
#[derive(Default)]
struct Types<'f> {
    messages: BTreeMap<String, Message<'f>>,
    enumerations: BTreeMap<String, &'f EnumDescriptorProto>,
}

struct Message<'f> {
    descriptor: &'f DescriptorProto,
    is_proto3: bool,
}

/// Makes the tables of all messages in `files`.
pub(crate) fn of(files: &[FileDescriptorProto]) -> Result<Tables, Box<dyn Error>> {
    let mut types = Types::default();
    for file in files {
        let is_proto3 = file.syntax() == "proto3";
        for message in &file.message_type {
            types.message(file.package(), message, is_proto3);
        }
        for enumeration in &file.enum_type {
            types.enumerations.insert(joined(file.package(), enumeration.name()), enumeration);
        }
    }
    types.tables()
}

fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

impl<'f> Types<'f> {
    fn message(&mut self, scope: &str, descriptor: &'f DescriptorProto, is_proto3: bool) {
        let name = joined(scope, descriptor.name());
        for nested in &descriptor.nested_type {
            self.message(&name, nested, is_proto3);
        }
        for enumeration in &descriptor.enum_type {
            self.enumerations.insert(joined(&name, enumeration.name()), enumeration);
        }
        self.messages.insert(name, Message { descriptor, is_proto3 });
    }

    fn tables(&self) -> Result<Tables, Box<dyn Error>> {
        let mut names = Names::default();
        let [mut messages, mut fields, mut enumerations, mut values] = [const { String::new() }; 4];
        let (mut field_count, mut value_count) = (0_u16, 0_u16);
        for (name, message) in &self.messages {
            let own = &message.descriptor.field;
            let count = u16::try_from(own.len())?;
            let is_entry = message.descriptor.options.as_ref().is_some_and(|options| options.map_entry());
            let name = names.place(name)?;
            writeln!(
                messages,
                "MessageRow {{ name: {name}, first: {field_count}, count: {count}, is_entry: {is_entry} }},"
            )?;
            field_count = field_count.checked_add(count).ok_or("too many fields")?;
            for field in own {
                let row = self.field(message, field, &mut names)?;
                writeln!(fields, "{row},")?;
            }
        }
        for enumeration in self.enumerations.values() {
            let count = u16::try_from(enumeration.value.len())?;
            writeln!(enumerations, "EnumRow {{ first: {value_count}, count: {count} }},")?;
            value_count = value_count.checked_add(count).ok_or("too many values")?;
            for value in &enumeration.value {
                let (name, number) = (names.place(value.name())?, value.number());
                writeln!(values, "ValueRow {{ name: {name}, number: {number} }},")?;
            }
        }
        let source = format!(
            "pub(super) static MESSAGES: &[MessageRow] = &[\n{messages}];\npub(super) static FIELDS: &[FieldRow] = &[\n{fields}];\n\
             pub(super) static ENUMS: &[EnumRow] = &[\n{enumerations}];\npub(super) static VALUES: &[ValueRow] = &[\n{values}];\n"
        );
        Ok(Tables { source, names: names.text })
    }

    fn field(
        &self,
        message: &Message<'_>,
        field: &FieldDescriptorProto,
        names: &mut Names,
    ) -> Result<String, Box<dyn Error>> {
        let kind = field.r#type();
        let of = match kind {
            Type::Message => position(&self.messages, field.type_name())?,
            Type::Enum => position(&self.enumerations, field.type_name())?,
            Type::Group => return Err(format!("{}: groups are not read", field.name()).into()),
            _ => 0,
        };
        let repeated = field.label() == Label::Repeated;
        // `optional` of proto3 is written as the only member of a oneof of its own.
        let oneof = if field.proto3_optional() { None } else { field.oneof_index };
        let oneof = oneof.map_or(Ok(0), |index| u8::try_from(index + 1))?;
        let presence =
            !repeated && (!message.is_proto3 || kind == Type::Message || field.oneof_index.is_some());
        let is_number = !matches!(kind, Type::Message | Type::String | Type::Bytes);
        let says_packed = field.options.as_ref().and_then(|options| options.packed);
        let packed = repeated && is_number && says_packed.unwrap_or(message.is_proto3);
        let (name, number, kind) = (names.place(field.name())?, field.number(), kind as i32);
        Ok(format!(
            "FieldRow {{ name: {name}, number: {number}, of: {of}, kind: {kind}, oneof: {oneof}, repeated: {repeated}, \
             presence: {presence}, packed: {packed} }}"
        ))
    }
}

/// The number of a type in the order of their names.
fn position<T>(types: &BTreeMap<String, T>, type_name: &str) -> Result<u16, Box<dyn Error>> {
    let name = type_name.trim_start_matches('.');
    let position = types.keys().position(|known| known == name).ok_or_else(|| format!("no type {name}"))?;
    Ok(u16::try_from(position)?)
}

/// All names, each of them once.
#[derive(Default)]
struct Names {
    text: String,
    places: HashMap<String, String>,
}

impl Names {
    /// The expression for a name's place.
    fn place(&mut self, name: &str) -> Result<String, Box<dyn Error>> {
        if let Some(place) = self.places.get(name) {
            return Ok(place.clone());
        }
        let (at, length) = (u32::try_from(self.text.len())?, u8::try_from(name.len())?);
        let place = format!("Name {{ at: {at}, length: {length} }}");
        self.text.push_str(name);
        self.places.insert(name.to_owned(), place.clone());
        Ok(place)
    }
}
