//! `kubectl describe`: the fields people read, then everything else, then the events.

use clap::Args;
use serde_json::Value;

use super::session::Session;
use super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text, with_query};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct Describe {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Show the events too
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    show_events: bool,
}

impl Describe {
    pub(super) async fn run(mut self, session: &Session) -> Outcome {
        // `describe pods` without a name means all of them.
        if self.arguments.len() == 1 && !self.arguments[0].contains('/') {
            self.selection.all = true;
        }
        let found = target::find(session, &self.arguments, &self.selection, false).await?;
        if found.is_empty() {
            output::progress(&format!("No resources found in {} namespace.", session.namespace));
        }
        for (index, object) in found.iter().enumerate() {
            if index > 0 {
                output::data("\n\n");
            }
            self.one(session, object).await?;
        }
        Ok(Exit::Success)
    }

    async fn one(&self, session: &Session, found: &Found) -> Result<(), Failure> {
        let object = &found.object;
        let mut text_out = String::new();
        field(&mut text_out, 0, "Name", &Value::from(found.name()));
        if let Some(namespace) = found.namespace() {
            field(&mut text_out, 0, "Namespace", &Value::from(namespace));
        }
        for (title, pointer) in [("Labels", "/metadata/labels"), ("Annotations", "/metadata/annotations")] {
            pairs(&mut text_out, title, object.pointer(pointer));
        }
        field(&mut text_out, 0, "API Version", &Value::from(text(object, "/apiVersion")));
        field(&mut text_out, 0, "Kind", &Value::from(text(object, "/kind")));
        field(&mut text_out, 0, "Created", &Value::from(text(object, "/metadata/creationTimestamp")));
        for (key, value) in object.as_object().into_iter().flatten() {
            if !["apiVersion", "kind", "metadata"].contains(&key.as_str()) {
                field(&mut text_out, 0, &title_case(key), value);
            }
        }
        output::data(&text_out);
        if self.show_events { events(session, found).await } else { Ok(()) }
    }
}

fn pairs(out: &mut String, title: &str, value: Option<&Value>) {
    let label = format!("{title}:");
    let entries: Vec<String> = value
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if entries.is_empty() {
        out.push_str(&format!("{label:<14}<none>\n"));
    }
    for (index, entry) in entries.iter().enumerate() {
        out.push_str(&format!("{:<14}{entry}\n", if index == 0 { label.as_str() } else { "" }));
    }
}

/// One field; maps and lists are indented below their name.
fn field(out: &mut String, depth: usize, name: &str, value: &Value) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if map.is_empty() => {}
        Value::Object(map) => {
            out.push_str(&format!("{indent}{name}:\n"));
            for (key, value) in map {
                field(out, depth + 1, &title_case(key), value);
            }
        }
        Value::Array(list) => {
            out.push_str(&format!("{indent}{name}:\n"));
            for (index, item) in list.iter().enumerate() {
                match item {
                    Value::Object(map) => {
                        if index > 0 {
                            out.push('\n');
                        }
                        for (key, value) in map {
                            field(out, depth + 1, &title_case(key), value);
                        }
                    }
                    other => out.push_str(&format!("{indent}  {}\n", plain(other))),
                }
            }
        }
        other => {
            let label = format!("{indent}{name}:");
            let gap = if label.len() < 14 { 14 - label.len() } else { 1 };
            out.push_str(&format!("{label}{}{}\n", " ".repeat(gap), plain(other)));
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    }
}

/// `podIP` → `Pod IP`, `containerStatuses` → `Container Statuses`.
fn title_case(key: &str) -> String {
    let mut words = String::new();
    let mut previous_lower = false;
    for (index, character) in key.chars().enumerate() {
        if index == 0 {
            words.extend(character.to_uppercase());
        } else {
            if character.is_uppercase() && previous_lower {
                words.push(' ');
            }
            words.push(character);
        }
        previous_lower = character.is_lowercase() || character.is_ascii_digit();
    }
    words
}

/// The events about an object, oldest first.
async fn events(session: &Session, found: &Found) -> Result<(), Failure> {
    let resource = Resource::known("", "v1", "Event", "events", true);
    let selector = format!(
        "involvedObject.name={},involvedObject.uid={}",
        found.name(),
        text(&found.object, "/metadata/uid")
    );
    let path = with_query(
        resource.collection(Some(found.namespace().unwrap_or("default"))),
        &[("fieldSelector", &selector)],
    );
    let list = session.objects.get_path(&path, None).await.map_err(kubectl_failure)?;
    let mut items: Vec<&Value> = list.get("items").and_then(Value::as_array).into_iter().flatten().collect();
    if items.is_empty() {
        output::line("Events:        <none>");
        return Ok(());
    }
    items.sort_by_cached_key(|event| last_seen(event));
    let mut table = Table::new(["  Type", "Reason", "Age", "From", "Message"], 2);
    table.row(["  ----", "------", "----", "----", "-------"]);
    for event in items {
        let source = [text(event, "/source/component"), text(event, "/reportingComponent")];
        table.row([
            format!("  {}", text(event, "/type")),
            text(event, "/reason").to_owned(),
            age(&last_seen(event)),
            source.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned(),
            text(event, "/message").trim().to_owned(),
        ]);
    }
    output::line("Events:");
    output::data(&table.render());
    Ok(())
}

/// When an event happened last.
pub(super) fn last_seen(event: &Value) -> String {
    let times = [
        text(event, "/lastTimestamp"),
        text(event, "/eventTime"),
        text(event, "/metadata/creationTimestamp"),
    ];
    times.into_iter().find(|time| !time.is_empty()).unwrap_or_default().to_owned()
}

/// `5s`, `3m`, `2h`, `4d` since a timestamp.
pub(super) fn age(timestamp: &str) -> String {
    let Ok(then) = timestamp.parse::<jiff::Timestamp>() else {
        return "<unknown>".to_owned();
    };
    let seconds = (jiff::Timestamp::now().as_second() - then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
