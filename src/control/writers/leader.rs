//! Which replica writes: the holder of a Lease. Whoever holds it renews it; when it stops being renewed, another takes it over.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use sagene_base::{drain::DrainWatch, task::error_chain};
use tokio::{sync::watch, time::Instant};
use tracing::{debug, info};

use crate::options::ControlPlaneOptions;

/// A Lease that is not renewed for this long may be taken over.
const DURATION: Duration = Duration::from_secs(10);
/// How often the holder renews, and others look.
const PERIOD: Duration = Duration::from_secs(3);
/// The longest wait for the API server: who holds the Lease has to have given up before others may take it.
const ANSWER: Duration = Duration::from_secs(6);

/// What a replica is elected for; each has a Lease.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Duty {
    /// Statuses, webhook configurations, Gateways: of one revision.
    Revision,
    /// `istio-ca-root-cert`, which all revisions share; the name is istiod's.
    Namespaces,
    /// Addresses of ServiceEntries, which must differ whatever the revision; the name is istiod's.
    Addresses,
}

impl Duty {
    fn lease(self, options: &ControlPlaneOptions) -> String {
        match self {
            Self::Revision => format!("istio-leader{}", options.revision_suffix()),
            Self::Namespaces => "istio-namespace-controller-election".to_owned(),
            Self::Addresses => "istio-ip-autoallocate".to_owned(),
        }
    }
}

/// Says whether this replica is the one that writes.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    holds: watch::Receiver<bool>,
}

impl Leadership {
    /// For good, without an election.
    #[cfg(test)]
    pub(crate) fn held() -> Self {
        Self { holds: watch::Sender::new(true).subscribe() }
    }

    /// Whether it is now.
    pub(crate) fn is_leader(&self) -> bool {
        *self.holds.borrow()
    }

    /// Resolves when that changes; never once the election is over.
    pub(crate) async fn changed(&mut self) {
        if self.holds.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Stands for election until the process is told to end, and then gives the Lease back, so that another replica need not wait for it
/// to expire; the future is the election itself.
pub(crate) fn election(
    client: Client,
    options: &ControlPlaneOptions,
    duty: Duty,
    drain: DrainWatch,
) -> (Leadership, impl Future<Output = ()> + use<>) {
    let (sender, holds) = watch::channel(false);
    let name = duty.lease(options);
    let api: Api<Lease> = Api::namespaced(client, &options.namespace);
    let identity = options.pod_name.clone();
    let election = async move {
        let mut ending = false;
        let mut seen = Seen::default();
        while !ending {
            let holds = match tokio::time::timeout(ANSWER, stand(&api, &name, &identity, &mut seen)).await {
                Ok(Ok(holds)) => holds,
                Ok(Err(error)) => {
                    debug!(lease = name, error = %error_chain(&error), "lease not renewed");
                    false
                }
                Err(_) => {
                    debug!(lease = name, "lease not renewed: the API server does not answer");
                    false
                }
            };
            if sender.send_if_modified(|known| std::mem::replace(known, holds) != holds) {
                info!(lease = name, identity, leader = holds, "leadership changed");
            }
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                _ = drain.draining() => ending = true,
            }
        }
        if sender.send_replace(false)
            && let Err(error) = give_back(&api, &name, &identity).await
        {
            debug!(lease = name, error = %error_chain(&error), "lease not given back");
        }
    };
    (Leadership { holds }, election)
}

/// The version of the Lease that was there last, and since when: a holder that is gone is noticed even where the clock jumped back and its
/// time of renewal lies ahead.
#[derive(Debug, Default)]
struct Seen {
    version: Option<String>,
    since: Option<Instant>,
}

impl Seen {
    /// For how long this version has been there.
    fn unchanged_for(&mut self, version: Option<&String>) -> Duration {
        if self.version.as_ref() != version || self.since.is_none() {
            (self.version, self.since) = (version.cloned(), Some(Instant::now()));
        }
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Takes or renews the Lease; false where somebody else holds it, or was quicker.
async fn stand(api: &Api<Lease>, name: &str, identity: &str, seen: &mut Seen) -> Result<bool, kube::Error> {
    let now = Timestamp::now();
    let Some(mut lease) = api.get_opt(name).await? else {
        let fresh = Lease {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec: Some(held_by(identity, now, now, 0)),
        };
        return written(api.create(&PostParams::default(), &fresh).await);
    };
    let spec = lease.spec.take().unwrap_or_default();
    let mine = spec.holder_identity.as_deref() == Some(identity);
    let renewed = spec.renew_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let rest = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let length = rest.map_or(DURATION, Duration::from_secs);
    let unchanged = seen.unchanged_for(lease.metadata.resource_version.as_ref());
    let valid = renewed + length > now && unchanged < length;
    let free = spec.holder_identity.as_deref().is_none_or(str::is_empty);
    if !mine && valid && !free {
        return Ok(false);
    }
    let since = spec.acquire_time.filter(|_| mine).map_or(now, |time| time.0);
    let transitions = spec.lease_transitions.unwrap_or(0) + i32::from(!mine);
    lease.spec = Some(held_by(identity, since, now, transitions));
    written(api.replace(name, &PostParams::default(), &lease).await)
}

/// Leaves the Lease without a holder, if it is ours still.
async fn give_back(api: &Api<Lease>, name: &str, identity: &str) -> Result<(), kube::Error> {
    let Some(mut lease) = api.get_opt(name).await? else { return Ok(()) };
    let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
    if spec.holder_identity.as_deref() != Some(identity) {
        return Ok(());
    }
    spec.holder_identity = Some(String::new());
    spec.lease_duration_seconds = Some(1);
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    written(api.replace(name, &PostParams::default(), &lease).await).map(drop)
}

/// A conflict means that somebody else was quicker.
fn written(outcome: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn held_by(identity: &str, since: Timestamp, now: Timestamp, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: Some(MicroTime(since)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests;
