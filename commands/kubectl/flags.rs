//! `--flag=true` and `--flag=false` for flags that are on or off: kubectl takes a value for every one of them.

use std::ffi::OsString;

use clap::{ArgAction, Command};

use crate::cli;

/// `--request-timeout`: a number is of seconds.
pub(super) fn timeout(text: &str) -> Result<std::time::Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(std::time::Duration::from_secs(seconds.into())),
        Err(_) => cli::duration(text),
    }
}

/// The same arguments with plain flags: `--all=true` is `--all`, `--all=false` is nothing. What stands behind `--` stays as it is.
pub(super) fn plain(grammar: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut command = grammar;
    let mut plain = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    for argument in arguments.by_ref() {
        let Some(text) = argument.to_str() else {
            plain.push(argument);
            continue;
        };
        if text == "--" {
            plain.push(argument);
            break;
        }
        if let Some(inner) = command.find_subcommand(text) {
            command = inner;
        }
        match text.strip_prefix("--").and_then(|flag| flag.split_once('=')) {
            Some((name, value @ ("true" | "false"))) if is_switch(grammar, command, name) => {
                if value == "true" {
                    plain.push(format!("--{name}").into());
                }
            }
            _ => plain.push(argument),
        }
    }
    plain.extend(arguments);
    plain
}

fn is_switch(grammar: &Command, command: &Command, name: &str) -> bool {
    let of = |command: &Command| {
        command.get_arguments().any(|argument| {
            // Some take a value themselves.
            let takes_none = argument.get_num_args().is_none_or(|count| count.max_values() == 0);
            argument.get_long() == Some(name)
                && takes_none
                && matches!(argument.get_action(), ArgAction::SetTrue)
        })
    };
    of(command) || of(grammar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_lose_their_values() {
        let grammar = crate::kubectl::grammar();
        let arguments = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (given, wanted) in [
            ("get pods --no-headers=true -A", "get pods --no-headers -A"),
            ("get pods --show-labels=false", "get pods"),
            ("logs x --all-containers=true --since=1m", "logs x --all-containers --since=1m"),
            ("delete pod x --wait=false", "delete pod x --wait=false"),
            ("exec x --stdin=true -- a --all=true", "exec x --stdin -- a --all=true"),
        ] {
            assert_eq!(plain(&grammar, arguments(given)), arguments(wanted), "{given}");
        }
    }
}
