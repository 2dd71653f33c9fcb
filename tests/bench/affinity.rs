//! Which processor does what: the proxies alone on the first, client and server on the last.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect()
}

fn pin(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        let _ = set.set(*cpu);
    }
    // Not allowed to choose: the figures are noisier, which the spread shows.
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

/// Says where things run.
pub(crate) fn describe() {
    match allowed().as_slice() {
        [first, .., last] => println!("proxies on processor {first}, client and server on processor {last}"),
        _ => println!("one processor for everything: expect noise"),
    }
}

/// Runs `work` on a thread of its own that may use the last processor only.
pub(crate) fn on_last<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::spawn(move || {
        if let [_, .., last] = allowed().as_slice() {
            pin(&[*last]);
        }
        work()
    })
}

/// Starts a process that may use the first processor only.
pub(crate) fn spawn_on_first(command: &mut std::process::Command) -> std::io::Result<std::process::Child> {
    std::thread::scope(|scope| {
        let spawning = scope.spawn(|| {
            if let [first, _, ..] = allowed().as_slice() {
                pin(&[*first]);
            }
            command.spawn()
        });
        spawning.join().unwrap_or_else(|_| Err(std::io::Error::other("the starting thread ended")))
    })
}
