//! Who is given Secrets over discovery: whoever may list them in its namespace, by the API server's word.
//!
//! The word is remembered for a while, and asked for beside discovery: a proxy that is refused gets its Secrets once a role was bound.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sagene_model::Identity;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long the API server's word counts before it is asked again, as in Istio.
const MEMORY: Duration = Duration::from_secs(60);
/// The same for a refusal: somebody may be binding the role just now.
const REFUSAL_MEMORY: Duration = Duration::from_secs(5);
/// So many callers, and those that were refused are forgotten.
const MOST_CALLERS: usize = 10_000;

/// What is known of callers.
#[derive(Debug, Default)]
pub(crate) struct SecretAccess {
    known: Mutex<HashMap<Identity, Answer>>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Answer {
    is_allowed: bool,
    /// When the API server said so; `None` = it was not asked yet.
    since: Option<Instant>,
    is_wanted: bool,
}

impl Answer {
    fn is_stale(&self) -> bool {
        let memory = if self.is_allowed { MEMORY } else { REFUSAL_MEMORY };
        self.since.is_none_or(|since| since.elapsed() >= memory)
    }
}

impl SecretAccess {
    /// Whether a caller may have Secrets, as far as is known. What is not known, or was not asked for long, is asked.
    pub(crate) fn allows(&self, caller: &Identity) -> bool {
        let mut known = self.known();
        if known.len() >= MOST_CALLERS && !known.contains_key(caller) {
            // Whoever has Secrets keeps them: only refusals are asked for again.
            known.retain(|_, answer| answer.is_allowed);
        }
        let answer = known.entry(caller.clone()).or_default();
        if answer.is_stale() {
            answer.is_wanted = true;
            self.asked.notify_one();
        }
        answer.is_allowed
    }

    /// Whether the API server's word about a caller is fresh.
    pub(crate) fn is_known(&self, caller: &Identity) -> bool {
        self.known().get(caller).is_some_and(|answer| !answer.is_stale())
    }

    /// Takes the API server's word, `None` where it could not be asked: what was known counts on. True where a caller that was
    /// refused may have Secrets from now on.
    pub(crate) fn learn(&self, caller: &Identity, word: Option<bool>) -> bool {
        let mut known = self.known();
        let answer = known.entry(caller.clone()).or_default();
        let before = answer.is_allowed;
        answer.is_allowed = word.unwrap_or(before);
        answer.since = Some(Instant::now());
        answer.is_wanted = false;
        answer.is_allowed && !before
    }

    /// Waits until somebody is to be asked about, no longer than a refusal counts.
    pub(crate) async fn due(&self) -> Vec<Identity> {
        let _asked_or_not = tokio::time::timeout(REFUSAL_MEMORY, self.asked.notified()).await;
        let known = self.known();
        known.iter().filter(|(_, answer)| answer.is_wanted).map(|(caller, _)| caller.clone()).collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Identity, Answer>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_asked_again_soon_and_a_word_counts_until_there_is_another() {
        let access = SecretAccess::default();
        let caller = Identity::new("cluster.local", "shop", "web");
        let asked = vec![caller.clone()];
        assert!(!access.allows(&caller) && !access.is_known(&caller));
        assert_eq!(access.due().await, asked);

        assert!(!access.learn(&caller, Some(false)));
        assert!(!access.allows(&caller) && access.is_known(&caller));
        assert!(access.due().await.is_empty(), "it was just refused");
        assert!(!access.allows(&caller));
        assert_eq!(access.due().await, asked);

        assert!(access.learn(&caller, Some(true)), "from now on");
        assert!(access.allows(&caller) && !access.learn(&caller, Some(true)));
        tokio::time::advance(MEMORY).await;
        assert!(access.allows(&caller), "until there is another word");
        assert_eq!(access.due().await, asked);
        assert!(!access.learn(&caller, None) && access.allows(&caller), "the API server could not be asked");
        access.learn(&caller, Some(false));
        assert!(!access.allows(&caller));
    }
}
