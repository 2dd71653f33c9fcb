//! How objects are printed: `-o json|yaml|jsonpath|custom-columns|go-template` and their forms with files, and `--sort-by`.

use serde_json::{Value, json};

use super::go_template::{self, functions::printed};
use super::jsonpath;
use super::session::error;
use crate::exit::Failure;
use crate::output::{self, Table};

/// A format that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Printer {
    Json,
    Yaml,
    /// A template; with `true` the values are printed as a JSON list.
    Jsonpath(String, bool),
    /// Titles and paths.
    Columns(Vec<(String, String)>),
    Template(String),
}

const FORMATS: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml";

impl Printer {
    /// Reads `-o` and `--template`.
    pub(super) fn new(output: &str, template: Option<&str>) -> Result<Self, Failure> {
        let (format, argument) = match output.split_once('=') {
            Some((format, argument)) => (format, Some(argument.to_owned())),
            None => (output, None),
        };
        let needed = |what: &str| {
            let given = argument.clone().or_else(|| template.map(str::to_owned));
            given
                .filter(|text| !text.is_empty())
                .ok_or_else(|| error(format!("{format} format specified but no {what} given")))
        };
        let file = |what: &str| -> Result<String, Failure> {
            let path = needed(what)?;
            std::fs::read_to_string(&path)
                .map_err(|problem| error(format!("error reading {path}: {problem}")))
        };
        match format {
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "jsonpath" => Ok(Self::Jsonpath(needed("template")?, false)),
            "jsonpath-as-json" => Ok(Self::Jsonpath(needed("template")?, true)),
            "jsonpath-file" => Ok(Self::Jsonpath(file("template")?, false)),
            "go-template" | "template" => Ok(Self::Template(needed("template")?)),
            "go-template-file" | "templatefile" => Ok(Self::Template(file("template")?)),
            "custom-columns" => columns(&needed("custom columns")?).map(Self::Columns),
            "custom-columns-file" => columns_of_file(&file("custom columns")?).map(Self::Columns),
            _ => Err(error(format!(
                "unable to match a printer suitable for the output format \"{output}\", allowed formats are: {FORMATS}"
            ))),
        }
    }

    /// The text of an object or of a list.
    pub(super) fn render(&self, document: &Value, header: bool) -> Result<String, Failure> {
        match self {
            Self::Json => output::to_json(document),
            Self::Yaml => output::to_yaml(document),
            Self::Jsonpath(template, false) => jsonpath::render(template, document).map_err(error),
            Self::Jsonpath(template, true) => {
                let values = jsonpath::values(template, document).map_err(error)?;
                output::to_json(&json!(values))
            }
            Self::Template(template) => go_template::render(template, document).map_err(error),
            Self::Columns(columns) => table(columns, document, header),
        }
    }
}

fn columns(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let column = |part: &str| {
        let pair = part.split_once(':').filter(|(title, path)| !title.is_empty() && !path.is_empty());
        pair.map(|(title, path)| (title.to_owned(), path.to_owned())).ok_or_else(|| {
            error(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"))
        })
    };
    text.split(',').map(column).collect()
}

/// Titles in the first line, paths in the second.
fn columns_of_file(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut lines = text.lines();
    let (titles, paths) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (titles, paths): (Vec<&str>, Vec<&str>) =
        (titles.split_whitespace().collect(), paths.split_whitespace().collect());
    if titles.is_empty() || titles.len() != paths.len() {
        let (titles, paths) = (titles.len(), paths.len());
        return Err(error(format!(
            "number of headers ({titles}) and field specifications ({paths}) don't match"
        )));
    }
    Ok(titles.into_iter().map(str::to_owned).zip(paths.into_iter().map(str::to_owned)).collect())
}

fn table(columns: &[(String, String)], document: &Value, header: bool) -> Result<String, Failure> {
    let items = match document.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().collect(),
        None => vec![document],
    };
    let mut table = Table::new(columns.iter().map(|(title, _)| title.clone()), 3);
    for item in items {
        let cells = columns.iter().map(|(_, path)| {
            let values = jsonpath::values(path, item).unwrap_or_default();
            let texts: Vec<String> = values.into_iter().filter(|it| !it.is_null()).map(printed).collect();
            if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") }
        });
        table.row(cells.collect::<Vec<_>>());
    }
    Ok(if header { table.render() } else { table.without_header().render() })
}

/// Orders items by a field of what stands at `below` in each: numbers by size, everything else as text, missing fields first.
pub(super) fn sort(items: &mut [Value], below: &str, field: &str) -> Result<(), Failure> {
    jsonpath::values(field, &Value::Null).map_err(error)?;
    let key = |item: &Value| {
        let object = item.pointer(below).unwrap_or(&Value::Null);
        let value = jsonpath::values(field, object).ok().and_then(|found| found.first().copied().cloned());
        value.unwrap_or(Value::Null)
    };
    items.sort_by(|left, right| {
        let (left, right) = (key(left), key(right));
        match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            _ => {
                let text = |value: &Value| if value.is_null() { String::new() } else { printed(value) };
                text(&left).cmp(&text(&right))
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_by_path() {
        let document = json!({"items": [
            {"metadata": {"name": "a", "labels": {"app": "x"}}, "spec": {"containers": [{"image": "i"}, {"image": "j"}]}},
            {"metadata": {"name": "b"}}]});
        let show = |columns: &str| {
            Printer::new(&format!("custom-columns={columns}"), None)
                .expect("a format")
                .render(&document, true)
                .expect("text")
        };
        assert_eq!(
            show("NAME:.metadata.name,IMAGES:spec.containers[*].image,LABELS:{.metadata.labels}"),
            "NAME   IMAGES   LABELS\na      i,j      map[app:x]\nb      <none>   <none>\n"
        );
        for (output, problem) in [
            ("custom-columns=NAME", "expected <header>:<json-path-expr>"),
            ("jsonpath", "jsonpath format specified but no template given"),
            ("xml", "allowed formats are"),
        ] {
            let refused = Printer::new(output, None).expect_err(output);
            assert!(refused.error.to_string().contains(problem), "{output}");
        }
    }

    #[test]
    fn items_are_ordered_by_a_field() {
        let mut items = vec![json!({"n": 10, "t": "b"}), json!({"n": 9, "t": "c"}), json!({"t": "a"})];
        sort(&mut items, "", ".t").expect("sorted");
        assert_eq!(items[0]["t"], "a");
        sort(&mut items, "", "{.n}").expect("sorted");
        assert_eq!(items[2]["n"], 10);
    }
}
