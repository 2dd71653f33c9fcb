//! `analyze`: findings about a cluster, about files, or about files as if they were applied to the cluster.

mod live;
mod report;

use clap::Args;
use sagene_analysis::filter::{Filter, Suppression, reaches};
use sagene_analysis::input::load;
use sagene_analysis::{Code, Input, Level, Message, checks};

use sagene_model::Kind;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::output;
use report::{Finding, Format};

#[derive(Debug, Args)]
pub(crate) struct AnalyzeCommand {
    /// Files, directories, or - for stdin; without any, the cluster alone
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Look at the cluster too; --use-kube=false looks at files alone
    #[arg(short = 'k', long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    use_kube: bool,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Format: log, json, yaml
    #[arg(short, long, default_value = "log")]
    output: Format,
    /// Least level to print: Info, Warning, Error
    #[arg(long, value_name = "LEVEL", default_value = "Info", value_parser = level)]
    output_threshold: Level,
    /// Least level that makes the command fail: Info, Warning, Error
    #[arg(long, value_name = "LEVEL", default_value = "Error", value_parser = level)]
    failure_threshold: Level,
    /// Finding to leave out, CODE=RESOURCE with * for any text; may be repeated
    #[arg(short = 'S', long, value_name = "CODE=RESOURCE")]
    suppress: Vec<String>,
    /// Run only this analyzer; may be repeated
    #[arg(long, value_name = "NAME")]
    analyzer: Vec<String>,
    /// List the analyzers
    #[arg(short = 'L', long)]
    list_analyzers: bool,
    /// Mesh configuration from this file
    #[arg(long = "meshConfigFile", value_name = "FILE")]
    mesh_config_file: Option<String>,
    /// Files that cannot be read do not make the command fail
    #[arg(long)]
    ignore_unknown: bool,
    /// Directories are always read with their subdirectories
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
    /// Say which analyzers ran
    #[arg(short, long)]
    verbose: bool,
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| format!("{text:?} is not one of Info, Warning, Error"))
}

