//! The habits of proto3 JSON every shape shares: camelCase names, absent and `null` mean the default, defaults are not
//! written, enums are strings. The two macros here apply them, so a shape's file holds nothing but names, types and docs.

use serde::{Deserialize, Deserializer};

/// Whether `value` is what an absent field means, and so need not be written.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Reads a field whose `null` means the same as its absence (what `kubectl` and Go encoders send for empty values).
pub fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares structs with proto3 JSON encoding: every field optional on the wire, `null` accepted, defaults not written,
/// unknown fields ignored (see [`crate::schema::strict`] for the strict reading).
macro_rules! shape {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })+) => {$(
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        $(#[$meta])*
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(
                    deserialize_with = "crate::encoding::null_is_default",
                    skip_serializing_if = "crate::encoding::is_default"
                )]
                pub $field: $type,
            )*
        }
    )+};
}

/// Declares an enum written as a string. The first variant is the zero value, which an absent field means; any other
/// string is an error that names the accepted ones.
macro_rules! string_enum {
    ($($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident = $first_text:literal,
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)*
    })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $(#[$first_meta])* #[default] #[serde(rename = $first_text)] $first,
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every accepted spelling, zero value first.
            pub const NAMES: &'static [&'static str] = &[$first_text, $($text),*];

            /// The spelling used in YAML and JSON.
            pub fn as_str(self) -> &'static str {
                match self { Self::$first => $first_text, $(Self::$variant => $text,)* }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl crate::encoding::Blank for $name {}

        impl ::schemars::JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> ::std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut ::schemars::SchemaGenerator) -> ::schemars::Schema {
                ::schemars::json_schema!({ "type": "string", "enum": Self::NAMES })
            }
        }
    )+};
}

/// Names a shape's place in the Kubernetes API.
macro_rules! resource {
    ($type:ty, $group:literal, $kind:literal, $plural:literal, $namespaced:literal, [$storage:literal $(, $version:literal)*]
     $(, status = $status:ty)? $(, flat = $flat:literal)?) => {
        impl $crate::object::Resource for $type {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = $storage;
            const VERSIONS: &'static [&'static str] = &[$storage $(, $version)*];
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;
            const NAMESPACED: bool = $namespaced;
            $(const FLAT: bool = $flat;)?
            type Status = resource!(@status $($status)?);
        }
    };
    (@status $status:ty) => { $status };
    (@status) => { ::serde_json::Value };
}

/// Whether a value with a default of its own may be left out on writing: only what holds nothing may.
pub trait Blank {
    /// True for no value, an empty list or an empty map.
    fn is_blank(&self) -> bool {
        false
    }
}

impl<T> Blank for Option<T> {
    fn is_blank(&self) -> bool {
        self.is_none()
    }
}

impl<T> Blank for Vec<T> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Blank for std::collections::BTreeMap<K, V> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl Blank for bool {}
impl Blank for u32 {}
impl Blank for i32 {}
impl Blank for f64 {}
impl Blank for String {}
impl Blank for crate::Duration {}

/// Declares structs whose fields have defaults other than zero: an absent field means the default given here, and every
/// scalar is written, so that readers need not know the defaults.
macro_rules! shape_with_defaults {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty = $default:expr,)*
    })+) => {$(
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize, ::schemars::JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        $(#[$meta])*
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(skip_serializing_if = "crate::encoding::Blank::is_blank")]
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl crate::encoding::Blank for $name {}
    )+};
}
