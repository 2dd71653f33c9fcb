//! Headers that routes add and remove.

use crate::access_log::format::Template;
use crate::http::headers::HeaderList;

use super::field::{FieldError, Within, refuse_if};
use super::proto::core;
use super::proto::http::header_mutation::v3 as filter;
use super::proto::mutation_rules as rules;

/// Changes of request and response headers of one level (route, host, table, weighted cluster).
#[derive(Debug, Clone, Default)]
pub(crate) struct Mutations {
    pub(crate) request: Vec<Mutation>,
    pub(crate) response: Vec<Mutation>,
}

#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Remove(Box<[u8]>),
    Add { name: Box<[u8]>, value: Template, action: Append, keep_empty: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Append {
    AppendOrAdd,
    AddIfAbsent,
    OverwriteOrAdd,
    OverwriteIfExists,
}

impl Mutations {
    pub(crate) fn of(
        request_add: &[core::HeaderValueOption],
        request_remove: &[String],
        response_add: &[core::HeaderValueOption],
        response_remove: &[String],
    ) -> Result<Self, FieldError> {
        Ok(Self {
            request: compile(request_add, request_remove, "request_headers_to_add")?,
            response: compile(response_add, response_remove, "response_headers_to_add")?,
        })
    }
}

impl Mutations {
    /// Those of the filter of this name, or of a route for it.
    pub(crate) fn of_filter(from: Option<&filter::Mutations>) -> Result<Self, FieldError> {
        let from = from.ok_or_else(|| FieldError::new("mutations", "is missing"))?;
        let unsupported = "is not supported";
        refuse_if(
            !from.query_parameter_mutations.is_empty(),
            "mutations.query_parameter_mutations",
            unsupported,
        )?;
        refuse_if(
            !from.request_trailers_mutations.is_empty(),
            "mutations.request_trailers_mutations",
            unsupported,
        )?;
        refuse_if(
            !from.response_trailers_mutations.is_empty(),
            "mutations.response_trailers_mutations",
            unsupported,
        )?;
        Ok(Self {
            request: in_order(&from.request_mutations).within("mutations.request_mutations")?,
            response: in_order(&from.response_mutations).within("mutations.response_mutations")?,
        })
    }
}

/// A compiled `HeaderMutation`.
#[derive(Debug)]
pub(crate) struct FilterMutations {
    pub(crate) own: Mutations,
    /// Of what the route table, the host and the route say, the route's comes last.
    pub(crate) route_last: bool,
}

impl FilterMutations {
    pub(crate) fn compile(from: &filter::HeaderMutation) -> Result<Self, FieldError> {
        let own = match &from.mutations {
            None => Mutations::default(),
            some => Mutations::of_filter(some.as_ref())?,
        };
        Ok(Self { own, route_last: from.most_specific_header_mutations_wins })
    }
}

fn in_order(from: &[rules::HeaderMutation]) -> Result<Vec<Mutation>, FieldError> {
    use rules::header_mutation::Action;
    let one = |mutation: &rules::HeaderMutation| match &mutation.action {
        Some(Action::Remove(name)) => Ok(Mutation::Remove(name.to_ascii_lowercase().into_bytes().into())),
        Some(Action::Append(option)) => compile_one(option).within("append"),
        Some(Action::RemoveOnMatch(_)) => {
            Err(FieldError::new("remove_on_match", "is not supported; use remove"))
        }
        None => Err(FieldError::new("action", "is missing; give remove or append")),
    };
    from.iter().enumerate().map(|(index, mutation)| one(mutation).within_item("", index)).collect()
}

fn compile(
    add: &[core::HeaderValueOption],
    remove: &[String],
    field: &str,
) -> Result<Vec<Mutation>, FieldError> {
    let mut list: Vec<_> =
        remove.iter().map(|name| Mutation::Remove(name.to_ascii_lowercase().into_bytes().into())).collect();
    for (index, option) in add.iter().enumerate() {
        list.push(compile_one(option).within_item(field, index)?);
    }
    Ok(list)
}

/// Headers that a filter adds.
pub(crate) fn compile_added(
    add: &[core::HeaderValueOption],
    field: &str,
) -> Result<Vec<Mutation>, FieldError> {
    compile(add, &[], field)
}

fn compile_one(option: &core::HeaderValueOption) -> Result<Mutation, FieldError> {
    let header = option.header.as_ref().ok_or_else(|| FieldError::new("header", "is missing"))?;
    let action = match (option.append.as_ref().map(|b| b.value), option.append_action) {
        (Some(false), _) | (None, 2) => Append::OverwriteOrAdd,
        (None, 1) => Append::AddIfAbsent,
        (None, 3) => Append::OverwriteIfExists,
        _ => Append::AppendOrAdd,
    };
    Ok(Mutation::Add {
        name: header.key.to_ascii_lowercase().into_bytes().into(),
        value: Template::compile(&header.value).within("header.value")?,
        action,
        keep_empty: option.keep_empty_value,
    })
}

/// Applies changes; `render` gives the text of a template.
pub(crate) fn apply(
    list: &[Mutation],
    headers: &mut HeaderList,
    mut render: impl FnMut(&Template, &HeaderList) -> Vec<u8>,
) {
    for mutation in list {
        match mutation {
            Mutation::Remove(name) => {
                headers.remove(name);
            }
            Mutation::Add { name, value, action, keep_empty } => {
                let value = render(value, headers);
                if value.is_empty() && !keep_empty {
                    continue;
                }
                let exists = headers.contains(name);
                match action {
                    Append::AppendOrAdd => headers.append(name, &value),
                    Append::OverwriteOrAdd => headers.set(name, &value),
                    Append::AddIfAbsent if !exists => headers.append(name, &value),
                    Append::OverwriteIfExists if exists => headers.set(name, &value),
                    _ => {}
                }
            }
        }
    }
}
