//! Shapes without parts.

use std::borrow::Cow;

use serde_json::{Number, Value, json};

use super::reader::unexpected_number;
use super::{Form, Mistake, Reader, Shape, schema};

impl Shape for bool {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = reader.bool()?;
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Bool(*self)
    }

    fn is_blank(&self) -> bool {
        !self
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

impl Shape for String {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = reader.text("a string")?.into_owned();
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Text(Cow::Borrowed(self))
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }

    fn schema() -> Value {
        schema::text()
    }
}

/// A whole number between the bounds of the type `expected`.
fn integer(reader: Reader<'_>, expected: &str, min: i128, max: i128) -> Result<i128, Mistake> {
    let number = reader.number(expected)?;
    let Some(whole) = number.as_i128() else {
        return Err(Mistake::wrong_type(unexpected_number(&number), &expected));
    };
    if (min..=max).contains(&whole) {
        return Ok(whole);
    }
    Err(Mistake::wrong_value(unexpected_number(&number), &expected))
}

macro_rules! integers {
    ($($type:ident: $schema:expr,)*) => {$(
        impl Shape for $type {
            fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
                let whole = integer(reader, stringify!($type), Self::MIN.into(), Self::MAX.into())?;
                *self = Self::try_from(whole).unwrap_or_default();
                Ok(())
            }

            fn form(&self) -> Form<'_> {
                Form::Number((*self).into())
            }

            fn is_blank(&self) -> bool {
                *self == 0
            }

            fn schema() -> Value {
                $schema
            }
        }
    )*};
}

integers! {
    u16: schema::integer(None, Some(0), Some(u16::MAX.into())),
    u32: schema::integer(None, Some(0), Some(u32::MAX.into())),
    u64: schema::integer(None, Some(0), None),
    i32: schema::integer(Some("int32"), None, None),
    i64: schema::integer(Some("int64"), None, None),
}

impl Shape for f64 {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        let number = reader.number("f64")?;
        *self = number.as_f64().ok_or_else(|| Mistake::custom("a number out of range"))?;
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Number::from_f64(*self).map_or(Form::Null, Form::Number)
    }

    fn is_blank(&self) -> bool {
        *self == 0.0
    }

    fn schema() -> Value {
        json!({ "type": "number", "format": "double" })
    }
}

/// Any JSON.
impl Shape for Value {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = reader.into_value();
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Value(self)
    }

    fn is_blank(&self) -> bool {
        self.is_null()
    }

    fn schema() -> Value {
        json!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// RFC 3339 in UTC.
impl Shape for jiff::Timestamp {
    fn read(&mut self, reader: Reader<'_>) -> Result<(), Mistake> {
        *self = reader.text("a timestamp")?.parse().map_err(Mistake::custom)?;
        Ok(())
    }

    fn form(&self) -> Form<'_> {
        Form::Text(Cow::Owned(self.to_string()))
    }

    /// The start of the epoch is a time like any other.
    fn is_blank(&self) -> bool {
        false
    }

    fn schema() -> Value {
        schema::text()
    }
}
