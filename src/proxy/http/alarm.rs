//! One timer for all the waiting of one connection.
//!
//! Almost no deadline is ever reached, so a deadline that moves further away leaves the timer alone: it goes off early,
//! finds that there is time left, and is set anew. A request in steady state costs no timer operation.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// The timer; without memory until it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Runs `work` until `due`, which is asked again whenever the timer goes off. `None` = the time is over.
    pub(crate) async fn limit<T>(
        &mut self,
        due: impl Fn() -> Option<Instant>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_due(cx, &due).map(|()| None),
        })
        .await
    }

    fn poll_due(&mut self, cx: &mut Context<'_>, due: &impl Fn() -> Option<Instant>) -> Poll<()> {
        let Some(mut until) = due() else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        if sleep.deadline() > until.into() {
            sleep.as_mut().reset(until.into());
        }
        while sleep.as_mut().poll(cx).is_ready() {
            match due() {
                Some(later) if later > Instant::now() => until = later,
                Some(_) => return Poll::Ready(()),
                None => return Poll::Pending,
            }
            sleep.as_mut().reset(until.into());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    use super::Alarm;

    #[tokio::test]
    async fn a_deadline_that_moves_is_followed() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        let due = Cell::new(start + Duration::from_secs(60));
        assert_eq!(alarm.limit(|| Some(due.get()), tokio::task::yield_now()).await, Some(()));
        // Sooner than the timer was set to.
        due.set(start + Duration::from_millis(20));
        assert_eq!(alarm.limit(|| Some(due.get()), std::future::pending::<()>()).await, None);
        assert!(start.elapsed() >= Duration::from_millis(20), "{:?}", start.elapsed());
        let never: Option<Instant> = None;
        assert_eq!(alarm.limit(|| never, async { 7 }).await, Some(7));
    }
}