impl AnalyzeCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if self.list_analyzers {
            for check in checks::ALL {
                output::line(&format!("* {}:\n    {}", check.name, check.description));
            }
            return Ok(Exit::Success);
        }
        let filter = self.filter()?;
        crate::runtime::block_on(self.analyze(context, filter))
    }

    /// Suppressions and analyzer names; a name that nothing has is an error, not a reason to run everything.
    fn filter(&self) -> Result<Filter, Failure> {
        let mut suppressions = Vec::new();
        for text in &self.suppress {
            suppressions.push(
                Suppression::parse(text).map_err(|error| Failure::usage(format!("--suppress {error}")))?,
            );
            let code = text.split('=').next().unwrap_or_default();
            if code != "*" && Code::parse(code).is_none() {
                output::progress(&format!(
                    "Warning: Supplied message code '{code}' is an unknown message code and will not have any effect."
                ));
            }
        }
        for name in &self.analyzer {
            if !checks::ALL.iter().any(|check| check.name == name) {
                return Err(Failure::usage(format!("unknown analyzer {name:?}"))
                    .hint("sagene analyze --list-analyzers"));
            }
        }
        Ok(Filter { namespace: None, suppressions })
    }

    async fn analyze(self, context: &Context, mut filter: Filter) -> Outcome {
        let mut input = Input::default();
        let mut namespace = context.globals.namespace.clone();
        if self.use_kube {
            let cluster = context.cluster().await?;
            let name = namespace.get_or_insert_with(|| cluster.default_namespace.clone());
            live::read(&cluster, &context.globals.istio_namespace, &mut input).await?;
            if !self.all_namespaces && input.snapshot.namespaces.get("", name).is_none() {
                return Err(Failure::new(format!("namespace {name:?} not found")));
            }
        } else if self.files.is_empty() {
            return Err(Failure::usage("--use-kube=false needs files to analyze"));
        } else {
            // Files say nothing about what runs: nothing may be concluded from what they do not hold.
            input.unknown_kinds.extend([Kind::Pod, Kind::Namespace, Kind::Node, Kind::Secret]);
        }
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        if let Some(path) = &self.mesh_config_file {
            let text = files::read(path, false)?.pop().map(|file| file.text).unwrap_or_default();
            input.mesh = live::mesh(&text).map_err(|failure| failure.context(path.clone()))?;
        }
        let unreadable = self.read_files(&mut input, &namespace)?;
        filter.namespace = (!self.all_namespaces).then(|| namespace.clone());
        let messages = filter.keep(&input, self.findings(&input));
        self.print(&input, &messages)?;
        Ok(self.verdict(&messages, &unreadable, &namespace))
    }

    fn findings(&self, input: &Input) -> Vec<Message> {
        if self.verbose {
            for check in checks::ALL.iter().filter(|check| self.wants(check.name)) {
                output::progress(&format!("Analyzed: {}", check.name));
            }
        }
        if self.analyzer.is_empty() {
            return sagene_analysis::analyze(input);
        }
        let mut messages: Vec<Message> = checks::ALL
            .iter()
            .filter(|check| self.wants(check.name))
            .flat_map(|check| (check.run)(input))
            .collect();
        messages.sort_by(Message::compare);
        messages.dedup();
        messages
    }

    fn wants(&self, name: &str) -> bool {
        self.analyzer.is_empty() || self.analyzer.iter().any(|wanted| wanted == name)
    }

    /// Documents that cannot be read are reported and counted; the others are analyzed.
    fn read_files(&self, input: &mut Input, namespace: &str) -> Result<Vec<String>, Failure> {
        let mut unreadable = Vec::new();
        for path in &self.files {
            for file in files::read(path, true)? {
                let errors = load(input, &file.name, file.text, namespace);
                unreadable.extend(errors.iter().map(ToString::to_string));
            }
        }
        Ok(unreadable)
    }

    fn print(&self, input: &Input, messages: &[Message]) -> Result<(), Failure> {
        let shown = messages.iter().filter(|message| message.level() <= self.output_threshold);
        let findings: Vec<Finding> = shown.map(|message| Finding::of(message, input)).collect();
        match self.output {
            Format::Log => findings.iter().for_each(|finding| output::line(&finding.line())),
            Format::Json => output::data(&output::to_json(&findings)?),
            Format::Yaml => output::data(&output::to_yaml(&findings)?),
        }
        Ok(())
    }

    /// The sentence on stderr and the exit code; the machine formats say everything by their content but fail alike.
    fn verdict(&self, messages: &[Message], unreadable: &[String], namespace: &str) -> Exit {
        if !unreadable.is_empty() {
            output::progress("Error(s) adding files:");
            unreadable.iter().for_each(|error| output::progress(&format!("  {error}")));
        }
        let subject = self.subject(namespace);
        let failed = reaches(messages, self.failure_threshold);
        if self.output == Format::Log {
            if failed {
                output::progress(&format!("Error: Analyzers found issues when analyzing {subject}."));
                output::progress(
                    "See https://istio.io/v1.30/docs/reference/config/analysis for more information about causes and resolutions.",
                );
            } else if messages.is_empty() {
                output::progress(&format!("✔ No validation issues found when analyzing {subject}."));
            }
        }
        if failed {
            return Exit::AnalyzerFoundIssues;
        }
        if !unreadable.is_empty() && !self.ignore_unknown {
            output::progress("Error: Some files couldn't be parsed.");
            return Exit::DataError;
        }
        Exit::Success
    }

    fn subject(&self, namespace: &str) -> String {
        if !self.files.is_empty() && !self.use_kube {
            let listed: Vec<String> = self.files.iter().map(|file| format!("\n  - {file}")).collect();
            return format!("files:{}", listed.concat());
        }
        if self.all_namespaces { "all namespaces".to_owned() } else { format!("namespace: {namespace}") }
    }
}
