//! How soon a push may follow the one before: not before that one has reached those it was for, and as long again, up to a second.
//!
//! What a push costs is mostly paid after it was announced, by the streams that generate and encode and by the proxies that read and
//! compile. Without this, changes that come one by one would each be pushed to a mesh that is still busy with the last, the slower the more
//! often; with it, pushes in a row take at most about half of the time, and what comes meanwhile goes together.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

/// Longest rest after a push that has arrived.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The last push, as far as the next one has to wait for it.
pub(super) struct Pace {
    began: Instant,
    /// Resolve when a proxy has what it was told of.
    arriving: FuturesUnordered<BoxFuture<'static, ()>>,
    /// How many of them are waited for.
    missing: usize,
    /// No push is waited for longer.
    patience: Duration,
    /// When the next push may begin; `None` while the last one is not over.
    next: Option<Instant>,
}

impl Pace {
    /// Nothing was pushed yet.
    pub(super) fn new() -> Self {
        Self::after(Instant::now(), std::iter::empty(), Duration::ZERO)
    }

    /// A push that began at `began`, and resolves for each of those it was for when it has arrived. Half are waited for, and none longer
    /// than `patience`: one that is slow or hangs holds up nobody.
    pub(super) fn after(
        began: Instant,
        arriving: impl Iterator<Item = BoxFuture<'static, ()>>,
        patience: Duration,
    ) -> Self {
        let arriving: FuturesUnordered<_> = arriving.collect();
        Self { began, missing: arriving.len().div_ceil(2), arriving, patience, next: None }
    }

    /// Waits until the next push may begin. Cancel safe; ask early, for the time is taken while this is asked.
    pub(super) async fn ready(&mut self) {
        let next = match self.next {
            Some(next) => next,
            None => {
                let over = tokio::time::timeout_at(self.began + self.patience, self.arrival()).await.is_ok();
                let now = Instant::now();
                // Whoever does not answer gets no more time.
                let next = if over { now + (now - self.began).min(LONGEST_REST) } else { now };
                self.arriving.clear();
                *self.next.insert(next)
            }
        };
        tokio::time::sleep_until(next).await;
    }

    async fn arrival(&mut self) {
        while self.missing > 0 && self.arriving.next().await.is_some() {
            self.missing -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn after(milliseconds: u64) -> BoxFuture<'static, ()> {
        tokio::time::sleep(Duration::from_millis(milliseconds)).boxed()
    }

    /// How long after its begin a push that arrives like this holds up the next one.
    async fn held_up(arriving: Vec<BoxFuture<'static, ()>>) -> Duration {
        let began = Instant::now();
        let mut pace = Pace::after(began, arriving.into_iter(), Duration::from_secs(10));
        // Whoever asks may be called away.
        assert!(pace.ready().now_or_never().is_none());
        pace.ready().await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_push_waits_as_long_as_the_last_one_took_whoever_hangs() {
        let never = || std::future::pending().boxed();
        assert_eq!(held_up(vec![after(30), never(), after(20), after(40)]).await.as_millis(), 60);
        assert_eq!(held_up(vec![after(300)]).await.as_millis(), 600);
        assert_eq!(held_up(vec![after(3_000)]).await.as_secs(), 4);
        assert_eq!(held_up(vec![never()]).await.as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_for_nobody_holds_up_nothing() {
        let began = Instant::now();
        Pace::new().ready().await;
        Pace::after(began, std::iter::empty(), Duration::from_secs(10)).ready().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
