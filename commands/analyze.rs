//! `analyze`: findings about a cluster, about files, or about files as if they were applied to the cluster.

mod clusters;
mod fix;
mod live;
mod report;
pub(crate) mod sources;
mod summary;
mod watch;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sagene_analysis::checks::{self, Check};
use sagene_analysis::filter::{Filter, Suppression, reaches};
use sagene_analysis::incremental::Analysis;
use sagene_analysis::input::{Document, LoadError, SourceFile};
use sagene_analysis::{Code, Input, Level, Message};
use sagene_model::Kind;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::output;
use report::Format;
use summary::Summary;

#[derive(Debug, Args)]
pub(crate) struct AnalyzeCommand {
    /// Files, directories (with all below them), or - for stdin; without any, the cluster alone
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Look at the cluster too; --use-kube=false looks at files alone
    #[arg(short = 'k', long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
        value_name = "BOOL", action = clap::ArgAction::Set)]
    use_kube: bool,
    /// All namespaces
    #[arg(short = 'A', long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL",
        action = clap::ArgAction::Set)]
    all_namespaces: bool,
    /// Format: log, json, yaml, sarif, github, source; default source on a terminal, else log
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
    /// Least level to print: Info, Warning, Error
    #[arg(long, value_name = "LEVEL", default_value = "Info", value_parser = level)]
    output_threshold: Level,
    /// Least level that makes the command fail: Info, Warning, Error
    #[arg(long, value_name = "LEVEL", default_value = "Error", value_parser = level)]
    failure_threshold: Level,
    /// Finding to leave out, CODE=RESOURCE with * for any text, as in "IST0103=Pod shop/*"; may be repeated
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
    /// Only Istio objects of this revision, and those of none
    #[arg(short, long, value_name = "REVISION")]
    revision: Option<String>,
    /// Kubeconfig context of another cluster of the mesh; may be repeated. Without any, the clusters of the remote secrets
    #[arg(long, value_name = "CONTEXT")]
    remote_contexts: Vec<String>,
    /// Files that cannot be read do not make the command fail
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", value_name = "BOOL",
        action = clap::ArgAction::Set)]
    ignore_unknown: bool,
    /// Directories are always read with all below them
    #[arg(short = 'R', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    recursive: Option<bool>,
    /// Say which analyzers ran
    #[arg(short, long)]
    verbose: bool,
    /// How long reading the clusters may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = crate::cli::duration)]
    timeout: Duration,
    /// Go on after the first findings: say which come and which go as the cluster changes
    #[arg(short, long, conflicts_with_all = ["fix", "remote_contexts"])]
    watch: bool,
    /// Show how to change the files so that findings with one safe answer are gone
    #[arg(long)]
    fix: bool,
    /// With --fix: change the files
    #[arg(long, requires = "fix")]
    write: bool,
}

/// The command with its defaults.
#[derive(Debug, clap::Parser)]
struct Defaults {
    #[command(flatten)]
    command: AnalyzeCommand,
}

/// What the command finds in all namespaces, a line a finding.
pub(crate) async fn findings_everywhere(context: &Context) -> Result<String, Failure> {
    use clap::Parser as _;
    let command = Defaults::try_parse_from(["analyze", "--all-namespaces"])?.command;
    let mut subject = Subject::default();
    let checks: Vec<&Check> = checks::ALL.iter().collect();
    let cluster = context.cluster().await?;
    clusters::read(context, &cluster, &command, &checks, &mut subject).await?;
    command.mesh(&mut subject.input, &context.globals.istio_namespace)?;
    let found = command.findings(&subject, &checks);
    let messages: Vec<&Message> = found.iter().collect();
    let elsewhere = BTreeMap::new();
    let summary = Summary {
        subject: &subject,
        checks: &checks,
        messages: &found,
        elsewhere: &elsewhere,
        namespace: "",
    };
    let mut text = report::lines(&subject.input, &messages);
    summary.notes().into_iter().chain([summary.looked_at()]).for_each(|note| text += &format!("{note}\n"));
    Ok(text)
}

fn level(text: &str) -> Result<Level, String> {
    Level::parse(text).ok_or_else(|| format!("{text:?} is not one of Info, Warning, Error"))
}

