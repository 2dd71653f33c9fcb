//! How long a certificate lives and when it is time for the next.

use std::time::{Duration, SystemTime};

use x509_parser::pem::Pem;

use super::CertificateError;

/// From when to when a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// Part of the life after which the next one is asked for.
const RENEWAL: f64 = 0.5;
/// Spread around it, so that proxies that started together do not renew together.
const SPREAD: f64 = 0.01;
/// Shortest wait, whatever the certificate says.
const SHORTEST: Duration = Duration::from_millis(500);

/// The lifetime of the first certificate of a chain.
pub(super) fn of(chain: &[u8]) -> Result<Lifetime, CertificateError> {
    let pem =
        Pem::iter_from_buffer(chain).next().and_then(Result::ok).ok_or(CertificateError::NotACertificate)?;
    let certificate = pem.parse_x509().map_err(|_| CertificateError::NotACertificate)?;
    let moment =
        |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Ok(Lifetime {
        not_before: moment(certificate.validity().not_before.timestamp()),
        not_after: moment(certificate.validity().not_after.timestamp()),
    })
}

impl Lifetime {
    /// The end, for people.
    pub(super) fn end(&self) -> jiff::Timestamp {
        jiff::Timestamp::try_from(self.not_after).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Whether `now` is well past the time of renewal, or before the certificate is good at all.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        now < self.not_before || now > self.not_before + life.mul_f64(RENEWAL + 2.0 * SPREAD)
    }

    /// How long to wait from `now`.
    pub(super) fn until_renewal(&self, now: SystemTime) -> Duration {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        let at = self.not_before + life.mul_f64(RENEWAL + SPREAD * spread());
        at.duration_since(now).unwrap_or_default().max(SHORTEST)
    }
}

/// A number between -1 and 1, another in each process and at each call.
fn spread() -> f64 {
    let hash = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    f64::from((hash >> 40) as u32) / f64::from(1u32 << 24) * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_comes_at_half_the_life_give_or_take_a_little() {
        let now = SystemTime::now();
        let lifetime = Lifetime { not_before: now, not_after: now + Duration::from_secs(86_400) };
        for _ in 0..100 {
            let wait = lifetime.until_renewal(now).as_secs();
            assert!((43_200 - 864..=43_200 + 864).contains(&wait), "{wait}");
        }
        assert_eq!(lifetime.until_renewal(now + Duration::from_secs(80_000)), SHORTEST);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert!(!lifetime.is_over(now) && !lifetime.is_over(now + hours(12)));
        assert!(lifetime.is_over(now + hours(13)), "the machine slept");
        assert!(lifetime.is_over(now - hours(1)), "the clock was set back");
    }
}
