//! Named tasks whose end is always noticed: an error or a panic is logged, and a supervised task reports its exit.

use std::{
    any::Any,
    fmt::Display,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};
use tracing::{debug, error};

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It returned normally.
    Finished,
    /// It returned an error, rendered with its chain.
    Failed(String),
    /// It panicked, with the message.
    Panicked(String),
}

/// The end of a supervised task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Name given at spawn.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// Spawns a task that ends on its own; a panic in it is logged and goes no further.
pub fn spawn<F>(name: impl Into<String>, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    spawn_boxed(name.into(), Box::pin(future))
}

/// Behind a pointer, so that what surrounds a future is compiled once and not for each of them.
fn spawn_boxed(name: String, future: BoxFuture<'static, ()>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
            error!(task = %name, message = %panic_message(panic.as_ref()), "task panicked");
        }
    })
}

/// Owns the long-running tasks of a role; dropping it stops them.
#[derive(Debug)]
pub struct Supervisor {
    spawner: Spawner,
    exits: mpsc::UnboundedReceiver<Exit>,
}

/// Spawns into a [`Supervisor`]; cheap to clone.
#[derive(Debug, Clone)]
pub struct Spawner {
    exits: mpsc::UnboundedSender<Exit>,
    handles: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// Without tasks.
    pub fn new() -> Self {
        let (sender, exits) = mpsc::unbounded_channel();
        Self { spawner: Spawner { exits: sender, handles: Arc::default() }, exits }
    }

    /// A handle other code may spawn through.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Starts a supervised task; its end is delivered by [`Supervisor::next_exit`].
    pub fn spawn<F, E>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        self.spawner.spawn(name, future);
    }

    /// The next task that ended. Never resolves while none does.
    pub async fn next_exit(&mut self) -> Exit {
        match self.exits.recv().await {
            Some(exit) => exit,
            // Cannot happen: `self.spawner` holds a sender.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        for handle in self.spawner.handles.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            handle.abort();
        }
    }
}

impl Spawner {
    /// See [`Supervisor::spawn`].
    pub fn spawn<F, E>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        self.spawn_boxed(name.into(), Box::pin(future.map_err(|failure| error_chain(&failure))));
    }

    fn spawn_boxed(&self, name: String, future: BoxFuture<'static, Result<(), String>>) {
        let exits = self.exits.clone();
        let handle = tokio::spawn(async move {
            let outcome = match AssertUnwindSafe(future).catch_unwind().await {
                Ok(Ok(())) => Outcome::Finished,
                Ok(Err(failure)) => Outcome::Failed(failure),
                Err(panic) => Outcome::Panicked(panic_message(panic.as_ref())),
            };
            match &outcome {
                Outcome::Finished => debug!(task = %name, "task finished"),
                Outcome::Failed(reason) => error!(task = %name, %reason, "task failed"),
                Outcome::Panicked(reason) => error!(task = %name, %reason, "task panicked"),
            }
            // The supervisor may be gone already; then nobody waits for the exit.
            let _ = exits.send(Exit { name, outcome });
        });
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle.abort_handle());
    }
}

/// An error with its sources, each level once: `a: b: c`.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        append(&mut text, inner);
        source = inner.source();
    }
    text
}

/// Some libraries repeat their source in their own text; do not print it twice.
fn append(text: &mut String, inner: &dyn Display) {
    let inner = inner.to_string();
    if !text.contains(&inner) {
        text.push_str(": ");
        text.push_str(&inner);
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_kind_of_exit_is_reported() {
        let mut supervisor = Supervisor::new();
        supervisor.spawn("fine", async { Ok::<(), std::io::Error>(()) });
        assert_eq!(supervisor.next_exit().await.outcome, Outcome::Finished);
        supervisor.spawn("broken", async { Err(std::io::Error::other("no disk")) });
        let exit = supervisor.next_exit().await;
        assert_eq!((exit.name.as_str(), exit.outcome), ("broken", Outcome::Failed("no disk".to_owned())));
        supervisor.spawn("bug", async { panic!("oh {}", "no") as Result<(), std::io::Error> });
        assert_eq!(supervisor.next_exit().await.outcome, Outcome::Panicked("oh no".to_owned()));
    }
}
