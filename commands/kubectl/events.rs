//! `kubectl events`: what happened of late, oldest first.

use clap::Args;
use serde_json::Value;

use super::describe::{age, last_seen};
use super::session::{Session, error};
use crate::exit::{Exit, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text, with_query};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct Events {
    /// Only about this object
    #[arg(long = "for", value_name = "TYPE/NAME")]
    about: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only of these types: Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// No header line
    #[arg(long)]
    no_headers: bool,
}

impl Events {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let selector = match &self.about {
            None => String::new(),
            Some(about) => {
                let (kind, name) = about.split_once('/').ok_or_else(|| {
                    error(format!("--for must be in resource/name form, such as pod/web, not {about:?}"))
                })?;
                let kind = session.resource(kind).await?.kind;
                format!("involvedObject.kind={kind},involvedObject.name={name}")
            }
        };
        let resource = Resource::known("", "v1", "Event", "events", true);
        let namespace = (!self.all_namespaces).then_some(session.namespace.as_str());
        let path = with_query(resource.collection(namespace), &[("fieldSelector", &selector)]);
        let list = session.objects.get_path(&path, None).await.map_err(kubectl_failure)?;
        let wanted = |event: &&Value| {
            let kind = text(event, "/type");
            self.types.is_empty() || self.types.iter().any(|one| one.eq_ignore_ascii_case(kind))
        };
        let mut items: Vec<&Value> = list["items"].as_array().into_iter().flatten().filter(wanted).collect();
        if items.is_empty() {
            let place = namespace.map(|name| format!(" in {name} namespace")).unwrap_or_default();
            output::progress(&format!("No events found{place}."));
            return Ok(Exit::Success);
        }
        items.sort_by_cached_key(|event| last_seen(event));
        output::data(&self.table(&items));
        Ok(Exit::Success)
    }

    fn table(&self, items: &[&Value]) -> String {
        let mut header = vec!["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
        if self.all_namespaces {
            header.insert(0, "NAMESPACE");
        }
        let mut table = Table::new(header, 3);
        for event in items {
            let about = &event["involvedObject"];
            let mut row = vec![
                age(&last_seen(event)),
                text(event, "/type").to_owned(),
                text(event, "/reason").to_owned(),
                format!("{}/{}", text(about, "/kind"), text(about, "/name")),
                text(event, "/message").trim().to_owned(),
            ];
            if self.all_namespaces {
                row.insert(0, text(event, "/metadata/namespace").to_owned());
            }
            table.row(row);
        }
        if self.no_headers { table.without_header().render() } else { table.render() }
    }
}
