//! A proxy at rest holds what it needs: memory that starting or a burst of work took goes back to the system once the
//! work is over. Knows when, not how ([`crate::sys::memory`]).

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use crate::sys::memory;

/// How often the proxy is looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// Of the processor, the share below which a proxy is at rest: the few hundred pages that come back afterwards then
/// delay nobody who would notice.
const REST: f64 = 0.01;
/// So many bytes more than the last time are worth the while.
const WORTH: u64 = 1 << 20;

/// Gives memory back whenever the proxy comes to rest, for as long as it runs.
pub(super) async fn give_back_at_rest() {
    let mut watch = Watch::new(Reading::now());
    loop {
        tokio::time::sleep(INTERVAL).await;
        if watch.is_time(Reading::now(), INTERVAL) {
            memory::give_back();
        }
    }
}

/// What a proxy has used.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Of processors, since it started.
    processor: Duration,
    /// Resident memory in bytes.
    resident: u64,
}

impl Reading {
    fn now() -> Self {
        let processor = getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::MAX, |usage| {
            let microseconds = [usage.user_time(), usage.system_time()]
                .map(|time| time.tv_sec().saturating_mul(1_000_000).saturating_add(time.tv_usec()));
            Duration::from_micros(microseconds.iter().map(|&time| u64::try_from(time).unwrap_or(0)).sum())
        });
        Self { processor, resident: memory::resident() }
    }
}

/// Decides from one reading to the next.
#[derive(Debug)]
struct Watch {
    last: Reading,
    /// Resident memory soon after memory was given back; `None` until it was.
    settled: Option<u64>,
    just_gave: bool,
}

impl Watch {
    fn new(start: Reading) -> Self {
        Self { last: start, settled: None, just_gave: false }
    }

    /// Whether memory should be given back now, `passed` after the last reading.
    fn is_time(&mut self, now: Reading, passed: Duration) -> bool {
        let busy = now.processor.saturating_sub(self.last.processor);
        self.last = now;
        if std::mem::take(&mut self.just_gave) {
            self.settled = Some(now.resident);
        }
        let grown = self.settled.is_none_or(|settled| now.resident >= settled.saturating_add(WORTH));
        self.just_gave = grown && busy.as_secs_f64() < passed.as_secs_f64() * REST;
        self.just_gave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: Duration = Duration::from_secs(10);

    fn reading(milliseconds: u64, megabytes: u64) -> Reading {
        Reading { processor: Duration::from_millis(milliseconds), resident: megabytes << 20 }
    }

    #[test]
    fn a_proxy_that_works_keeps_its_memory_until_it_rests() {
        let mut watch = Watch::new(reading(80, 20));
        assert!(!watch.is_time(reading(5_000, 30), PASSED), "half a processor");
        assert!(!watch.is_time(reading(5_100, 30), PASSED), "just a hundredth");
        assert!(watch.is_time(reading(5_150, 30), PASSED), "at rest");
    }

    #[test]
    fn what_stays_resident_is_not_given_back_again() {
        let mut watch = Watch::new(reading(80, 20));
        assert!(watch.is_time(reading(90, 20), PASSED));
        assert!(!watch.is_time(reading(100, 8), PASSED), "what came back is needed");
        assert!(!watch.is_time(reading(110, 8), PASSED));
        assert!(watch.is_time(reading(120, 9), PASSED), "a megabyte more");
        assert!(!watch.is_time(reading(130, 9), PASSED), "which came back at once");
        assert!(!watch.is_time(reading(140, 9), PASSED));
    }

    #[test]
    fn a_reading_grows_with_work() {
        let before = Reading::now();
        while Reading::now().processor == before.processor {
            std::hint::spin_loop();
        }
        assert!(before.resident > 0);
    }
}
