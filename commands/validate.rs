//! `validate`: checks manifests against the schemas and rules of their kinds, with no cluster.

use clap::Args;
use sagene_analysis::input::load;
use sagene_analysis::{Code, Input, Level, Message};

use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ValidateCommand {
    /// File, directory or - for stdin; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    filename: Vec<String>,
}

impl ValidateCommand {
    pub(crate) fn run(&self) -> Outcome {
        let mut failed = false;
        for path in &self.filename {
            for file in files::read(path, true)? {
                let mut input = Input::default();
                let unreadable = load(&mut input, &file.name, file.text, "default");
                let mut messages = sagene_analysis::analyze(&input);
                messages.retain(|it| matches!(it.code, Code::SchemaValidationError | Code::SchemaWarning));
                let errors: Vec<String> = unreadable
                    .iter()
                    .map(ToString::to_string)
                    .chain(
                        messages
                            .iter()
                            .filter(|it| it.level() == Level::Error)
                            .map(|it| sentence(it, &input)),
                    )
                    .collect();
                let warnings: Vec<String> = messages
                    .iter()
                    .filter(|it| it.level() != Level::Error)
                    .map(|it| sentence(it, &input))
                    .collect();
                failed |= !errors.is_empty();
                report(&file.name, &errors, &warnings);
            }
        }
        if failed { Err(Failure::new("validation failed")) } else { Ok(Exit::Success) }
    }
}

/// `VirtualService/default/x: … (file:line)`.
fn sentence(message: &Message, input: &Input) -> String {
    let object = &message.object;
    let place =
        input.location(message).map(|place| format!(" ({}:{})", place.file, place.line)).unwrap_or_default();
    format!("{}/{}/{}: {}{place}", object.kind, object.namespace, object.name, message.text)
}

/// All of it goes to stderr, as istioctl does.
fn report(file: &str, errors: &[String], warnings: &[String]) {
    for error in errors {
        output::progress(error);
    }
    if !warnings.is_empty() {
        output::progress(&format!("{file:?} has warnings:"));
        warnings.iter().for_each(|warning| output::progress(&format!("  {warning}")));
    } else if errors.is_empty() {
        output::progress(&if file == "-" {
            "validation succeed".to_owned()
        } else {
            format!("{file:?} is valid")
        });
    }
}
