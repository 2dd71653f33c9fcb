//! The client: keep-alive connections that ask again as soon as they are answered, or at a fixed rate.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::affinity;

/// A request as a browser or a library would send it, with the headers that cost the proxies something.
const REQUEST: &[u8] =
    b"GET /bench?q=1 HTTP/1.1\r\nhost: bench.test\r\nuser-agent: bench/1.0\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\n\r\n";

/// What the client saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    /// One for each request, only at a fixed rate; counted from when the request was due.
    pub(crate) latencies: Vec<Duration>,
}

/// How the client sends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// The next request follows the answer.
    Closed,
    /// So many requests a second over all connections, whether answers came or not.
    Rate(u64),
}

/// Sends for `length` over `connections` connections.
pub(crate) fn run(
    target: SocketAddr,
    connections: usize,
    length: Duration,
    pace: Pace,
) -> anyhow::Result<Seen> {
    let client = affinity::on_last(move || -> anyhow::Result<Seen> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, all(target, connections, length, pace))
    });
    client.join().map_err(|_| anyhow::anyhow!("the client ended"))?
}

async fn all(target: SocketAddr, connections: usize, length: Duration, pace: Pace) -> anyhow::Result<Seen> {
    let (requests, latencies) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for index in 0..connections {
        let (requests, latencies) = (requests.clone(), latencies.clone());
        let gap = match pace {
            Pace::Closed => None,
            Pace::Rate(rate) => Some(Duration::from_secs_f64(connections as f64 / rate as f64)),
        };
        tasks.push(tokio::task::spawn_local(async move {
            let mut connection = Connection::open(target).await?;
            // Spread over the gap, so that connections do not send at the same moment.
            let mut due = start + gap.unwrap_or_default().mul_f64(index as f64 / connections as f64);
            while start.elapsed() < length {
                if gap.is_some() {
                    tokio::time::sleep_until(due.into()).await;
                }
                connection.ask().await?;
                requests.set(requests.get() + 1);
                if let Some(gap) = gap {
                    latencies.borrow_mut().push(due.elapsed());
                    due += gap;
                }
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(Seen { requests: requests.get(), latencies: latencies.take() })
}

/// One request, to see whether the target serves.
pub(crate) async fn probe(target: SocketAddr) -> anyhow::Result<()> {
    Connection::open(target).await?.ask().await
}

struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
}

impl Connection {
    async fn open(target: SocketAddr) -> anyhow::Result<Self> {
        let socket =
            TcpStream::connect(target).await.with_context(|| format!("cannot connect to {target}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, input: vec![0; 64 * 1024] })
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        self.socket.write_all(REQUEST).await?;
        let (mut kept, mut whole) = (0, None);
        while whole.is_none_or(|whole| kept < whole) {
            ensure!(kept < self.input.len(), "the answer is too long");
            let count = self.socket.read(&mut self.input[kept..]).await?;
            ensure!(count > 0, "the proxy closed the connection");
            kept += count;
            if whole.is_none() {
                whole = answer_length(&self.input[..kept])?;
            }
        }
        Ok(())
    }
}

/// Bytes of head and body, once the head is there.
fn answer_length(input: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&input[..end]).context("the answer's head is no text")?;
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "unexpected answer: {}",
        head.lines().next().unwrap_or_default()
    );
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    Ok(Some(end + 4 + length.context("the answer has no content-length")?))
}
