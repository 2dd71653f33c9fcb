//! `kubectl get`: the server's own tables, or the objects.

use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};

use super::column::TableView;
use super::manifests;
use super::print::{self, Printer};
use super::session::{Session, error};
use super::target::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::kubernetes::{Event, Resource, is_not_found, kubectl_failure, text, watch, with_query};
use crate::output;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[derive(Debug, Args)]
pub(super) struct Get {
    /// Type, type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    /// Manifests that name the objects
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// Read directories with their subdirectories
    #[arg(short = 'R', long)]
    recursive: bool,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    selector: String,
    /// Field selector
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    field_selector: String,
    /// wide, json, yaml, name, jsonpath=, custom-columns=, go-template=; the last three with their template
    #[arg(short, long, default_value = "")]
    output: String,
    /// The template of -o jsonpath and -o go-template
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
    /// Order by a field, as in .metadata.creationTimestamp
    #[arg(long, value_name = "JSONPATH")]
    sort_by: Option<String>,
    /// Then show changes as they come
    #[arg(short, long)]
    watch: bool,
    /// Only show changes
    #[arg(long)]
    watch_only: bool,
    /// No header line
    #[arg(long)]
    no_headers: bool,
    /// A column with all labels
    #[arg(long)]
    show_labels: bool,
    /// A column for a label; may be repeated
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Missing objects are no error
    #[arg(long)]
    ignore_not_found: bool,
    /// Ask the server for this path and print its answer
    #[arg(long, value_name = "PATH", conflicts_with_all = ["arguments", "filename"])]
    raw: Option<String>,
}