/// What was read.
#[derive(Default)]
pub(super) struct Subject {
    /// The cluster with the files over it, or the files alone.
    pub(super) input: Input,
    /// The other clusters, by name.
    pub(super) others: Vec<Input>,
    /// Documents that could not be read.
    pub(super) unreadable: Vec<LoadError>,
    /// For the reader: what was left out, and why.
    pub(super) notes: Vec<String>,
    /// Whether a cluster did not show all that the analyzers read.
    pub(super) is_partial: bool,
}

impl AnalyzeCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if self.list_analyzers {
            return Ok(list_analyzers());
        }
        let suppressions = self.suppressions()?;
        let checks = self.checks()?;
        if self.recursive.is_some() {
            output::progress("Directories are always read with all below them: --recursive changes nothing.");
        }
        if self.fix && self.files.is_empty() {
            return Err(Failure::usage("--fix changes files: name those to fix"));
        }
        if self.watch && !self.use_kube {
            return Err(Failure::usage("--watch follows a cluster: leave --use-kube=false out"));
        }
        if self.watch && self.output.is_some_and(|format| !format.is_for_people()) {
            return Err(Failure::usage("--watch prints findings as they come: -o log or -o source"));
        }
        if !self.use_kube && self.files.is_empty() {
            return Err(Failure::usage("--use-kube=false needs files to analyze"));
        }
        let filter = Filter { namespace: None, suppressions };
        crate::runtime::block_on(self.analyze(context, filter, &checks))
    }

    /// What is not wanted. A code that nothing has is only worth a warning: scripts outlive codes.
    fn suppressions(&self) -> Result<Vec<Suppression>, Failure> {
        let mut suppressions = Vec::new();
        for text in &self.suppress {
            suppressions.extend(
                Suppression::parse_all(text)
                    .map_err(|error| Failure::usage(format!("--suppress {error}")))?,
            );
        }
        for suppression in &suppressions {
            let code = suppression.code();
            if !code.contains('*') && Code::parse(code).is_none() {
                output::progress(&format!(
                    "Warning: Supplied message code '{code}' is an unknown message code and will not have any effect."
                ));
            }
        }
        Ok(suppressions)
    }

    /// The analyzers to run. A name that nothing has is an error, not a reason to run everything.
    fn checks(&self) -> Result<Vec<&'static Check>, Failure> {
        for name in &self.analyzer {
            if !checks::ALL.iter().any(|check| matches(check, name)) {
                let names: Vec<&str> = checks::ALL.iter().map(|check| check.name).collect();
                let near =
                    sagene_analysis::near::nearest(name, &names).map(|near| format!("did you mean {near}?"));
                let failure = Failure::usage(format!("unknown analyzer {name:?}"));
                return Err(
                    failure.hint(near.unwrap_or_else(|| "sagene analyze --list-analyzers".to_owned()))
                );
            }
        }
        let wanted = |check: &&Check| {
            self.analyzer.is_empty() || self.analyzer.iter().any(|name| matches(check, name))
        };
        Ok(checks::ALL.iter().filter(wanted).collect())
    }

    async fn analyze(self, context: &Context, mut filter: Filter, checks: &[&'static Check]) -> Outcome {
        let mut subject = Subject::default();
        let mut followed = None;
        let mut namespace = context.globals.namespace.clone().filter(|name| !name.is_empty());
        if self.use_kube {
            let reading = async {
                let cluster = context.cluster().await?;
                let listed = clusters::read(context, &cluster, &self, checks, &mut subject).await?;
                Ok::<_, Failure>((cluster, listed))
            };
            let (cluster, listed) =
                tokio::time::timeout(self.timeout, reading).await.map_err(|_| self.too_slow())??;
            namespace.get_or_insert_with(|| cluster.default_namespace.clone());
            followed = Some((cluster.client, listed));
        }
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        let read = sources::load(&self.files, &mut subject.input, &namespace)?;
        subject.unreadable = read.unreadable;
        subject.notes.extend(read.notes);
        subject.input.files_alone = !self.use_kube;
        self.mesh(&mut subject.input, &context.globals.istio_namespace)?;
        self.check_namespace(&subject.input, &namespace)?;
        if let Some(revision) = self.revision.as_deref().filter(|name| !name.is_empty()) {
            subject.input.retain_revision(revision);
        }
        let found = self.findings(&subject, checks);
        filter.namespace = (!self.all_namespaces).then(|| namespace.clone());
        let (messages, elsewhere) = filter.divide(&subject.input, found);
        if self.fix {
            return self.fixed(subject, messages, &filter, checks, &namespace);
        }
        let format = self.output.unwrap_or_else(Format::for_stdout);
        let shown: Vec<&Message> =
            messages.iter().filter(|message| message.level() <= self.output_threshold).collect();
        report::print(format, &subject.input, &shown)?;
        let summary = Summary {
            subject: &subject,
            checks,
            messages: &messages,
            elsewhere: &elsewhere,
            namespace: &namespace,
        };
        let verdict = self.verdict(format, &summary);
        match followed.filter(|_| self.watch) {
            Some((client, listed)) => {
                let analysis = Analysis::new(subject.input, checks.to_vec());
                let shows = |message: &Message| message.level() <= self.output_threshold;
                let left = watch::follow(&client, listed, analysis, &filter, &shows, format).await?;
                Ok(if reaches(&left, self.failure_threshold) {
                    Exit::AnalyzerFoundIssues
                } else {
                    Exit::Success
                })
            }
            None => {
                // The process ends: to give a large mesh back piece by piece takes time that nobody gains by.
                std::mem::forget((subject, messages));
                Ok(verdict)
            }
        }
    }

    /// Shows the changes, or makes them; the exit code tells of what is found before them, or after.
    fn fixed(
        &self,
        mut subject: Subject,
        messages: Vec<Message>,
        filter: &Filter,
        checks: &[&Check],
        namespace: &str,
    ) -> Outcome {
        let of = |input: &Input| match self.analyzer.is_empty() {
            true => sagene_analysis::analyze(input),
            false => sagene_analysis::analyze_with(input, checks),
        };
        let (changes, after) = sagene_analysis::fix::plan(&subject.input, &messages, namespace, &of);
        if self.write {
            fix::write(&changes)?;
        }
        let left: HashSet<&Message> = after.iter().collect();
        let answered = messages.iter().filter(|message| !left.contains(message)).count();
        fix::show(&changes, answered, messages.len(), self.write);
        let (messages, elsewhere) =
            if self.write { filter.divide(&subject.input, after) } else { (messages, BTreeMap::new()) };
        subject.notes.clear();
        let summary =
            Summary { subject: &subject, checks, messages: &messages, elsewhere: &elsewhere, namespace };
        Ok(self.verdict(Format::Log, &summary))
    }

    fn too_slow(&self) -> Failure {
        Failure::new(format!("the clusters were not read within {:?}", self.timeout))
            .hint("--timeout 2m gives them more time")
    }

    /// The mesh's settings: those of `--meshConfigFile`, else of the ConfigMap, from the files or the cluster.
    fn mesh(&self, input: &mut Input, istio_namespace: &str) -> Result<(), Failure> {
        istio_namespace.clone_into(&mut input.mesh.root_namespace);
        let name = match self.revision.as_deref() {
            None | Some("" | "default") => "istio".to_owned(),
            Some(revision) => format!("istio-{revision}"),
        };
        let data = |key: &str| {
            let map = input.snapshot.config_maps.get(istio_namespace, &name)?;
            map.spec.data.get(key).cloned()
        };
        let (networks, mut mesh, mut origin) =
            (data("meshNetworks"), data("mesh"), format!("ConfigMap {name}"));
        if let Some(path) = &self.mesh_config_file {
            let text = files::read(path, false)?.pop().map(|file| file.text).unwrap_or_default();
            let file = SourceFile { name: path.as_str().into(), text: text.clone() };
            input.mesh_config_file = Some(Arc::new(Document::whole(Arc::new(file))));
            mesh = Some(text);
            origin.clone_from(path);
        }
        if let Some(mesh) = mesh {
            input.set_mesh_config(&mesh).map_err(|error| Failure::from(error).context(origin.clone()))?;
        }
        if let Some(networks) = networks {
            input.set_mesh_networks(&networks).map_err(|error| Failure::from(error).context(origin))?;
        }
        if input.mesh_config_written.as_ref().is_none_or(|mesh| mesh.get("rootNamespace").is_none()) {
            istio_namespace.clone_into(&mut input.mesh.root_namespace);
        }
        Ok(())
    }

    fn check_namespace(&self, input: &Input, namespace: &str) -> Result<(), Failure> {
        let is_known = input.unknown_kinds.contains(&Kind::Namespace)
            || input.snapshot.namespaces.get("", namespace).is_some();
        if !self.use_kube || self.all_namespaces || is_known {
            return Ok(());
        }
        let names: Vec<&str> =
            input.snapshot.namespaces.iter().map(|namespace| namespace.metadata.name.as_str()).collect();
        let failure = Failure::new(format!("namespace {namespace:?} not found"));
        Err(match sagene_analysis::near::nearest(namespace, &names) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure,
        })
    }

    fn findings(&self, subject: &Subject, checks: &[&Check]) -> Vec<Message> {
        if self.verbose {
            checks.iter().for_each(|check| output::progress(&format!("Analyzed: {}", check.name)));
        }
        let of = |input: &Input| match self.analyzer.is_empty() {
            true => sagene_analysis::analyze(input),
            false => sagene_analysis::analyze_with(input, checks),
        };
        let mut messages = of(&subject.input);
        if subject.others.is_empty() {
            return messages;
        }
        let name = |messages: &mut Vec<Message>, cluster: &str| {
            let cluster: std::sync::Arc<str> = cluster.into();
            messages.iter_mut().for_each(|message| message.cluster = Some(cluster.clone()));
        };
        name(&mut messages, &subject.input.cluster);
        for other in &subject.others {
            let mut found = of(other);
            // What differs between clusters is told once, of the first.
            found.retain(|message| message.code != Code::MultiClusterInconsistentService);
            name(&mut found, &other.cluster);
            messages.extend(found);
        }
        messages.sort_by(Message::compare);
        messages
    }

    /// The sentences on stderr and the exit code; the machine formats say everything by their content but fail alike.
    fn verdict(&self, format: Format, summary: &Summary<'_>) -> Exit {
        let failed = reaches(summary.messages, self.failure_threshold);
        let unreadable = &summary.subject.unreadable;
        if !unreadable.is_empty() {
            output::progress("Error(s) adding files:");
            unreadable.iter().for_each(|error| output::progress(&format!("  {error}")));
        }
        summary.notes().iter().for_each(|note| output::progress(note));
        if format.is_for_people() {
            output::progress(&summary.looked_at());
            self.conclusion(failed, summary);
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

    fn conclusion(&self, failed: bool, summary: &Summary<'_>) {
        let about = self.about(summary.namespace);
        if failed {
            output::progress(&format!("Error: Analyzers found issues when analyzing {about}."));
            output::progress(
                "See https://istio.io/v1.30/docs/reference/config/analysis for more information about causes and resolutions.",
            );
            if let Some(first) = summary.messages.first() {
                output::progress(&format!(
                    "sagene explain {} explains the first, with no network.",
                    first.code.id()
                ));
            }
        } else if summary.messages.is_empty() && self.has_missed(summary.subject) {
            output::progress(&format!(
                "Nothing was found in what could be looked at when analyzing {about}."
            ));
        } else if summary.messages.is_empty() {
            output::progress(&format!("✔ No validation issues found when analyzing {about}."));
        }
    }

    /// True where something was not looked at that should have been, so that nothing found is no proof.
    fn has_missed(&self, subject: &Subject) -> bool {
        subject.is_partial || !(subject.unreadable.is_empty() || self.ignore_unknown)
    }

    fn about(&self, namespace: &str) -> String {
        if !self.files.is_empty() && !self.use_kube {
            let listed: Vec<String> = self.files.iter().map(|file| format!("\n  - {file}")).collect();
            return format!("files:{}", listed.concat());
        }
        if self.all_namespaces { "all namespaces".to_owned() } else { format!("namespace: {namespace}") }
    }
}

/// By its name, or by its beginning as far as it is a whole part: `schema.ValidationAnalyzer` stands for those of all kinds.
fn matches(check: &Check, name: &str) -> bool {
    check.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn list_analyzers() -> Exit {
    let mut checks: Vec<&Check> = checks::ALL.iter().collect();
    checks.sort_by_key(|check| check.name);
    for check in checks {
        output::line(&format!("* {}:\n    {}", check.name, check.description));
    }
    Exit::Success
}
