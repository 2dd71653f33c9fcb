//! What is wrong with an IstioOperator: its settings of the mesh break the rules of MeshConfig, or `install` would refuse it.

use sagene_analysis::input::{Document, locate};
use sagene_analysis::validation::{Severity, mesh_config};
use sagene_analysis::{FieldPath, Input, ObjectRef};
use sagene_manifest::profile::{self, InstallRequest, ProfileError, SourceFile};

use super::named;

/// A broken rule of an IstioOperator.
pub(super) struct Finding {
    /// `file:line:column: IstioOperator/namespace/name: field: message`.
    pub(super) text: String,
    /// Whether it is one that `install` would refuse.
    pub(super) is_error: bool,
}

/// What is wrong with the IstioOperators among the documents.
pub(super) fn findings(input: &Input) -> Vec<Finding> {
    let operators = input.sources.iter().filter(|(object, _)| object.kind == "IstioOperator");
    operators.flat_map(|(object, document)| of_operator(input, object, document)).collect()
}

fn of_operator(input: &Input, object: &ObjectRef, document: &Document) -> Vec<Finding> {
    let spec = FieldPath::parse("spec");
    let mesh = FieldPath::parse("meshConfig");
    let written = input.untyped.get(object).and_then(|operator| operator.pointer("/spec/meshConfig"));
    let problems = written.map(mesh_config::problems).unwrap_or_default();
    let mut findings: Vec<Finding> = problems
        .iter()
        .map(|problem| {
            let path = problem.path.below(&mesh);
            Finding {
                text: sentence(object, document, &path.below(&spec), &format!("{path}: {}", problem.message)),
                is_error: problem.severity == Severity::Error,
            }
        })
        .collect();
    let is_told = findings.iter().any(|finding| finding.is_error);
    for (path, words) in refusals(document) {
        // The rules of MeshConfig tell of the same setting in more words.
        if !(is_told && path.within(&mesh).is_some()) {
            let text = sentence(object, document, &path.below(&spec), &words);
            findings.push(Finding { text, is_error: true });
        }
    }
    findings
}

fn sentence(object: &ObjectRef, document: &Document, path: &FieldPath, words: &str) -> String {
    let place = locate(document, path);
    format!("{}:{}:{}: {}: {words}", place.file, place.line, place.column, named(object))
}

/// Why `install` would refuse it: the settings below `spec`, and what is wrong with each.
fn refusals(document: &Document) -> Vec<(FieldPath, String)> {
    let source = SourceFile { name: document.file.name.to_string(), text: document.text().to_owned() };
    let request =
        InstallRequest { files: vec![source], default_tag: "0".to_owned(), ..InstallRequest::default() };
    profile::refusals(&request).iter().flat_map(|error| of_error(document, error)).collect()
}

fn of_error(document: &Document, error: &ProfileError) -> Vec<(FieldPath, String)> {
    let settings = error.settings();
    if settings.is_empty() {
        let words = sagene_base::task::error_chain(error);
        let words = words.strip_prefix(&format!("{}: ", document.file.name)).unwrap_or(&words).to_owned();
        return vec![(FieldPath::default(), words)];
    }
    settings.into_iter().map(|(path, words)| (FieldPath::parse(&path), words)).collect()
}