impl Get {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        if let Some(path) = &self.raw {
            let request = http::Request::get(path).body(Vec::new())?;
            let text = session.cluster.client.request_text(request).await.map_err(kubectl_failure)?;
            output::data(&text);
            return Ok(Exit::Success);
        }
        let targets = self.targets(session).await?;
        if self.watch || self.watch_only {
            return self.follow(session, &targets).await;
        }
        if !["", "wide", "name"].contains(&self.output.as_str()) {
            // A template with a mistake is refused before anything is asked.
            Printer::new(&self.output, self.template.as_deref())?;
        }
        match self.output.as_str() {
            "" | "wide" => self.tables(session, &targets).await,
            _ => self.objects(session, &targets).await,
        }
    }

    async fn targets(&self, session: &Session) -> Result<Vec<Target>, Failure> {
        let mut targets = Vec::new();
        for name in &self.filename {
            for input in manifests::read(session, name, self.recursive).await? {
                for object in files::documents(&input)? {
                    let resource = target::mapping(session, &object, &input.name).await?;
                    targets.push(Target { resource, name: Some(text(&object, "/metadata/name").to_owned()) });
                }
            }
        }
        if targets.is_empty() || !self.arguments.is_empty() {
            targets.extend(target::parse(session, &self.arguments).await?);
        }
        if self.all_namespaces
            && targets.iter().any(|target| target.name.is_some() && target.resource.namespaced)
        {
            return Err(error("a resource cannot be retrieved by name across all namespaces"));
        }
        Ok(targets)
    }

    fn path(&self, session: &Session, target: &Target) -> String {
        let namespace = if self.all_namespaces { None } else { session.namespace_for(&target.resource) };
        match &target.name {
            Some(name) => target.resource.object(namespace, name),
            None => with_query(
                target.resource.collection(namespace),
                &[("labelSelector", &self.selector), ("fieldSelector", &self.field_selector)],
            ),
        }
    }

    /// One table per type; objects of one type that were named one by one share a table.
    async fn tables(&self, session: &Session, targets: &[Target]) -> Outcome {
        let several = targets.iter().any(|target| target.resource != targets[0].resource);
        let mut views: Vec<(Resource, TableView)> = Vec::new();
        let mut failed = false;
        // Rows are ordered by fields of the objects, which then have to come along.
        let include = if self.sort_by.is_some() { "Object" } else { "Metadata" };
        for target in targets {
            let path = with_query(self.path(session, target), &[("includeObject", include)]);
            match session.objects.get_path(&path, Some(TABLE)).await {
                Ok(mut answer) => {
                    if let (Some(field), Some(rows)) = (&self.sort_by, answer["rows"].as_array_mut()) {
                        print::sort(rows, "/object", field)?;
                    }
                    let view = TableView::new(
                        &answer,
                        self.output == "wide",
                        self.all_namespaces && target.resource.namespaced,
                    )
                    .with_labels(&answer, &self.label_columns, self.show_labels);
                    match views.iter_mut().find(|(resource, _)| *resource == target.resource) {
                        Some((_, existing)) => existing.append(view),
                        None => views.push((target.resource.clone(), view)),
                    }
                }
                Err(missing) if self.ignore_not_found && is_not_found(&missing) => {}
                Err(other) => {
                    output::progress(&crate::exit::chain(&kubectl_failure(other).error));
                    failed = true;
                }
            }
        }
        views.retain(|(_, view)| !view.is_empty());
        if views.is_empty() && !failed && !self.ignore_not_found {
            output::progress(&self.nothing(session, targets));
        }
        for (index, (resource, view)) in views.iter_mut().enumerate() {
            if several {
                view.prefix(&format!("{}/", resource.qualified_singular()));
                if index > 0 {
                    output::line("");
                }
            }
            output::data(&view.render(!self.no_headers));
        }
        Ok(if failed { Exit::Failure } else { Exit::Success })
    }

    fn nothing(&self, session: &Session, targets: &[Target]) -> String {
        if self.all_namespaces || targets.iter().all(|target| !target.resource.namespaced) {
            "No resources found".to_owned()
        } else {
            format!("No resources found in {} namespace.", session.namespace)
        }
    }

    async fn objects(&self, session: &Session, targets: &[Target]) -> Outcome {
        let single = targets.len() == 1 && targets[0].name.is_some();
        let mut items = Vec::new();
        for target in targets {
            match session.objects.get_path(&self.path(session, target), None).await {
                Ok(answer) if target.name.is_some() => items.push(answer),
                Ok(mut list) => {
                    for mut item in list["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                        item["apiVersion"] = json!(target.resource.api_version());
                        item["kind"] = json!(target.resource.kind);
                        items.push(item);
                    }
                }
                Err(missing) if self.ignore_not_found && is_not_found(&missing) => {}
                Err(other) => return Err(kubectl_failure(other)),
            }
        }
        if single && items.is_empty() {
            return Ok(Exit::Success);
        }
        if self.output == "name" {
            for item in &items {
                let resource = targets.iter().find(|target| target.resource.kind == text(item, "/kind"));
                let kind = resource.map(|target| target.resource.qualified_singular()).unwrap_or_default();
                output::line(&format!("{kind}/{}", text(item, "/metadata/name")));
            }
            return Ok(Exit::Success);
        }
        if let Some(field) = &self.sort_by {
            print::sort(&mut items, "", field)?;
        }
        for item in &mut items {
            if let Some(metadata) = item["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
        }
        let document = match (single, items.pop()) {
            (true, Some(object)) => object,
            (_, last) => {
                items.extend(last);
                json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
            }
        };
        self.print(&document)?;
        Ok(Exit::Success)
    }

    fn print(&self, document: &Value) -> Result<(), Failure> {
        let printer = Printer::new(&self.output, self.template.as_deref())?;
        output::data(&printer.render(document, !self.no_headers)?);
        Ok(())
    }

    /// Prints a row, or the object, whenever one changes; ends with Ctrl-C or with the server.
    async fn follow(&self, session: &Session, targets: &[Target]) -> Outcome {
        let [target] = targets else {
            return Err(error("watch is only supported on individual resources and resource collections"));
        };
        if !self.watch_only && target.name.is_none() {
            self.tables(session, targets).await?;
        }
        let fields = match &target.name {
            Some(name) => format!("metadata.name={name}"),
            None => self.field_selector.clone(),
        };
        let namespace = if self.all_namespaces { None } else { session.namespace_for(&target.resource) };
        let mut skip: std::collections::HashSet<String> = std::collections::HashSet::new();
        if target.name.is_none() {
            let list = session
                .objects
                .list(&target.resource, namespace, &self.selector)
                .await
                .map_err(kubectl_failure)?;
            skip = list.iter().map(|item| text(item, "/metadata/resourceVersion").to_owned()).collect();
        }
        let mut events = watch(&session.cluster.client, &target.resource, namespace, &self.selector, &fields);
        while let Some(event) = events.next().await {
            let (Event::Applied(object) | Event::Deleted(object)) = event.map_err(kubectl_failure)?;
            if skip.remove(text(&object, "/metadata/resourceVersion")) {
                continue;
            }
            self.changed(session, target, &object).await?;
        }
        Ok(Exit::Success)
    }

    async fn changed(&self, session: &Session, target: &Target, object: &Value) -> Result<(), Failure> {
        if !["", "wide"].contains(&self.output.as_str()) {
            return self.print(object);
        }
        let name = text(object, "/metadata/name");
        let namespace = Some(text(object, "/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        let path = with_query(target.resource.object(namespace, name), &[("includeObject", "Metadata")]);
        match session.objects.get_path(&path, Some(TABLE)).await {
            Ok(answer) => {
                let view = TableView::new(&answer, self.output == "wide", self.all_namespaces).with_labels(
                    &answer,
                    &self.label_columns,
                    self.show_labels,
                );
                output::data(&view.render(false));
            }
            Err(missing) if is_not_found(&missing) => output::line(&format!("{name}   deleted")),
            Err(other) => return Err(kubectl_failure(other)),
        }
        Ok(())
    }
}
