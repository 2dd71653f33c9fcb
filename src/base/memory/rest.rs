//! A process at rest holds what it needs: memory that starting or a burst of work took goes back to the system once the
//! work is over. Knows when, not how ([`super::give_back`]).

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use super::{give_back, resident};

/// How often the process is looked at.
const INTERVAL: Duration = Duration::from_secs(10);
/// Of the processor, the share below which a process is at rest: the few hundred pages that come back afterwards then
/// delay nobody who would notice.
const REST: f64 = 0.01;
/// So much work since the last time, which a proxy without traffic does in minutes, and so many bytes more than then
/// are worth the while.
const WORTH: Reading = Reading { processor: Duration::from_millis(10), resident: 1 << 20 };

/// Gives memory back now, when the process has started, and whenever it comes to rest, for as long as it runs.
pub async fn give_back_at_rest() {
    give_back();
    let mut watch = Watch { last: Reading::now(), given_back: None };
    loop {
        tokio::time::sleep(INTERVAL).await;
        if watch.is_time(Reading::now(), INTERVAL) {
            give_back();
            watch.given_back = Some(Reading::now());
        }
    }
}

/// What the process has used.
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
        Self { processor, resident: resident() }
    }
}

/// Decides from one reading to the next.
#[derive(Debug)]
struct Watch {
    last: Reading,
    /// Right after memory was given back the last time.
    given_back: Option<Reading>,
}

impl Watch {
    /// Whether memory should be given back now, `passed` after the last reading.
    fn is_time(&mut self, now: Reading, passed: Duration) -> bool {
        let busy = now.processor.saturating_sub(self.last.processor);
        self.last = now;
        let at_rest = busy.as_secs_f64() < passed.as_secs_f64() * REST;
        at_rest
            && self.given_back.is_none_or(|then| {
                now.processor.saturating_sub(then.processor) >= WORTH.processor
                    && now.resident.saturating_sub(then.resident) >= WORTH.resident
            })
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
    fn a_process_that_works_keeps_its_memory_until_it_rests() {
        let mut watch = Watch { last: reading(80, 20), given_back: None };
        assert!(!watch.is_time(reading(5_000, 30), PASSED), "half a processor");
        assert!(!watch.is_time(reading(5_100, 30), PASSED), "just a hundredth");
        assert!(watch.is_time(reading(5_150, 30), PASSED), "at rest");
    }

    #[test]
    fn memory_is_given_back_again_after_work_that_took_some() {
        let mut watch = Watch { last: reading(100, 20), given_back: Some(reading(100, 5)) };
        assert!(!watch.is_time(reading(109, 8), PASSED), "what comes back to a process at rest is needed");
        assert!(!watch.is_time(reading(900, 12), PASSED), "at work");
        assert!(watch.is_time(reading(950, 12), PASSED), "at rest again");
        watch.given_back = Some(reading(950, 5));
        assert!(!watch.is_time(reading(959, 12), PASSED), "little work");
        assert!(watch.is_time(reading(960, 12), PASSED));
        watch.given_back = Some(reading(960, 12));
        assert!(!watch.is_time(reading(1_000, 12), PASSED), "no memory to give");
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
