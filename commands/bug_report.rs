//! `bug-report`: what somebody else needs to understand a mesh that misbehaves, in one archive.
//!
//! Everything comes through the Kubernetes API: no program is needed beside this one, and none on the nodes. Secrets are left without
//! their values. Time, memory and size are bounded: what was not collected is named in `bug-report.log`, and never makes the rest fail.

mod cluster;
mod collector;
mod gzip;
mod logs;
mod pods;
mod redact;
mod selection;
mod settings;
mod step;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Objects, Resource, server_failure};
use crate::{analyze, output, version};
use collector::Collector;
use settings::Settings;
use step::{Source, Step};

/// Name of the archive.
const ARCHIVE: &str = "bug-report.tar.gz";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BugReportCommand {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    collect: Collect,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Show the version of this program
    Version(version::VersionCommand),
}

#[derive(Debug, Args)]
pub(super) struct Collect {
    /// Settings from this YAML file; flags win over it
    #[arg(short, long, value_name = "FILE")]
    filename: Option<String>,
    /// Say what would be asked for; ask for nothing but the list of pods, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Port of the proxies' admin interface
    #[arg(long, value_name = "PORT")]
    proxy_admin_port: Option<u16>,
    /// Include the values of Secrets
    #[arg(long)]
    full_secrets: bool,
    /// Namespace of the control plane; the same as --istioNamespace
    #[arg(long = "istio-namespace", value_name = "NAME")]
    control_namespace: Option<String>,
    /// How long collecting may take; what came until then is archived. Default 30m
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::duration)]
    timeout: Option<Duration>,
    /// Pods to include: namespaces/deployments/pods/label=value/annotation=value/containers, each a list with commas and *; may be repeated
    #[arg(long, value_name = "SPEC")]
    include: Vec<String>,
    /// Pods to leave out, in the same form; default the namespaces of Kubernetes itself
    #[arg(long, value_name = "SPEC")]
    exclude: Vec<String>,
    /// Log lines from this time (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    start_time: Option<String>,
    /// Log lines until this time (RFC 3339)
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    end_time: Option<String>,
    /// Log lines of this last while
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::duration)]
    duration: Option<Duration>,
    /// Text of log lines (* for anything) that makes a log go first where not all fit; separated by commas
    #[arg(long, value_name = "TEXTS", value_delimiter = ',')]
    critical_errs: Vec<String>,
    /// Text of log lines (* for anything) that says nothing about a log's importance; separated by commas
    #[arg(long, value_name = "TEXTS", value_delimiter = ',')]
    ignore_errs: Vec<String>,
    /// Folder for what is collected before it is archived; default the system's temporary folder
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Folder for the archive; default this one
    #[arg(long, value_name = "DIRECTORY")]
    output_dir: Option<PathBuf>,
    /// Requests at once; 0 is 32
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    rq_concurrency: usize,
    /// Lines from the end of each log; 0 is all
    #[arg(long, value_name = "LINES", default_value_t = 0)]
    tail: u64,
    /// Leave out the objects of the cluster
    #[arg(long)]
    skip_cluster_dump: bool,
    /// Leave out the analysis
    #[arg(long)]
    skip_analyze: bool,
    /// Leave out the state of the proxies
    #[arg(long)]
    skip_proxy_debug: bool,
    /// Leave out the sockets of the proxies
    #[arg(long)]
    skip_netstat: bool,
    /// Leave out core dumps
    #[arg(long)]
    skip_coredumps: bool,
}

impl BugReportCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if let Some(Subcommands::Version(command)) = self.command {
            return command.local();
        }
        let mut globals = context.globals.clone();
        let settings = Settings::resolve(self.collect, &mut globals)?;
        crate::runtime::block_on(collect(&Context::new(globals), &settings))
    }
}

async fn collect(context: &Context, settings: &Settings) -> Outcome {
    let cluster = context.cluster().await?;
    output::progress(&format!("Target cluster: {}", cluster.description));
    let objects = Objects::new(cluster.client.clone());
    let mut list = objects.list(&Resource::pods(), None, "").await.map_err(server_failure)?;
    list.retain(|pod| settings.wants(pod));
    let mut steps = Vec::new();
    if !settings.skip_cluster_dump {
        steps.extend(cluster::steps(&cluster, settings).await?);
    }
    let chosen = pods::steps(&list, &context.globals.istio_namespace, settings);
    output::progress(&format!("Fetching from the following containers:\n\n{}", pods::listed(&list)));
    steps.extend(chosen);
    if settings.dry_run {
        steps.iter().for_each(|step| output::line(&step.to_string()));
        return Ok(Exit::Success);
    }
    archive(context, &cluster, settings, steps).await
}

/// Collects until everything is there or the time is up, and packs what there is.
async fn archive(context: &Context, cluster: &Cluster, settings: &Settings, steps: Vec<Step>) -> Outcome {
    let output_dir =
        std::fs::create_dir_all(&settings.output_dir).and_then(|()| settings.output_dir.canonicalize());
    let output_dir = output_dir.map_err(|error| no_folder(&settings.output_dir, error))?;
    let folder = settings.temporary_folder();
    let collector = Collector::new(&folder, cluster.client.clone(), settings)
        .map_err(|error| no_folder(&folder, error))?;
    tokio::join!(collector.run(steps), about(context, settings, &collector));
    let path = output_dir.join(ARCHIVE);
    output::progress(&format!("Creating an archive at {}.", path.display()));
    let packed = collector.pack(&path);
    let failures = collector.failures();
    drop(collector);
    packed.map_err(|error| {
        Failure::from(error)
            .context(format!("cannot write {}", path.display()))
            .hint("--output-dir names a folder with more room, --skip-cluster-dump, --include and --tail make the archive smaller")
    })?;
    if failures > 0 {
        output::progress(&format!(
            "{failures} things could not be collected: bug-report.log in the archive names them."
        ));
    }
    output::progress("Done.");
    Ok(Exit::Success)
}

/// Versions and analysis, which other commands already know how to make.
async fn about(context: &Context, settings: &Settings, collector: &Collector<'_>) {
    let versions = collector.in_time(version::report(context)).await;
    collector.text("versions", versions);
    if !settings.skip_analyze {
        let findings = collector.in_time(analyze::findings_everywhere(context)).await;
        collector.text("analyze/allNamespaces/allNamespaces", findings);
    }
}

fn no_folder(folder: &std::path::Path, error: std::io::Error) -> Failure {
    let failure = Failure::from(error).context(format!("cannot use the folder {}", folder.display()));
    Failure { exit: Exit::Program(255), ..failure }
        .hint("--dir names a folder for what is collected, --output-dir one for the archive")
}

impl Step {
    /// A step that asks a port of a pod.
    fn http(file: String, pod: &crate::kubernetes::PodName, port: u16, path: &str) -> Self {
        Self { file, source: Source::Http { pod: pod.clone(), port, path: path.to_owned() } }
    }
}
