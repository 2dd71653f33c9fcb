//! `fortio load`: so many connections call until so many calls are made, or so long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::arguments::Options;
use super::grpc;
use super::histogram::Samples;
use super::http::Target;

/// What one connection, or all together, brought.
#[derive(Debug, Default)]
struct Outcome {
    times: Samples,
    failed_times: Samples,
    head_sizes: Samples,
    sizes: Samples,
    codes: BTreeMap<String, u64>,
    sockets: u64,
    addresses: BTreeSet<String>,
}

/// Hands out calls.
struct Schedule {
    next: AtomicU64,
    calls: u64,
    rate: f64,
    began: Instant,
    until: Option<Instant>,
}

impl Schedule {
    fn of(options: &Options) -> Self {
        let began = Instant::now();
        let until = (options.calls == 0).then(|| began + options.duration);
        Self { next: AtomicU64::new(0), calls: options.calls, rate: options.rate, began, until }
    }

    /// Waits for the next call's turn; false when there is none.
    async fn turn(&self) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.until.is_none() && number >= self.calls {
            return false;
        }
        if self.rate > 0.0 {
            let at = self.began + Duration::from_secs_f64((number as f64 / self.rate).min(1e7));
            if self.until.is_some_and(|until| at >= until) {
                return false;
            }
            tokio::time::sleep_until(at.into()).await;
        }
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// Runs the load and prints what fortio prints.
pub(super) async fn run(options: &Options) -> Result<(), String> {
    let named = options.targets.first().cloned().unwrap_or_default();
    announce(options, &named);
    let options = Arc::new(options.clone());
    let schedule = Arc::new(Schedule::of(&options));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..options.connections {
        workers.spawn(work(options.clone(), schedule.clone()));
    }
    let mut all = Outcome::default();
    while let Some(done) = workers.join_next().await {
        all.add(done.map_err(|error| error.to_string())??);
    }
    print(&options, &all, schedule.began.elapsed());
    Ok(())
}

async fn work(options: Arc<Options>, schedule: Arc<Schedule>) -> Result<Outcome, String> {
    if options.grpc { work_grpc(&options, &schedule).await } else { work_http(&options, &schedule).await }
}

async fn work_http(options: &Options, schedule: &Schedule) -> Result<Outcome, String> {
    let target = Target::of(options)?;
    let mut connection = target.connection(options.timeout);
    let mut outcome = Outcome::default();
    while schedule.turn().await {
        let began = Instant::now();
        let answer = target.call(&mut connection, options).await?;
        outcome.count(
            began,
            (200..300).contains(&answer.code) || answer.code == 418,
            answer.code.to_string(),
        );
        outcome.head_sizes.0.push(answer.head_size as f64);
        outcome.sizes.0.push(answer.size as f64);
        outcome.addresses.extend(connection.address.map(|address| address.to_string()));
    }
    outcome.sockets = connection.opened;
    Ok(outcome)
}

async fn work_grpc(options: &Options, schedule: &Schedule) -> Result<Outcome, String> {
    let mut client = grpc::Client::of(options)?;
    let mut outcome = Outcome::default();
    while schedule.turn().await {
        let began = Instant::now();
        let (fine, word) = client.call(options).await;
        outcome.count(began, fine, word);
    }
    outcome.sockets = client.opened();
    Ok(outcome)
}

impl Outcome {
    fn count(&mut self, began: Instant, fine: bool, code: String) {
        let seconds = began.elapsed().as_secs_f64();
        self.times.0.push(seconds);
        if !fine {
            self.failed_times.0.push(seconds);
        }
        *self.codes.entry(code).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.times.0.extend(other.times.0);
        self.failed_times.0.extend(other.failed_times.0);
        self.head_sizes.0.extend(other.head_sizes.0);
        self.sizes.0.extend(other.sizes.0);
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        self.sockets += other.sockets;
        self.addresses.extend(other.addresses);
    }
}

fn announce(options: &Options, target: &str) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (threads, calls) = (options.connections, options.calls);
    let amount = if calls == 0 { format!("{:?}", options.duration) } else { format!("{calls} calls") };
    println!(
        "Fortio {} running at {} queries per second, {cores}->{cores} procs, for {amount}: {target}",
        env!("CARGO_PKG_VERSION"),
        options.rate
    );
    let speed = if options.rate > 0.0 { format!("at {} qps", options.rate) } else { "at max qps".to_owned() };
    let each = calls / threads as u64;
    let share = if calls == 0 {
        format!("for {:?}", options.duration)
    } else {
        format!("for exactly {calls} calls ({each} per thread + {})", calls - each * threads as u64)
    };
    println!("Starting {speed} with {threads} thread(s) [gomax {cores}] {share}");
}

fn print(options: &Options, all: &Outcome, elapsed: Duration) {
    let count = all.times.0.len();
    let rate = count as f64 / elapsed.as_secs_f64().max(1e-9);
    println!("Ended after {elapsed:.3?} : {count} calls. qps={rate:.5}");
    println!("{}", all.times.summary("Aggregated Function Time"));
    print!("{}", all.times.histogram(0.001));
    println!("{}", all.failed_times.summary("Error cases"));
    if !options.grpc {
        println!("Sockets used: {} (for perfect keepalive, would be {})", all.sockets, options.connections);
        println!("Uniform: false, Jitter: false");
        println!("IP addresses distribution:");
        all.addresses.iter().for_each(|address| println!("{address}"));
    }
    for (code, calls) in &all.codes {
        let share = *calls as f64 * 100.0 / count.max(1) as f64;
        match (options.grpc, options.ping) {
            (true, true) => println!("Ping {code} : {calls}"),
            (true, false) => println!("Health {code} : {calls}"),
            (false, _) => println!("Code {code:>3} : {calls} ({share:.1} %)"),
        }
    }
    if !options.grpc {
        println!("{}", all.head_sizes.summary("Response Header Sizes"));
        println!("{}", all.sizes.summary("Response Body/Total Sizes"));
    }
    let average = all.times.0.iter().sum::<f64>() * 1000.0 / count.max(1) as f64;
    println!("All done {count} calls (plus 0 warmup) {average:.3} ms avg, {rate:.1} qps");
}
