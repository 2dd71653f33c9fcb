//! Reading YAML and JSON from files, directories and stdin.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::exit::Failure;

/// One input, read but not yet parsed.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// For messages: the path as given, or `-`.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Reads a path: a file, a directory (its manifests, below it too when `recursive`), or `-` for stdin.
pub(crate) fn read(path: &str, recursive: bool) -> Result<Vec<Input>, Failure> {
    if path == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
        return Ok(vec![Input { name: "-".into(), text }]);
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err(Failure::new(format!("{path}: reading manifests from URLs is not supported"))
            .hint(format!("curl -sL {path} | sagene kubectl apply -f -")));
    }
    let location = Path::new(path);
    if !location.exists() {
        return Err(Failure::new(format!("the path \"{path}\" does not exist")));
    }
    let mut inputs = Vec::new();
    if location.is_dir() {
        collect(location, recursive, &mut inputs)?;
        if inputs.is_empty() {
            return Err(Failure::new(format!(
                "error reading [{path}]: recognized file extensions are [.json .yaml .yml]"
            )));
        }
    } else {
        inputs.push(file(location)?);
    }
    Ok(inputs)
}

fn collect(directory: &Path, recursive: bool, inputs: &mut Vec<Input>) -> Result<(), Failure> {
    let listing =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut entries: Vec<_> = listing.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            if recursive {
                collect(&path, true, inputs)?;
            }
        } else if path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|it| EXTENSIONS.contains(&it))
        {
            inputs.push(file(&path)?);
        }
    }
    Ok(())
}

fn file(path: &Path) -> Result<Input, Failure> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Input { name: path.display().to_string(), text })
}

/// Splits into documents; `List` objects become their items, empty documents vanish.
pub(crate) fn documents(input: &Input) -> Result<Vec<Value>, Failure> {
    let mut objects = Vec::new();
    let documents = sagene_api::yaml::documents(&input.text).map_err(|error| {
        Failure::new(format!("error parsing {}: error converting YAML to JSON: yaml: {error}", input.name))
    })?;
    documents.into_iter().for_each(|document| flatten(document, &mut objects));
    Ok(objects)
}

fn flatten(value: Value, objects: &mut Vec<Value>) {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match value {
        Value::Null => {}
        Value::Object(mut map) if is_list && map.get("items").is_some_and(Value::is_array) => {
            if let Some(Value::Array(items)) = map.remove("items") {
                objects.extend(items);
            }
        }
        other => objects.push(other),
    }
}
