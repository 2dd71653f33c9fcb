//! `explain`: the page of a message, with no network.

use clap::Args;
use sagene_analysis::{Code, explain, near};

use crate::exit::{Exit, Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ExplainCommand {
    /// Codes of messages, such as IST0101; without any, all are listed
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
}

impl ExplainCommand {
    pub(crate) fn run(&self) -> Outcome {
        if self.codes.is_empty() {
            list();
            return Ok(Exit::Success);
        }
        for (index, text) in self.codes.iter().enumerate() {
            let code = find(text)?;
            let page = format!(
                "# {} {} ({})\n\n{}\n",
                code.id(),
                code.name(),
                code.level().name(),
                explain::page(code).trim_end()
            );
            let between = if index == 0 { "" } else { "\n" };
            output::data(&format!("{between}{}", styled(&page)));
        }
        Ok(Exit::Success)
    }
}

fn list() {
    for code in Code::ALL {
        output::line(&format!("{}  {:<7}  {}", code.id(), code.level().name(), code.name()));
    }
}

/// A code by its id or its name, in any case.
fn find(text: &str) -> Result<Code, Failure> {
    let by_name = |code: &&Code| code.name().eq_ignore_ascii_case(text);
    if let Some(code) = Code::parse(text).or_else(|| Code::ALL.iter().find(by_name).copied()) {
        return Ok(code);
    }
    let words: Vec<&str> = Code::ALL.iter().flat_map(|code| [code.id(), code.name()]).collect();
    let near: Vec<&str> = near::near(text, &words).into_iter().take(5).collect();
    let failure = Failure::usage(format!("no message has the code {text:?}"));
    Err(if near.is_empty() {
        failure.hint("sagene explain lists all codes")
    } else {
        failure.hint(format!("did you mean {}?", near.join(", ")))
    })
}

/// Headlines and code in colors, where colors are wanted.
fn styled(page: &str) -> String {
    use colored::Colorize;
    let mut in_code = false;
    let mut text = String::new();
    for line in page.lines() {
        let is_fence = line.starts_with("```");
        let styled = if line.starts_with('#') && !in_code {
            line.bold().to_string()
        } else if in_code && !is_fence {
            line.cyan().to_string()
        } else {
            line.to_owned()
        };
        in_code ^= is_fence;
        text.push_str(&styled);
        text.push('\n');
    }
    text
}
