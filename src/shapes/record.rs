//! The implementations a struct gets.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, Ident, Result};

use crate::attributes::Attributes;
use crate::names::camel_case;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(syn::Error::new_spanned(input, "only structs have a table of fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(input, "fields need names"));
    };
    let name = &input.ident;
    let own = Attributes::of(&input.attrs)?;
    let mut named = Vec::new();
    let mut rest = TokenStream::new();
    for field in &fields.named {
        let attributes = Attributes::of(&field.attrs)?;
        // Fields of a struct with named fields have a name each.
        let Some(ident) = &field.ident else { continue };
        if attributes.rest {
            rest = rest_functions(ident);
        } else {
            named.push((ident, row(field, ident, &attributes)));
        }
    }
    let (table, accessors) = (table(name, &own, &named), accessors(&named));
    Ok(quote! {
        impl crate::shape::Record for #name {
            fn table_of() -> &'static crate::shape::Table {
                #table
                &TABLE
            }
            fn table(&self) -> &'static crate::shape::Table {
                <Self as crate::shape::Record>::table_of()
            }
            #accessors
            #rest
        }

        impl crate::shape::Shape for #name {
            fn read(&mut self, reader: crate::shape::Reader<'_>) -> Result<(), crate::shape::Mistake> {
                crate::shape::record::read(self, reader)
            }
            fn form(&self) -> crate::shape::Form<'_> {
                crate::shape::Form::Record(self)
            }
            fn is_blank(&self) -> bool {
                crate::shape::record::is_blank(self)
            }
            fn schema() -> ::serde_json::Value {
                crate::shape::schema::of_table(<Self as crate::shape::Record>::table_of())
            }
        }

        serde_by_shape!(#name);
    })
}

fn table(name: &Ident, own: &Attributes, named: &[(&Ident, TokenStream)]) -> TokenStream {
    let (text, docs, with_defaults) = (name.to_string(), &own.docs, own.with_defaults);
    let rows = named.iter().map(|(_, row)| row);
    let complete = complete(&own.changes);
    quote! {
        static TABLE: crate::shape::Table = crate::shape::Table {
            name: #text,
            docs: #docs,
            with_defaults: #with_defaults,
            complete: #complete,
            fields: &[#(#rows),*],
        };
    }
}

fn row(field: &Field, ident: &Ident, attributes: &Attributes) -> TokenStream {
    let name = attributes.name.clone().unwrap_or_else(|| camel_case(&ident.unraw().to_string()));
    let docs = &attributes.docs;
    let schema = match (&attributes.schema_with, &attributes.like) {
        (Some(function), _) => quote! { #function },
        (None, like) => {
            let described = like.as_ref().unwrap_or(&field.ty);
            quote! { <#described as crate::shape::Shape>::schema }
        }
    };
    let complete = complete(&attributes.changes);
    quote! { crate::shape::Field { name: #name, docs: #docs, schema: #schema, complete: #complete } }
}

/// The function that makes these changes of a schema, if there are any.
fn complete(changes: &[TokenStream]) -> TokenStream {
    if changes.is_empty() {
        return quote! { None };
    }
    quote! { Some(|schema: &mut ::serde_json::Map<String, ::serde_json::Value>| { #(#changes)* }) }
}

/// How a field is got at by its place in the table.
fn accessors(named: &[(&Ident, TokenStream)]) -> TokenStream {
    let (idents, places): (Vec<_>, Vec<_>) =
        named.iter().enumerate().map(|(place, (ident, _))| (*ident, place)).unzip();
    quote! {
        fn field(&self, place: usize) -> Option<&dyn crate::shape::Shape> {
            match place {
                #(#places => Some(&self.#idents),)*
                _ => None,
            }
        }
        fn field_mut(&mut self, place: usize) -> Option<&mut dyn crate::shape::Shape> {
            match place {
                #(#places => Some(&mut self.#idents),)*
                _ => None,
            }
        }
    }
}

fn rest_functions(ident: &Ident) -> TokenStream {
    quote! {
        fn rest(&self) -> Option<&::serde_json::Map<String, ::serde_json::Value>> {
            Some(&self.#ident)
        }
        fn rest_mut(&mut self) -> Option<&mut ::serde_json::Map<String, ::serde_json::Value>> {
            Some(&mut self.#ident)
        }
    }
}
