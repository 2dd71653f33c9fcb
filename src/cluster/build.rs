//! Reads the shapes of the built-in Kubernetes kinds (field names, types, merge keys, descriptions) out of the `k8s-openapi`
//! crate's generated source and writes them as one small table, so that validation, patches, server-side apply and
//! `kubectl explain` follow the published API without a hand-kept copy.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Version folder of `k8s-openapi` that the workspace enables.
const KUBERNETES: &str = "v1_34";
/// Folders below it whose types are served.
const FOLDERS: &[&str] = &[
    "api/admissionregistration/v1",
    "api/apps/v1",
    "api/authentication/v1",
    "api/authorization/v1",
    "api/autoscaling/v1",
    "api/autoscaling/v2",
    "api/batch/v1",
    "api/coordination/v1",
    "api/core/v1",
    "api/discovery/v1",
    "api/events/v1",
    "api/networking/v1",
    "api/policy/v1",
    "api/rbac/v1",
    "api/scheduling/v1",
    "api/storage/v1",
    "apiextensions_apiserver/pkg/apis/apiextensions/v1",
    "apimachinery/pkg/apis/meta/v1",
    "kube_aggregator/pkg/apis/apiregistration/v1",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let crate_folder = sagene_sources::folder_of("k8s-openapi")
        .unwrap_or_else(|error| panic!("the source of k8s-openapi: {error}"));
    let root = crate_folder.join("src").join(KUBERNETES);
    let mut table = String::new();
    for folder in FOLDERS {
        let mut files: Vec<PathBuf> = fs::read_dir(root.join(folder))
            .unwrap_or_else(|error| panic!("k8s-openapi has no folder {folder}: {error}"))
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .collect();
        files.sort();
        for file in files {
            let text =
                fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            describe(&text, &folder.replace('/', "."), &mut table);
        }
    }
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("kubernetes.schema");
    fs::write(&out, table).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// Writes `T name group version kind doc` and one `F json-name type merge required doc` per field, tab-separated.
fn describe(text: &str, folder: &str, table: &mut String) {
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.starts_with("pub struct ") && line.ends_with('{'))
    else {
        return;
    };
    let Some(name) = lines[at].split_whitespace().nth(2) else { return };
    if name.contains('<') {
        return;
    }
    let json_names = json_names(&lines);
    let merges = merges(&lines);
    let constant = |key: &str| {
        let line = lines.iter().find(|line| line.trim_start().starts_with(&format!("const {key}: ")))?;
        line.split('"').nth(1)
    };
    let docs = documentation_before(&lines, at);
    let (group, version, kind) = (constant("GROUP"), constant("VERSION"), constant("KIND"));
    let _ = writeln!(
        table,
        "T\t{folder}.{name}\t{}\t{}\t{}\t{docs}",
        group.unwrap_or(""),
        version.unwrap_or(""),
        kind.unwrap_or("")
    );
    for (offset, line) in lines[at + 1..].iter().enumerate() {
        if *line == "}" {
            break;
        }
        let Some((field, rust_type)) =
            line.trim().strip_prefix("pub ").and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let rust_type = rust_type.trim_end_matches(',');
        let optional = rust_type.strip_prefix("Option<").and_then(|inner| inner.strip_suffix('>'));
        let field = field.trim_start_matches("r#");
        let json = json_names.get(field).map_or_else(|| field.to_owned(), Clone::clone);
        let merge = merges.get(field).map_or("", String::as_str);
        let docs = documentation_before(&lines, at + 1 + offset);
        let _ = writeln!(
            table,
            "F\t{json}\t{}\t{merge}\t{}\t{docs}",
            encode(optional.unwrap_or(rust_type)),
            u8::from(optional.is_none())
        );
    }
}

/// The `///` lines right above a line, as one line with `\n` escapes.
fn documentation_before(lines: &[&str], at: usize) -> String {
    let mut docs: Vec<&str> = Vec::new();
    for line in lines[..at].iter().rev().map(|line| line.trim()) {
        match line.strip_prefix("///") {
            Some(text) => docs.push(text.strip_prefix(' ').unwrap_or(text)),
            None if line.starts_with("#[") => {}
            None => break,
        }
    }
    docs.reverse();
    docs.join("\\n").replace("\\[", "[").replace("\\]", "]").replace('\t', " ")
}

