//! `install`: resolve the settings, find or start a cluster, apply component by component, wait until all is ready.

mod apply;
mod difference;
mod next_steps;
pub(crate) mod preflight;
mod progress;
mod readiness;
pub(crate) mod settings;
pub(crate) mod skew;

use std::time::{Duration, Instant};

use clap::Args;
use futures::future::try_join_all;
use sagene_manifest::profile::Installation;
use sagene_manifest::render::{self, RenderedComponent};

use crate::cli;
use crate::cluster::version_of;
use crate::context::{Cluster, Context, RunningCluster, Source, of_another_version};
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use apply::Applier;
pub(crate) use apply::installed_types;
use progress::Progress;
use settings::Overlays;

/// Exit code of what SIGINT ended, as shells have it.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Args)]
pub(crate) struct InstallCommand {
    #[command(flatten)]
    overlays: Overlays,
    /// Do not ask before acting
    #[arg(short = 'y', long)]
    skip_confirmation: bool,
    /// How long each component may take until it is ready
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = cli::duration)]
    readiness_timeout: Duration,
    /// Let the server check everything, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Check the installation after it is done; installing always waits until everything is ready, so this adds nothing
    #[arg(long, hide = true)]
    verify: bool,
}

impl InstallCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let installation = self.overlays.resolve()?;
        for warning in &installation.warnings {
            output::progress(&format!("warning: {warning}"));
        }
        crate::runtime::block_on(self.install(context, installation))
    }

    async fn install(&self, context: &Context, installation: Installation) -> Outcome {
        let source = Source::find(&context.globals)?;
        let (mut target, embedded) = match &source {
            Some(source) => (source.name(), source.is_embedded()),
            None => ("an embedded cluster on this machine".to_owned(), true),
        };
        if let Some(other) = of_another_version().filter(|_| embedded) {
            target = format!("{target}, which {} runs and whose pods restart for it", version_of(&other));
        }
        if !self.dry_run && !self.skip_confirmation && !self.agreed(&installation, &target)? {
            return Ok(Exit::Failure);
        }
        let started = Instant::now();
        let progress = Progress::new();
        let cluster = if embedded {
            start_embedded(context, &progress, self.dry_run).await?
        } else {
            output::progress(&format!("Installing into {target}"));
            let source = source.ok_or_else(|| Failure::new("no cluster"))?;
            context.connect(&source).await?
        };
        preflight::warn(&cluster, &installation).await?;
        skew::warn(context, &cluster, &installation).await;
        let applied = tokio::select! {
            applied = self.apply(&cluster, &installation, &progress) => applied,
            interrupted = interrupted() => Err(interrupted),
        };
        applied.map_err(|failure| {
            if self.dry_run {
                return failure;
            }
            failure.hint("what was applied stays; the same command continues where this one ended")
        })?;
        if self.dry_run {
            progress.done("Nothing was changed (--dry-run)");
            return Ok(Exit::Success);
        }
        progress.done(&format!("Installation complete ({:.1} s)", started.elapsed().as_secs_f32()));
        next_steps::print(&cluster, &installation).await;
        Ok(Exit::Success)
    }

    fn agreed(&self, installation: &Installation, target: &str) -> Result<bool, Failure> {
        let question = format!(
            "This will install the Istio {} profile {:?} into the cluster: {target}. Proceed?",
            installation.tag(),
            installation.profile
        );
        let agreed = output::confirm(&question)?;
        if !agreed {
            output::progress("Cancelled.");
        }
        Ok(agreed)
    }

    async fn apply(
        &self,
        cluster: &Cluster,
        installation: &Installation,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let components = render::render(installation)?;
        let applier = Applier::new(cluster, installation, self.dry_run).await?;
        applier.namespace().await?;
        let mut kept = Vec::new();
        for component in &components {
            kept.extend(component.objects.iter().cloned());
        }
        // Gateways need the control plane, and each other not at all.
        let gateway = |component: &RenderedComponent| component.component.is_gateway();
        for stage in components.chunk_by(|left, right| gateway(left) && gateway(right)) {
            let steps = stage.iter().map(|component| self.component(&applier, component, progress));
            try_join_all(steps).await?;
        }
        applier.prune(&kept, progress).await
    }

    async fn component(
        &self,
        applier: &Applier<'_>,
        component: &RenderedComponent,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let title = component.component.title();
        let step = progress.step(title);
        match applier.component(component, self.readiness_timeout, &step).await {
            Ok(()) => step.installed(),
            Err(failure) => {
                step.failed(&crate::exit::chain(&failure.error));
                return Err(failure.context(format!("{title} not installed")));
            }
        }
        Ok(())
    }
}

/// Starts the embedded cluster unless it runs, and says so.
async fn start_embedded(context: &Context, progress: &Progress, dry_run: bool) -> Result<Cluster, Failure> {
    if let Some(cluster) = running(context).await {
        return match of_another_version() {
            Some(other) => renewed(context, progress, other, cluster, dry_run).await,
            None => {
                output::progress(&format!("Using {}", cluster.description));
                Ok(cluster)
            }
        };
    }
    if dry_run {
        return Err(
            Failure::new("--dry-run needs a running cluster").hint("sagene manifest generate needs none")
        );
    }
    let step = progress.step("Embedded cluster");
    let cluster = context.start_embedded().await?;
    step.finished(&format!("Started {}", cluster.description));
    Ok(cluster)
}

/// The program that runs the cluster is what its pods run, too: what is installed would not be what runs.
async fn renewed(
    context: &Context,
    progress: &Progress,
    other: RunningCluster,
    cluster: Cluster,
    dry_run: bool,
) -> Result<Cluster, Failure> {
    let version = version_of(&other);
    if dry_run {
        progress.say(&format!(
            "warning: {version} runs {}: without --dry-run its pods restart with this one",
            cluster.description
        ));
        return Ok(cluster);
    }
    progress
        .say(&format!("{version} runs {}: it restarts with this one, its objects stay", cluster.description));
    let step = progress.step("Embedded cluster");
    match context.renew_embedded(other).await {
        Ok(cluster) => {
            step.finished(&format!("Restarted {}", cluster.description));
            Ok(cluster)
        }
        Err(failure) => {
            step.failed(&crate::exit::chain(&failure.error));
            Err(failure)
        }
    }
}

/// Ctrl-C: who ends an installation in the middle is told what that leaves.
async fn interrupted() -> Failure {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the signal ends the process by itself.
        std::future::pending::<()>().await;
    }
    Failure { exit: Exit::Program(INTERRUPTED), ..Failure::new("interrupted") }
}

async fn running(context: &Context) -> Option<Cluster> {
    let source = Source::embedded()?;
    let cluster = context.connect(&source).await.ok()?;
    cluster.client.apiserver_version().await.ok()?;
    Some(cluster)
}
