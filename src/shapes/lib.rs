//! For `sagene-api`: writes the table of a shape's fields, from which it is read, written and described.
//!
//! Knows how a field is declared, not what any shape means; what is done with a table is `sagene_api::shape`'s.

mod attributes;
mod names;
mod record;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct with named fields a `Record`, and with that readable, writable and described. Its `Default` is what absent fields mean.
///
/// `#[shape(…)]` on the struct: `with_defaults` (fields have defaults other than zero, so that every scalar is written),
/// `extend("key" = value, …)` (into its schema).
///
/// On a field: `name = "…"` (instead of its name in camelCase), `rest` (holds the fields the table does not name), `like = Type` (described as that
/// type), `schema_with = function`, `length(min = …, max = …)`, `range(min = …, max = …)`, `regex(pattern = …)`,
/// `inner(…)` (the same for its elements) and `extend(…)`.
#[proc_macro_derive(Record, attributes(shape))]
pub fn record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    record::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
