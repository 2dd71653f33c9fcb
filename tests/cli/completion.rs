//! The completion files, in the shells they are for.

use std::path::Path;
use std::process::Command;

use crate::program::finish;

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../completions");

fn in_shell(shell: &str, script: &str) -> Option<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_sagene")).parent().expect("its folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    command.env("PATH", path).arg("-c").arg(script);
    Command::new(shell).arg("-c").arg("true").output().ok()?;
    let output = finish(command, "");
    assert_eq!(output.code, 0, "{output:?}");
    Some(output.stdout)
}

#[test]
fn bash_completes_commands_and_views() {
    let script = format!(
        "source {FILES}/sagene.bash\n\
         COMP_WORDS=(sagene proxy-c); COMP_CWORD=1; _sagene sagene proxy-c sagene; echo \"${{COMPREPLY[@]}}\"\n\
         COMP_WORDS=(sagene proxy-config ro); COMP_CWORD=2; _sagene sagene ro proxy-config; echo \"${{COMPREPLY[@]}}\""
    );
    let Some(completed) = in_shell("bash", &script) else {
        return crate::skip::skip("completion::bash", "no bash");
    };
    let lines: Vec<&str> = completed.lines().collect();
    assert_eq!(lines.first(), Some(&"proxy-config"), "{completed}");
    assert!(
        lines.get(1).is_some_and(|views| views.split(' ').any(|view| view.starts_with("route"))),
        "{completed}"
    );
}

#[test]
fn the_other_shells_accept_their_files() {
    for (shell, script) in [
        ("zsh", format!("autoload -U compinit; compinit -D; source {FILES}/_sagene; whence _sagene")),
        ("fish", format!("source {FILES}/sagene.fish; complete -C 'sagene proxy-c'")),
    ] {
        match in_shell(shell, &script) {
            Some(said) => assert!(!said.trim().is_empty(), "{shell} knows nothing of sagene"),
            None => crate::skip::skip(&format!("completion::{shell}"), &format!("no {shell}")),
        }
    }
}
