//! The grammar of the command line: global flags and the list of commands.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Color;
use crate::{
    admin, analyze, bug_report, completion, console, dashboard, experimental, explain, install, kube_inject,
    kubectl, manifest, multicluster, profile, proxy_config, proxy_status, tag, uninstall, validate, version,
};

/// Service mesh in one binary: installs, inspects and debugs an Istio-compatible mesh on Kubernetes or on this machine alone.
#[derive(Debug, Parser)]
#[command(
    name = "sagene",
    disable_version_flag = true,
    infer_long_args = false,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global flags")]
pub(crate) struct Globals {
    /// Kubernetes configuration file
    #[arg(short = 'c', long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<String>,
    /// Kubernetes configuration context
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Use the embedded cluster of this machine, whatever else is configured
    #[arg(long, global = true)]
    pub(crate) embedded: bool,
    /// Username to impersonate for the operation
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(crate) impersonate: Option<String>,
    /// UID to impersonate for the operation, together with --as
    #[arg(long = "as-uid", global = true, value_name = "UID", requires = "impersonate")]
    pub(crate) impersonate_uid: Option<String>,
    /// Group to impersonate for the operation; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", requires = "impersonate")]
    pub(crate) impersonate_group: Vec<String>,
    /// Kubernetes namespace
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Namespace of the control plane
    #[arg(
        short = 'i',
        long = "istioNamespace",
        global = true,
        value_name = "NAME",
        env = "ISTIOCTL_ISTIONAMESPACE",
        hide_env = true,
        default_value = "istio-system"
    )]
    pub(crate) istio_namespace: String,
    /// How long a request to the Kubernetes API may take
    #[arg(long = "kubeclient-timeout", global = true, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub(crate) client_timeout: std::time::Duration,
    /// How long an answer of the Kubernetes API may take: kubectl's --request-timeout
    #[arg(skip)]
    pub(crate) request_timeout: Option<std::time::Duration>,
    /// When to use colors: auto, always, never
    #[arg(long, global = true, value_name = "WHEN", num_args = 0..=1, require_equals = true,
        default_value = "auto", default_missing_value = "always")]
    pub(crate) color: Color,
}

/// A command that parses its own arguments.
#[derive(Debug, Args)]
pub(crate) struct Passthrough {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install or reconfigure the mesh on a cluster; without a kubeconfig, on an embedded one it starts
    #[command(alias = "apply")]
    Install(install::InstallCommand),
    /// Bring an installation to this version; the same as install
    Upgrade(install::InstallCommand),
    /// Remove the mesh; on the embedded cluster, with --purge, the cluster too
    Uninstall(uninstall::UninstallCommand),
    /// Name revisions, so that namespaces follow a name
    Tag(tag::TagCommand),
    /// Render manifests
    Manifest(manifest::ManifestCommand),
    /// Show the installation profiles
    Profile(profile::ProfileCommand),
    /// Put the sidecar into manifests
    KubeInject(kube_inject::KubeInjectCommand),
    /// Work with Kubernetes objects: apply, get, delete, logs, exec and more
    #[command(disable_help_flag = true)]
    Kubectl(Passthrough),
    /// Find mistakes in configuration, in a cluster and in files
    Analyze(analyze::AnalyzeCommand),
    /// Explain a message of analyze: what it means, an example, the cure
    Explain(explain::ExplainCommand),
    /// Check manifests with no cluster
    #[command(alias = "v")]
    Validate(validate::ValidateCommand),
    /// Show whether every proxy has what the control plane sent
    #[command(alias = "ps")]
    ProxyStatus(proxy_status::ProxyStatusCommand),
    /// Show what a proxy really runs
    #[command(alias = "pc")]
    ProxyConfig(proxy_config::ProxyConfigCommand),
    /// Collect what is needed to understand a mesh into an archive
    BugReport(Box<bug_report::BugReportCommand>),
    /// Work on a running control plane: log
    #[command(alias = "istiod")]
    Admin(admin::AdminCommand),
    /// Ambient mode is out of scope
    #[command(hide = true, alias = "zc", disable_help_flag = true)]
    ZtunnelConfig(Passthrough),
    /// Ambient mode is out of scope
    #[command(hide = true, disable_help_flag = true)]
    Waypoint(Passthrough),
    /// Open a dashboard in the browser
    #[command(aliases = ["dash", "d"])]
    Dashboard(dashboard::DashboardCommand),
    /// Serve the built-in console of a cluster
    Console(console::ConsoleCommand),
    /// Commands that may still change: describe, authz, precheck, check-inject, injector, envoy-stats, internal-debug, metrics, workload
    #[command(aliases = ["x", "exp"])]
    Experimental(experimental::ExperimentalCommand),
    /// Make a secret that lets another cluster's control plane read this one
    CreateRemoteSecret(multicluster::create_remote_secret::CreateRemoteSecret),
    /// List the clusters that the control plane reads from
    RemoteClusters(multicluster::remote_clusters::RemoteClusters),
    /// Show the versions of client, control plane and data plane
    Version(version::VersionCommand),
    /// Print a shell completion script
    Completion(completion::CompletionCommand),
    /// The embedded cluster of this machine: run, start, stop, status
    #[command(disable_help_flag = true)]
    Cluster(Passthrough),
    /// Run a sample application, as pods of the embedded cluster do
    #[command(disable_help_flag = true)]
    Sample(Passthrough),
    /// Run a proxy: sidecar, router, init, or a static Envoy bootstrap with --config
    #[command(disable_help_flag = true)]
    Proxy(Passthrough),
}

