//! What a guide is: steps to type, each with what it has to print, out of Markdown.

use std::path::{Path, PathBuf};

use crate::skip::skip;

/// When a guide runs, as its comment `<!-- cluster: … -->` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Beside others on one mesh; it keeps to namespaces of its own.
    Together,
    /// On the same mesh, but alone: it changes what concerns all (`alone`).
    Alone,
    /// It installs and removes a mesh itself (`own`).
    OwnCluster,
}

/// A guide.
#[derive(Debug)]
pub(crate) struct Guide {
    /// File name without `.md`.
    pub(crate) name: String,
    pub(crate) stage: Stage,
    /// Programs of the machine besides bash and curl, as its comment `<!-- needs: … -->` lists them.
    needs: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// One block to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where its first command stands, from 1.
    pub(crate) line: usize,
    pub(crate) commands: String,
    /// What it prints; without it, it has to succeed.
    pub(crate) expected: Option<String>,
}

/// Where the guides are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides")
}

/// Every guide, by name.
pub(crate) fn all() -> Result<Vec<Guide>, String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder()).map_err(|error| format!("docs/guides: {error}"))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".md").filter(|name| *name != "README").map(str::to_owned));
    }
    names.sort();
    let read = |name: String| {
        let path = folder().join(format!("{name}.md"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Guide::parse(&name, &text)
    };
    names.into_iter().map(read).collect()
}

impl Guide {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut guide =
            Self { name: name.to_owned(), stage: Stage::Together, needs: Vec::new(), steps: Vec::new() };
        let mut awaits_output = false;
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            if let Some(note) = line.trim().strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
                guide.note(note.trim()).map_err(|problem| format!("{name}.md:{}: {problem}", index + 1))?;
            }
            let Some(language) = line.trim_start().strip_prefix("```") else { continue };
            let indent = line.len() - line.trim_start().len();
            let mut block = String::new();
            let closed = lines.by_ref().find_map(|(_, line)| {
                if line.trim() == "```" {
                    return Some(());
                }
                block += line.get(indent..).unwrap_or_default();
                block.push('\n');
                None
            });
            closed.ok_or_else(|| format!("{name}.md:{}: the block is not closed", index + 1))?;
            match language.trim() {
                "sh" => {
                    guide.steps.push(Step { line: index + 2, commands: block, expected: None });
                    awaits_output = true;
                }
                "text" if awaits_output => {
                    if let Some(step) = guide.steps.last_mut() {
                        step.expected = Some(block);
                    }
                    awaits_output = false;
                }
                "yaml" | "json" | "text" => awaits_output = false,
                other => {
                    return Err(format!(
                        "{name}.md:{}: a block is sh, text, yaml or json, not {other:?}",
                        index + 1
                    ));
                }
            }
        }
        if guide.steps.is_empty() { Err(format!("{name}.md has nothing to type")) } else { Ok(guide) }
    }

    fn note(&mut self, note: &str) -> Result<(), String> {
        match note.split_once(':').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("cluster", "alone")) => self.stage = Stage::Alone,
            Some(("cluster", "own")) => self.stage = Stage::OwnCluster,
            Some(("cluster", other)) => return Err(format!("a cluster is alone or own, not {other:?}")),
            Some(("needs", programs)) => {
                self.needs
                    .extend(programs.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether this machine can run it; if not, that is noted.
    pub(crate) fn has_its_programs(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let here = |name: &String| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        let missing: Vec<&str> = self.needs.iter().filter(|name| !here(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            skip(&format!("guides::{}", self.name), &format!("no {}", missing.join(", ")));
        }
        missing.is_empty()
    }
}

#[test]
fn steps_are_read_with_their_lines_and_outputs() {
    let text = "# A\n<!-- cluster: alone -->\n\n```sh\necho a\n```\nIt prints:\n```text\na\n```\n\n1. Then\n   ```sh\n   true\n   ```\n```yaml\na: b\n```\n";
    let guide = Guide::parse("a", text).expect("a guide");
    assert_eq!(guide.stage, Stage::Alone);
    assert_eq!(
        guide.steps,
        [
            Step { line: 5, commands: "echo a\n".to_owned(), expected: Some("a\n".to_owned()) },
            Step { line: 14, commands: "true\n".to_owned(), expected: None },
        ]
    );
    assert!(
        Guide::parse("a", "```sh\necho").is_err_and(|problem| problem.contains("a.md:1: the block is not"))
    );
    assert!(Guide::parse("a", "```bash\n```").is_err_and(|problem| problem.contains("not \"bash\"")));
}
