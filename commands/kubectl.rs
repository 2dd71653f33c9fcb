//! `kubectl`: the part of kubectl that a mesh needs every day, against any cluster, in kubectl's words and output.

mod absent;
mod api_resources;
mod apply;
mod attach;
mod auth;
mod autoscale;
mod cluster_info;
mod column;
mod config;
mod cordon;
mod cp;
mod create;
mod delete;
mod describe;
mod diff;
mod drain;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod flags;
mod get;
mod go_template;
mod jsonpath;
mod label;
mod logs;
mod manifests;
mod patch;
mod pods;
mod port_forward;
mod print;
mod replace;
mod rollout;
mod run_pod;
mod scale;
mod session;
mod set;
mod streams;
mod taint;
mod target;
mod terminal;
mod top;
mod version;
mod wait;
mod written;

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use session::Session;

/// A small kubectl.
#[derive(Debug, Parser)]
#[command(name = "sagene kubectl", about = "Work with Kubernetes objects", arg_required_else_help = true)]
struct Kubectl {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every kubectl command. `-c` means a container here, so the kubeconfig has only its long flag.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global flags")]
struct Globals {
    /// Kubernetes configuration file
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Kubernetes configuration context
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Use the embedded cluster of this machine
    #[arg(long, global = true)]
    embedded: bool,
    /// Namespace
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,
    /// Username to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    impersonate: Option<String>,
    /// How long a request to the server may take: seconds, or a duration; 0 is for ever
    #[arg(long, global = true, value_name = "DURATION", value_parser = flags::timeout)]
    request_timeout: Option<std::time::Duration>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply manifests from files, directories or stdin
    Apply(apply::Apply),
    /// Show objects
    Get(get::Get),
    /// Delete objects
    Delete(delete::Delete),
    /// Set or remove labels
    Label(label::Label),
    /// Set or remove annotations
    Annotate(label::Annotate),
    /// Print the logs of a container
    #[command(alias = "log")]
    Logs(logs::Logs),
    /// Run a program in a container
    Exec(exec::Exec),
    /// Show details of objects, with their events
    Describe(describe::Describe),
    /// Follow or restart the rollout of a Deployment, StatefulSet or DaemonSet
    Rollout(rollout::Rollout),
    /// Wait until objects have a condition, a value, or are gone
    Wait(wait::Wait),
    /// Set the number of replicas
    Scale(scale::Scale),
    /// Forward local ports to a pod
    PortForward(port_forward::PortForward),
    /// Create objects from files or from the command line
    Create(create::Create),
    /// Put a Service in front of a workload
    Expose(expose::Expose),
    /// Put objects in the place of those there are
    Replace(replace::Replace),
    /// Change an object in an editor
    Edit(edit::Edit),
    /// Change images and environments of containers
    Set(set::Set),
    /// Let no new pods onto a node
    Cordon(cordon::Cordon),
    /// Let pods onto a node again
    Uncordon(cordon::Cordon),
    /// Show what pods and nodes use
    Top(top::Top),
    /// Ask what is allowed, and who one is
    Auth(auth::Auth),
    /// Explain a type and its fields
    Explain(explain::Explain),
    /// Say where the control plane is
    ClusterInfo(cluster_info::ClusterInfo),
    /// List the groups and versions of the server
    ApiVersions(cluster_info::ApiVersions),
    /// Copy files to and from containers
    Cp(cp::Cp),
    /// Print the manifests of a kustomization: that of the Gateway API's definitions
    Kustomize(apply::Kustomize),
    /// Not here
    #[command(hide = true, disable_help_flag = true)]
    Debug(absent::Absent),
    /// Join the program that a container runs
    Attach(attach::Attach),
    /// Show what happened of late
    Events(events::Events),
    /// Show what applying manifests would change
    Diff(diff::Diff),
    /// Not here
    #[command(hide = true, disable_help_flag = true)]
    Proxy(absent::Absent),
    /// Move the pods off nodes
    Drain(drain::Drain),
    /// Set or remove taints of nodes
    Taint(taint::Taint),
    /// Scale a workload by what it uses
    Autoscale(autoscale::Autoscale),
    /// Change fields of objects
    Patch(patch::Patch),
    /// Run an image in a pod
    Run(run_pod::Run),
    /// Contexts of the kubeconfig
    Config(config::Config),
    /// List the resource types of the server
    ApiResources(api_resources::ApiResources),
    /// Show client and server version
    Version(version::Version),
}

/// The grammar, for tests.
#[cfg(test)]
pub(crate) fn grammar() -> clap::Command {
    <Kubectl as clap::CommandFactory>::command()
}

/// Runs `sagene kubectl ARGUMENTS`; global flags given before `kubectl` count too.
pub(crate) fn run(context: &Context, arguments: Vec<OsString>) -> Outcome {
    let arguments = flags::plain(&<Kubectl as clap::CommandFactory>::command(), arguments);
    let named = std::iter::once(OsString::from("sagene kubectl")).chain(arguments);
    let kubectl = match Kubectl::try_parse_from(named) {
        Ok(kubectl) => kubectl,
        Err(error) => {
            let _closed = error.print();
            return Ok(if error.use_stderr() { Exit::Failure } else { Exit::Success });
        }
    };
    let mut globals = context.globals.clone();
    let given = kubectl.globals;
    globals.kubeconfig = given.kubeconfig.or(globals.kubeconfig);
    globals.context = given.context.or(globals.context);
    globals.namespace = given.namespace.or(globals.namespace);
    globals.impersonate = given.impersonate.or(globals.impersonate);
    globals.embedded |= given.embedded;
    globals.request_timeout = given.request_timeout.filter(|timeout| !timeout.is_zero());
    let context = Context::new(globals);
    if let Command::Config(config) = kubectl.command {
        return config.run(&context);
    }
    crate::runtime::block_on(async move {
        let session = Session::open(&context).await?;
        kubectl.command.run(&session).await
    })
}

impl Command {
    async fn run(self, session: &Session) -> Outcome {
        match self {
            // It needs no session and ran without one.
            Self::Config(_) => Ok(Exit::Success),
            Self::Apply(command) => command.run(session).await,
            Self::Get(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::Label(command) => command.run(session).await,
            Self::Annotate(command) => command.run(session).await,
            Self::Logs(command) => command.run(session).await,
            Self::Exec(command) => command.run(session).await,
            Self::Describe(command) => command.run(session).await,
            Self::Rollout(command) => command.run(session).await,
            Self::Wait(command) => command.run(session).await,
            Self::Scale(command) => command.run(session).await,
            Self::PortForward(command) => command.run(session).await,
            Self::Create(command) => command.run(session).await,
            Self::Patch(command) => command.run(session).await,
            Self::Expose(command) => command.run(session).await,
            Self::Replace(command) => command.run(session).await,
            Self::Edit(command) => command.run(session).await,
            Self::Set(command) => command.run(session).await,
            Self::Cordon(command) => command.run(session, true).await,
            Self::Uncordon(command) => command.run(session, false).await,
            Self::Top(command) => command.run(session).await,
            Self::Auth(command) => command.run(session).await,
            Self::Explain(command) => command.run(session).await,
            Self::ClusterInfo(command) => command.run(session),
            Self::ApiVersions(command) => command.run(session).await,
            Self::Cp(command) => command.run(session).await,
            Self::Diff(command) => command.run(session).await,
            Self::Taint(command) => command.run(session).await,
            Self::Kustomize(command) => command.run(session),
            Self::Debug(command) => {
                command.refuse("debug", "kubectl exec runs a program in a container there is")
            }
            Self::Attach(command) => command.run(session).await,
            Self::Events(command) => command.run(session).await,
            Self::Proxy(command) => command.refuse("proxy", "kubectl get --raw PATH asks the API server"),
            Self::Drain(command) => command.run(session).await,
            Self::Autoscale(command) => command.run(session).await,
            Self::Run(command) => command.run(session).await,
            Self::ApiResources(command) => command.run(session).await,
            Self::Version(command) => command.run(session).await,
        }
    }
}
