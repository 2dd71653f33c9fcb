//! The habits of proto3 JSON every shape shares: camelCase names, absent and `null` mean the default, defaults are not
//! written, enums are strings. The macros here apply them, so a shape's file holds nothing but names, types and docs.

/// Makes a shape known to serde.
macro_rules! serde_by_shape {
    ($type:ident) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                (self as &dyn crate::shape::Shape).serialize(serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::shape::deserialize(deserializer)
            }
        }
    };
}

/// Declares structs with proto3 JSON encoding: every field optional on the wire, `null` accepted, defaults not written,
/// unknown fields ignored (see [`crate::schema::strict`] for the strict reading).
macro_rules! shape {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })+) => {$(
        #[derive(Clone, Debug, Default, PartialEq, ::sagene_shapes::Record)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
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
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[$first_meta])* #[default] $first,
            $($(#[$variant_meta])* $variant,)*
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

        impl crate::shape::Shape for $name {
            fn read(&mut self, reader: crate::shape::Reader<'_>) -> Result<(), crate::shape::Mistake> {
                let place = reader.name(Self::NAMES)?;
                *self = [Self::$first, $(Self::$variant),*].get(place).copied().unwrap_or_default();
                Ok(())
            }

            fn form(&self) -> crate::shape::Form<'_> {
                crate::shape::Form::Text(self.as_str().into())
            }

            fn is_blank(&self) -> bool {
                *self == Self::$first
            }

            fn schema() -> ::serde_json::Value {
                ::serde_json::json!({ "type": "string", "enum": Self::NAMES })
            }
        }

        serde_by_shape!($name);
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

/// Declares structs whose fields have defaults other than zero: an absent field means the default given here, and every
/// scalar is written, so that readers need not know the defaults.
macro_rules! shape_with_defaults {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty = $default:expr,)*
    })+) => {$(
        #[derive(Clone, Debug, PartialEq, ::sagene_shapes::Record)]
        #[shape(with_defaults)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    )+};
}
