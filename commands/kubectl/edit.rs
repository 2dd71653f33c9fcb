//! `kubectl edit`: an object in the user's editor, and back.

use std::path::Path;

use clap::Args;
use serde_json::Value;

use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::kubectl_failure;
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Edit {
    /// Type/name, or type and names
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    #[command(flatten)]
    selection: Selection,
}

const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n\
    # and an empty file will abort the edit.\n#\n";

impl Edit {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        for found in target::find(session, &self.arguments, &self.selection, false).await? {
            one(session, found).await?;
        }
        Ok(Exit::Success)
    }
}

async fn one(session: &Session, mut found: Found) -> Result<(), Failure> {
    if let Some(metadata) = found.object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let before = format!("{HEAD}{}", output::to_yaml(&found.object)?);
    let name = format!("sagene-edit-{}-{}.yaml", std::process::id(), found.name());
    let path = std::env::temp_dir().join(name);
    let after = edited(&path, &before);
    let _gone = std::fs::remove_file(&path);
    let after = after?;
    let is_empty = after.lines().all(|line| line.trim().is_empty() || line.starts_with('#'));
    if is_empty || after == before {
        output::progress("Edit cancelled, no changes made.");
        return Ok(());
    }
    let object: Value = sagene_api::yaml::value(&after)
        .map_err(|problem| error(format!("the edited file does not parse: {problem}")))?;
    session.objects.replace(&found.resource, &object).await.map_err(kubectl_failure)?;
    output::line(&format!("{} edited", found.title()));
    Ok(())
}

/// The text as the editor leaves it. `KUBE_EDITOR`, else `EDITOR`, else vi; either may have arguments.
fn edited(path: &Path, text: &str) -> Result<String, Failure> {
    write_private(path, text)?;
    let named = ["KUBE_EDITOR", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|it| !it.trim().is_empty()));
    let editor = named.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = std::process::Command::new(program).args(words).arg(path).status().map_err(|problem| {
        error(format!("unable to launch the editor \"{editor}\": {problem}"))
            .hint("KUBE_EDITOR or EDITOR names the editor")
    })?;
    if !status.success() {
        return Err(error(format!("there was a problem with the editor \"{editor}\"")));
    }
    Ok(std::fs::read_to_string(path)?)
}

/// Objects may be secrets: nobody else reads the file.
fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