/// Rust field name to JSON name, from the generated `"jsonName" => Field::Key_rust_name` arms.
fn json_names(lines: &[&str]) -> HashMap<String, String> {
    let arms = lines.iter().filter_map(|line| line.trim().split_once(" => Field::Key_"));
    arms.map(|(json, rust)| (rust.trim_end_matches(',').to_owned(), json.trim_matches('"').to_owned()))
        .collect()
}

/// How each field is merged, from the generated `DeepMerge`: `a` atomic list, `s` set, `m:key,key` list-map, `A` atomic map.
fn merges(lines: &[&str]) -> HashMap<String, String> {
    let json_name = |rust: &str| {
        rust.trim_end_matches('_')
            .split('_')
            .enumerate()
            .map(|(at, word)| camel(at, word))
            .collect::<String>()
    };
    let mut found = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(call) = line.trim().strip_prefix("crate::merge_strategies::") else { continue };
        let (strategy, rest) = call.split_once('(').unwrap_or((call, ""));
        let field_text = if rest.is_empty() { lines.get(at + 1).copied().unwrap_or("") } else { rest };
        let Some(field) =
            field_text.split("self.").nth(1).map(|field| field.split([',', ')']).next().unwrap_or(""))
        else {
            continue;
        };
        let code = match strategy {
            "list::atomic" => "a".to_owned(),
            "list::set" => "s".to_owned(),
            "map::atomic" => "A".to_owned(),
            "list::map" => {
                let keys = lines.get(at + 3).copied().unwrap_or("");
                let keys: Vec<String> = keys
                    .split("lhs.")
                    .skip(1)
                    .filter_map(|part| part.split(" ==").next())
                    .map(json_name)
                    .collect();
                format!("m:{}", keys.join(","))
            }
            _ => continue,
        };
        found.insert(field.trim_start_matches("r#").to_owned(), code);
    }
    found
}

fn camel(at: usize, word: &str) -> String {
    let mut letters = word.chars();
    match (at, word, letters.next()) {
        (0, _, _) | (_, _, None) => word.to_owned(),
        (_, "ip", _) => "IP".to_owned(),
        (_, _, Some(first)) => first.to_uppercase().chain(letters).collect(),
    }
}

/// A Rust type of the generated source in the table's short form.
fn encode(rust_type: &str) -> String {
    let inside = |prefix: &str| rust_type.strip_prefix(prefix).and_then(|inner| inner.strip_suffix('>'));
    if let Some(item) = inside("std::vec::Vec<") {
        return format!("[{}", encode(item));
    }
    if let Some(value) = inside("std::collections::BTreeMap<std::string::String, ") {
        return format!("{{{}", encode(value));
    }
    if let Some(boxed) = inside("std::boxed::Box<") {
        return encode(boxed);
    }
    match rust_type {
        "std::string::String" => "s".to_owned(),
        "i32" => "i".to_owned(),
        "i64" => "l".to_owned(),
        "f64" => "f".to_owned(),
        "bool" => "b".to_owned(),
        "crate::ByteString" => "y".to_owned(),
        other => encode_named(other),
    }
}

fn encode_named(path: &str) -> String {
    let last = path.rsplit("::").next().unwrap_or(path);
    match last {
        "Time" => "t".to_owned(),
        "MicroTime" => "u".to_owned(),
        "Quantity" => "q".to_owned(),
        "IntOrString" => "o".to_owned(),
        "Value"
        | "RawExtension"
        | "JSON"
        | "FieldsV1"
        | "JSONSchemaPropsOrArray"
        | "JSONSchemaPropsOrBool"
        | "JSONSchemaPropsOrStringArray"
        | "CustomResourceSubresourceStatus" => "j".to_owned(),
        _ => format!("#{}", path.trim_start_matches("crate::").replace("::", ".")),
    }
}
