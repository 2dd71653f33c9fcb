//! `redis`: a store of texts and counters that speaks the protocol of the original (RESP2), as rate limit services and `redis-cli`
//! use it. What it holds is gone with the process.

mod cli;
pub(super) mod client;
mod command;
mod resp;
mod session;
mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::SampleError;
use super::serve::{listen, stopped};
use store::Store;

pub(super) use cli::run as run_cli;

const PORT: u16 = 6379;
/// Connections at once (the original's `maxclients`).
const CONNECTIONS: usize = 10_000;
/// How often values that nobody asks for any more are thrown away.
const SWEEP: Duration = Duration::from_secs(10);

/// What all connections share.
struct Server {
    store: Mutex<Store>,
    password: Option<String>,
    port: u16,
    free: Arc<Semaphore>,
}

/// Runs until it is stopped. Arguments as `redis-server` takes them: `--port N`, `--requirepass TEXT`; settings that would keep
/// data on disk have nothing to keep here and are taken: `--save`, `--appendonly`, `--protected-mode`, `--bind`, `--loglevel`.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let (port, password) = settings(arguments)?;
    let listener = listen(port).await?;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let server = Arc::new(Server { store: Mutex::default(), password, port, free });
    println!("* Ready to accept connections tcp");
    tokio::select! {
        () = accept(listener, server.clone()) => {}
        () = sweep(&server) => {}
        () = stopped() => {}
    }
    Ok(())
}

fn settings(arguments: &[String]) -> Result<(u16, Option<String>), SampleError> {
    let problem = |problem: String| SampleError::Argument { applet: "redis", problem };
    let (mut port, mut password) = (PORT, None);
    let mut rest = arguments.iter().filter(|word| *word != "redis-server");
    while let Some(name) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| problem(format!("{name} wants a value")));
        match name.as_str() {
            "--port" => {
                let text = value()?;
                port = text.parse().map_err(|_| problem(format!("{text:?} is no port")))?;
            }
            "--requirepass" => password = Some(value()?.clone()),
            "--save" | "--appendonly" | "--protected-mode" | "--bind" | "--loglevel" => drop(value()?),
            other => return Err(problem(format!("{other} is not known; known: --port, --requirepass"))),
        }
    }
    Ok((port, password.filter(|password| !password.is_empty())))
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let Ok(place) = server.free.clone().try_acquire_owned() else { continue };
        let server = server.clone();
        tokio::spawn(async move {
            // Broken off or said goodbye: it is over.
            let _ended = session::serve(stream, &server).await;
            drop(place);
        });
    }
}

async fn sweep(server: &Server) {
    loop {
        tokio::time::sleep(SWEEP).await;
        server.store().sweep();
    }
}

impl Server {
    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests;
