//! CPU time and memory of processes, as the kernel tells in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Counters;

/// Ticks of a second in `/proc`, whatever the kernel's own: `USER_HZ`, the same on every architecture that this runs on.
const TICKS_PER_SECOND: u64 = 100;

/// What the processes of each namespace of process ids have used, by the link of the namespace (`pid:[4026531836]`). Processes that
/// ended count with who waited for them.
pub(in crate::node) fn read_processes() -> HashMap<PathBuf, Counters> {
    let mut found: HashMap<PathBuf, Counters> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        // One that has just ended.
        let Some((namespace, counters)) = read(&entry.path()) else { continue };
        let sum = found.entry(namespace).or_default();
        sum.microseconds += counters.microseconds;
        sum.bytes += counters.bytes;
    }
    found
}

/// The link of the namespace that a process, and so everything it starts, is in.
pub(in crate::node) fn namespace_of(process: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}

fn read(process: &Path) -> Option<(PathBuf, Counters)> {
    let namespace = fs::read_link(process.join("ns/pid")).ok()?;
    let ticks = ticks(&fs::read_to_string(process.join("stat")).ok()?)?;
    // One that has ended and is not waited for has none.
    let bytes = own_bytes(&fs::read_to_string(process.join("status")).ok()?).unwrap_or(0);
    Some((namespace, Counters { microseconds: ticks * 1_000_000 / TICKS_PER_SECOND, bytes }))
}

/// CPU time of the process and of its children that ended, from `stat`. The program's name, which may hold anything, is in brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).map(|field| field.parse().unwrap_or(0)).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

/// Memory that is no file's and no other process's, from `status`: the program file is one for all containers.
fn own_bytes(status: &str) -> Option<u64> {
    Some(kibibytes(status, "RssAnon:")? * 1024)
}

/// A line such as `RssAnon: 1024 kB`.
fn kibibytes(lines: &str, name: &str) -> Option<u64> {
    let value = lines.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// What everything on the machine has used.
pub(in crate::node) fn read_machine() -> Counters {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Counters {
        microseconds: busy_ticks(&stat) * 1_000_000 / TICKS_PER_SECOND,
        bytes: used_kibibytes(&memory).unwrap_or(0) * 1024,
    }
}

/// Ticks that were neither idle nor waiting, of the first line of `/proc/stat`.
fn busy_ticks(stat: &str) -> u64 {
    let line = stat.lines().next().unwrap_or("");
    let fields = line.split_whitespace().skip(1).take(8);
    let times = fields.map(|field| field.parse::<u64>().unwrap_or(0));
    // user nice system idle iowait irq softirq steal
    times.enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, ticks)| ticks).sum()
}

fn used_kibibytes(memory: &str) -> Option<u64> {
    Some(kibibytes(memory, "MemTotal:")?.saturating_sub(kibibytes(memory, "MemAvailable:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 11 22 33 44 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(110));
        assert_eq!(ticks("7 (a"), None);
        assert_eq!(own_bytes("Name:\ta\nVmRSS:\t 900 kB\nRssAnon:\t     200 kB\n"), Some(204_800));
        assert_eq!(busy_ticks("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 9 9 9"), 21);
        assert_eq!(used_kibibytes("MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   30 kB\n"), Some(70));
    }

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = read_processes();
        let counters = found[&namespace_of(own).unwrap()];
        assert!(counters.bytes > 0, "{counters:?}");
        assert!(read_machine().microseconds > 0);
    }
}
