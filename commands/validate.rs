//! `validate`: checks manifests against the schemas and rules of their kinds, with no cluster.

mod operator;

use clap::Args;
use sagene_analysis::input::{LoadError, load_bytes};
use sagene_analysis::{Input, Level, Message, ObjectRef};

use crate::analyze::sources;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ValidateCommand {
    /// File, directory or - for stdin; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true, value_delimiter = ',')]
    filename: Vec<String>,
}

impl ValidateCommand {
    pub(crate) fn run(&self) -> Outcome {
        let mut failed = 0;
        for path in &self.filename {
            let files = sources::files(path)?.files;
            if files.is_empty() {
                return Err(Failure::new(format!("{path} holds no .json, .yaml or .yml file")));
            }
            for file in files {
                let findings = Findings::of(&file, sources::read(&file)?);
                findings.report(&file);
                failed += findings.errors.len();
            }
        }
        match failed {
            0 => Ok(Exit::Success),
            1 => Err(Failure::new("validation failed: 1 error")),
            many => Err(Failure::new(format!("validation failed: {many} errors"))),
        }
    }
}

/// Fails with the first rule that `text`, read from `name`, breaks; warnings pass.
pub(crate) fn refuse_errors(name: &str, text: Vec<u8>) -> Result<(), Failure> {
    let mut errors = Findings::of(name, text).errors.into_iter();
    let Some(first) = errors.next() else { return Ok(()) };
    Err(errors.fold(Failure::new(first), |failure, error| failure.hint(format!("also: {error}"))))
}

/// What a file breaks, line by line.
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn of(name: &str, text: Vec<u8>) -> Self {
        let mut input = Input::default();
        let mut errors: Vec<String> =
            load_bytes(&mut input, name, text, "default").iter().map(LoadError::to_string).collect();
        let mut warnings = Vec::new();
        for message in sagene_analysis::validate(&input) {
            let into = if message.level() == Level::Error { &mut errors } else { &mut warnings };
            into.push(sentence(&message, &input));
        }
        for finding in operator::findings(&input) {
            let into = if finding.is_error { &mut errors } else { &mut warnings };
            into.push(finding.text);
        }
        Self { errors, warnings }
    }

    /// All of it goes to stderr, as istioctl does.
    fn report(&self, file: &str) {
        self.errors.iter().for_each(|error| output::progress(error));
        if !self.warnings.is_empty() {
            output::progress(&format!("{file:?} has warnings:"));
            self.warnings.iter().for_each(|warning| output::progress(&format!("  {warning}")));
        } else if self.errors.is_empty() {
            output::progress(&if file == "-" {
                "validation succeed".to_owned()
            } else {
                format!("{file:?} is valid")
            });
        }
    }
}

/// `file:line:column: Kind/namespace/name: field: message`.
fn sentence(message: &Message, input: &Input) -> String {
    let place = input
        .location(message)
        .map(|place| format!("{}:{}:{}: ", place.file, place.line, place.column))
        .unwrap_or_default();
    let text = ["Schema validation error: ", "Schema validation warning: "]
        .iter()
        .find_map(|prefix| message.text.strip_prefix(prefix))
        .unwrap_or(&message.text);
    format!("{place}{}: {text}", named(&message.object))
}

fn named(object: &ObjectRef) -> String {
    [&*object.kind, &object.namespace, &object.name]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_file_place_object_and_field() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: Gateway\n  metadata: {name: g}\n  spec:\n    servrs: []\n---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {profle: demo}\n---\na: [\n";
        let found = Findings::of("f.yaml", text.into());
        assert_eq!(found.errors.len(), 4, "{:#?}", found.errors);
        assert!(found.errors[0].starts_with("f.yaml:1"), "{:#?}", found.errors);
        assert!(
            found.errors.contains(&"f.yaml:8:5: Gateway/default/g: spec.servrs: unknown field \"servrs\"; did you mean \"servers\"?".to_owned()),
            "{:#?}",
            found.errors
        );
        assert!(
            found.errors[3].contains("IstioOperator: unknown setting")
                && found.errors[3].contains("did you mean \"profile\""),
            "{:#?}",
            found.errors
        );
        let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {name: o}\nspec:\n  meshConfig:\n    connectTimeout: 40h\n  values:\n    globl: {}\n";
        assert_eq!(
            Findings::of("o.yaml", operator.into())
                .errors
                .iter()
                .map(|it| it.split(": ").take(3).collect::<Vec<_>>().join(": "))
                .collect::<Vec<_>>(),
            [
                "o.yaml:6:21: IstioOperator/o: meshConfig.connectTimeout",
                "o.yaml:8:5: IstioOperator/o: unknown setting \"values.globl\" (did you mean \"values.global\"?)"
            ]
        );
        let types = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  components:\n    pilot:\n      enabled: \"true\"\n      k8s:\n        replicaCount: two\n";
        let found = Findings::of("t.yaml", types.into()).errors;
        assert!(
            found.len() == 2
                && found[0].starts_with(
                    "t.yaml:6:16: IstioOperator: components.pilot.enabled: must be true or false"
                )
                && found[1].starts_with("t.yaml:8:23: IstioOperator: components.pilot.k8s.replicaCount: "),
            "{found:#?}"
        );
        let several = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  profile: demoo\n  values:\n    globl: {}\n  components:\n    pilot:\n      enabled: \"true\"\n";
        let mut found = Findings::of("s.yaml", several.into()).errors;
        found.sort();
        let places: Vec<&str> = found.iter().filter_map(|it| it.split(": ").next()).collect();
        assert_eq!(places, ["s.yaml:4:12", "s.yaml:6:5", "s.yaml:9:16"], "{found:#?}");
        let fine = Findings::of(
            "f.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, name: http}]}\n"
                .into(),
        );
        assert!(fine.errors.is_empty() && fine.warnings.is_empty());
    }
}
