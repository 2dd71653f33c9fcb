//! `#[shape(…)]` and the docs of a struct or field.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Path, Result, Token, Type};

/// What the attributes of a struct or field say.
#[derive(Default)]
pub(crate) struct Attributes {
    /// Its docs, in one line.
    pub docs: String,
    /// The name in JSON, where it is not the usual one.
    pub name: Option<String>,
    /// Fields have defaults of their own.
    pub with_defaults: bool,
    /// Holds what the table does not name.
    pub rest: bool,
    /// The type it is described as.
    pub like: Option<Type>,
    /// The function that describes it.
    pub schema_with: Option<Path>,
    /// Statements that complete the object `schema`.
    pub changes: Vec<TokenStream>,
}

impl Attributes {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        for attribute in attributes {
            if attribute.path().is_ident("doc") {
                found.document(&attribute.meta);
            } else if attribute.path().is_ident("shape") {
                attribute.parse_nested_meta(|meta| found.take(&meta))?;
            }
        }
        Ok(found)
    }

    fn document(&mut self, meta: &Meta) {
        let Meta::NameValue(pair) = meta else { return };
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return };
        for word in text.value().split_whitespace() {
            if !self.docs.is_empty() {
                self.docs.push(' ');
            }
            self.docs.push_str(word);
        }
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let is = |name| meta.path.is_ident(name);
        if is("name") {
            self.name = Some(meta.value()?.parse::<LitStr>()?.value());
        } else if is("with_defaults") {
            self.with_defaults = true;
        } else if is("rest") {
            self.rest = true;
        } else if is("like") {
            self.like = Some(meta.value()?.parse()?);
        } else if is("schema_with") {
            self.schema_with = Some(meta.value()?.parse()?);
        } else {
            self.changes.push(change(meta)?);
        }
        Ok(())
    }
}

/// The statement for one of `length`, `range`, `regex`, `inner` and `extend`.
fn change(meta: &ParseNestedMeta<'_>) -> Result<TokenStream> {
    let is = |name| meta.path.is_ident(name);
    if is("length") {
        let (min, max) = bounds(meta)?;
        Ok(quote! { crate::shape::schema::length(schema, #min, #max); })
    } else if is("range") {
        let (min, max) = bounds(meta)?;
        Ok(quote! { crate::shape::schema::range(schema, #min, #max); })
    } else if is("regex") {
        let mut changes = Vec::new();
        meta.parse_nested_meta(|inner| {
            if !inner.path.is_ident("pattern") {
                return Err(inner.error("expected `pattern`"));
            }
            let pattern: Expr = inner.value()?.parse()?;
            changes.push(quote! { schema.insert("pattern".to_owned(), ::serde_json::json!(#pattern)); });
            Ok(())
        })?;
        Ok(quote! { #(#changes)* })
    } else if is("inner") {
        let mut changes = Vec::new();
        meta.parse_nested_meta(|inner| {
            changes.push(change(&inner)?);
            Ok(())
        })?;
        Ok(quote! { if let Some(schema) = crate::shape::schema::elements(schema) { #(#changes)* } })
    } else if is("extend") {
        let mut changes = Vec::new();
        let inner;
        syn::parenthesized!(inner in meta.input);
        while !inner.is_empty() {
            let key: LitStr = inner.parse()?;
            inner.parse::<Token![=]>()?;
            let value: Expr = inner.parse()?;
            changes.push(quote! { schema.insert(#key.to_owned(), ::serde_json::json!(#value)); });
            if !inner.is_empty() {
                inner.parse::<Token![,]>()?;
            }
        }
        Ok(quote! { #(#changes)* })
    } else {
        Err(meta.error("not an attribute of shapes"))
    }
}

/// `min` and `max` of a meta list, each an expression of an `Option`.
fn bounds(meta: &ParseNestedMeta<'_>) -> Result<(TokenStream, TokenStream)> {
    let (mut min, mut max) = (quote! { None }, quote! { None });
    meta.parse_nested_meta(|inner| {
        let value: Expr = inner.value()?.parse()?;
        match () {
            () if inner.path.is_ident("min") => min = quote! { Some(#value) },
            () if inner.path.is_ident("max") => max = quote! { Some(#value) },
            () => return Err(inner.error("expected `min` or `max`")),
        }
        Ok(())
    })?;
    Ok((min, max))
}
