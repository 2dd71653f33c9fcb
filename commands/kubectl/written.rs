//! What is printed of an object that was written: the object or its name, where `-o` asks for it, else a sentence.

use serde_json::Value;

use crate::exit::Failure;
use crate::output;

/// Prints it. `title` is `TYPE/NAME`; the sentence begins with it and goes on with `what`.
pub(super) fn tell(format: Option<&str>, object: &Value, title: &str, what: &str) -> Result<(), Failure> {
    match format {
        Some("json") => output::data(&output::to_json(object)?),
        Some("yaml") => output::data(&output::to_yaml(object)?),
        Some(_) => output::line(title),
        None => output::line(&format!("{title} {what}")),
    }
    Ok(())
}

/// Ends the sentence where nothing was kept.
pub(super) fn dry_run(mode: &str) -> &'static str {
    match mode {
        "client" => " (dry run)",
        "server" => " (server dry run)",
        _ => "",
    }
}