/// Parses the command line; a usage error has been printed when this returns a code.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(arguments).map_err(|error| usage(&error))
}

/// Prints what clap has to say: help is data and success, also where a group was named without a command; anything else is a usage
/// error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        crate::output::data(&error.render().to_string());
        return Exit::Success.into();
    }
    let _closed = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() }
}

/// Durations as Go writes them: `15s`, `1m30s`, `500ms`, `2h`.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    let bad = || format!("invalid duration {text:?}: write numbers with units, like 90s, 1m30s, 500ms");
    let mut seconds = 0.0f64;
    let mut rest = text;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() && rest != "0" {
        let digits =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        let after = &rest[digits..];
        let unit = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let factor = match &after[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(bad()),
        };
        seconds += number * factor;
        rest = &after[unit..];
    }
    std::time::Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

/// Commands of a mode that this mesh does not have.
fn ambient(what: &str) -> Failure {
    Failure::new(format!(
        "ambient mode is out of scope of this mesh: it has sidecars and gateways, and no {what}"
    ))
    .hint("sagene proxy-status lists the proxies, sagene proxy-config shows what one runs")
}

impl Cli {
    /// Runs the chosen command.
    pub(crate) fn run(self) -> Outcome {
        self.globals.color.install();
        let context = Context::new(self.globals);
        let outcome = match self.command {
            Command::Install(command) | Command::Upgrade(command) => command.run(&context),
            Command::Uninstall(command) => command.run(&context),
            Command::Experimental(command) => command.run(&context),
            Command::Tag(command) => command.run(&context),
            Command::Manifest(command) => command.run(&context),
            Command::Profile(command) => command.run(),
            Command::KubeInject(command) => command.run(&context),
            Command::Kubectl(arguments) => kubectl::run(&context, arguments.arguments),
            Command::Analyze(command) => command.run(&context),
            Command::Explain(command) => command.run(),
            Command::Validate(command) => command.run(),
            Command::Console(command) => command.run(&context),
            Command::ProxyStatus(command) => command.run(&context),
            Command::BugReport(command) => command.run(&context),
            Command::Admin(command) => command.run(&context),
            Command::ZtunnelConfig(_) => Err(ambient("ztunnel")),
            Command::Waypoint(_) => Err(ambient("waypoints")),
            Command::Dashboard(command) => command.run(&context),
            Command::ProxyConfig(command) => command.run(&context),
            Command::CreateRemoteSecret(command) => command.run(&context),
            Command::RemoteClusters(command) => command.run(&context),
            Command::Version(command) => command.run(&context),
            Command::Completion(command) => command.run(),
            Command::Cluster(arguments) => crate::roles::after_globals("cluster", arguments.arguments),
            Command::Sample(arguments) => crate::roles::after_globals("sample", arguments.arguments),
            Command::Proxy(arguments) => crate::roles::after_globals("proxy", arguments.arguments),
        };
        outcome.map_err(|failure| context.explain(failure))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_has_no_contradictions() {
        Cli::command().debug_assert();
        kubectl::grammar().debug_assert();
    }

    #[test]
    fn durations_are_gos() {
        for (text, milliseconds) in
            [("15s", 15_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("0", 0)]
        {
            assert_eq!(duration(text).expect(text).as_millis(), milliseconds, "{text}");
        }
        assert!(duration("15").is_err() && duration("").is_err() && duration("x").is_err());
    }
}
