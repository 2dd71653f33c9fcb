//! How much one peer may ask of what is costly: signatures, and questions to the API server about tokens.
//!
//! Each address has a bucket of points that fills up again with time. What comes without good credentials costs many times what a
//! proxy's request does, so that guessing is slow and a whole node of proxies behind one address still starts at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Points that a bucket holds: requests that may come at once.
const CAPACITY: f64 = 500.0;
/// Points that come back each second.
const REFILL: f64 = 100.0;
/// Addresses remembered; buckets that are full again are forgotten first.
const MAX_ADDRESSES: usize = 10_000;

/// A request that is worth answering.
pub(crate) const REQUEST: f64 = 1.0;
/// One without good credentials.
pub(crate) const REFUSAL: f64 = 20.0;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    points: f64,
    at: Instant,
}

impl Bucket {
    fn now(self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.points + since * REFILL).min(CAPACITY)
    }
}

/// The buckets.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Throttle {
    /// Takes points from the bucket of an address; false where there are too few. An unknown address is not held back.
    pub(crate) fn take(&self, address: Option<IpAddr>, points: f64) -> bool {
        self.take_at(address, points, Instant::now())
    }

    fn take_at(&self, address: Option<IpAddr>, points: f64, now: Instant) -> bool {
        let Some(address) = address else { return true };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| bucket.now(now) < CAPACITY);
            if buckets.len() >= MAX_ADDRESSES {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { points: CAPACITY, at: now });
        let left = bucket.now(now);
        let enough = left >= points;
        *bucket = Bucket { points: if enough { left - points } else { left }, at: now };
        enough
    }

    /// Takes points that are owed for something that has been done already.
    pub(crate) fn charge(&self, address: Option<IpAddr>, points: f64) {
        let Some(address) = address else { return };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(&address) {
            *bucket = Bucket { points: (bucket.now(now) - points).max(0.0), at: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_address_has_its_own_bucket_which_fills_again() {
        let throttle = Throttle::default();
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        let now = Instant::now();
        let taken = (0..1_000).filter(|_| throttle.take_at(one, REQUEST, now)).count();
        assert_eq!(taken, 500);
        assert!(throttle.take_at(other, REQUEST, now), "others are not held back");
        assert!(throttle.take_at(None, REQUEST, now));
        assert!(throttle.take_at(one, REFUSAL, now + Duration::from_millis(250)));
        assert!(!throttle.take_at(one, REFUSAL, now + Duration::from_millis(250)));
    }

    #[test]
    fn many_addresses_need_no_more_room_than_there_is() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..25_000u32 {
            assert!(throttle.take_at(Some(IpAddr::from(number.to_be_bytes())), REQUEST, now));
        }
        assert!(throttle.buckets.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
