//! `kubectl explain`: what a field of a type means, from the server's own description of its API.

use clap::Args;
use serde_json::Value;

use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Type, with the fields down to the one that is meant
    #[arg(value_name = "TYPE[.FIELD…]")]
    path: String,
    /// Group and version, where there are several
    #[arg(long, value_name = "GROUP/VERSION")]
    api_version: Option<String>,
    /// Name every field below
    #[arg(long)]
    recursive: bool,
}

/// How deep `--recursive` goes: schemas may contain themselves.
const DEEPEST: usize = 12;

impl Explain {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let (resource, fields) = self.subject(session).await?;
        let place = if resource.group.is_empty() { "api" } else { "apis" };
        let path = format!("/openapi/v3/{place}/{}", resource.api_version());
        let document = session.objects.get_path(&path, None).await.map_err(kubectl_failure)?;
        let schemas = Schemas(&document);
        let root = schemas.of_kind(&resource).ok_or_else(|| {
            error(format!(
                "Couldn't find resource for \"{}\" in the server's description",
                resource.qualified()
            ))
        })?;
        let mut schema = root;
        for field in &fields {
            schema = schemas
                .field(schema, field)
                .ok_or_else(|| error(format!("field \"{field}\" does not exist")))?;
        }
        let mut out = String::new();
        if !resource.group.is_empty() {
            out.push_str(&format!("GROUP:      {}\n", resource.group));
        }
        out.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", resource.kind, resource.version));
        if let Some(last) = fields.last() {
            out.push_str(&format!("FIELD: {last} <{}>\n\n", schemas.type_of(schema)));
        }
        let words = schemas.description(schema);
        let words = if words.is_empty() { "<empty>" } else { words };
        out.push_str(&format!("DESCRIPTION:\n    {words}\n"));
        let mut list = String::new();
        schemas.list(schema, 1, self.recursive, &mut list);
        if !list.is_empty() {
            out.push_str(&format!("\nFIELDS:\n{list}"));
        }
        output::data(&out);
        Ok(Exit::Success)
    }

    async fn subject(&self, session: &Session) -> Result<(Resource, Vec<String>), Failure> {
        // A type may be named with its group: the longest beginning that is a type counts.
        let words: Vec<&str> = self.path.split('.').collect();
        let discovery = session.discovery().await?;
        for length in (1..=words.len()).rev() {
            let Some(found) = discovery.named(&words[..length].join(".")) else { continue };
            let fields = words[length..].iter().map(|word| (*word).to_owned()).collect();
            let Some(version) = &self.api_version else { return Ok((found.clone(), fields)) };
            let other = discovery
                .resources
                .iter()
                .find(|it| it.plural == found.plural && it.api_version() == *version);
            let other = other.ok_or_else(|| {
                error(format!("couldn't find resource for \"{version}, Resource={}\"", found.plural))
            })?;
            return Ok((other.clone(), fields));
        }
        session.resource(words[0]).await.map(|resource| (resource, Vec::new()))
    }
}

/// The schemas of one group and version.
struct Schemas<'a>(&'a Value);

impl<'a> Schemas<'a> {
    fn of_kind(&self, resource: &Resource) -> Option<&'a Value> {
        let all = self.0.pointer("/components/schemas")?.as_object()?;
        all.values().find(|schema| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.into_iter().flatten().any(|it| {
                text(it, "/group") == resource.group
                    && text(it, "/version") == resource.version
                    && text(it, "/kind") == resource.kind
            })
        })
    }

    /// What a reference stands for; lists and maps stand for what is in them.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..DEEPEST {
            schema = match (self.reference(schema), schema.get("items"), schema.get("additionalProperties")) {
                (Some(target), ..) => target,
                (_, Some(inner), _) => inner,
                (.., Some(inner)) if inner.is_object() => inner,
                _ => return schema,
            };
        }
        schema
    }

    fn reference(&self, schema: &'a Value) -> Option<&'a Value> {
        let name = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"))?.as_str()?;
        self.0.pointer(name.strip_prefix('#')?)
    }

    fn field(&self, schema: &'a Value, name: &str) -> Option<&'a Value> {
        self.resolved(schema).get("properties")?.get(name)
    }

    /// A field's own words, else those of its type.
    fn description(&self, schema: &'a Value) -> &'a str {
        match text(schema, "/description") {
            "" => self.reference(schema).map(|it| text(it, "/description")).unwrap_or_default(),
            own => own,
        }
    }

    fn type_of(&self, schema: &'a Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_of(items));
        }
        if let Some(values) = schema.get("additionalProperties").filter(|it| it.is_object()) {
            return format!("map[string]{}", self.type_of(values));
        }
        let reference =
            schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref")).and_then(Value::as_str);
        match (reference, text(schema, "/type")) {
            (Some(name), _) => name.rsplit(['.', '/']).next().unwrap_or(name).to_owned(),
            (None, "object" | "") => "Object".to_owned(),
            (None, plain) => plain.to_owned(),
        }
    }

    fn list(&self, schema: &'a Value, depth: usize, recursive: bool, out: &mut String) {
        let resolved = self.resolved(schema);
        let required: Vec<&str> =
            resolved["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let indent = "  ".repeat(depth);
        for (name, field) in resolved.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let needed = if required.contains(&name.as_str()) { " -required-" } else { "" };
            out.push_str(&format!("{indent}{name}\t<{}>{needed}\n", self.type_of(field)));
            if recursive {
                if depth < DEEPEST {
                    self.list(field, depth + 1, recursive, out);
                }
                continue;
            }
            let words = self.description(field);
            let words = if words.is_empty() { "<no description>" } else { words };
            out.push_str(&format!("{indent}  {words}\n\n"));
        }
    }
}
