//! Whether a request is traced. The first proxy decides, and writes it into the request id, where all others read it.

use super::config::Shares;
use crate::http::headers::HeaderList;

/// Place of the digit in a UUID that tells; `4` of a random UUID means no.
const PLACE: usize = 14;
const UNTRACED: u8 = b'4';
const SAMPLED: u8 = b'9';
/// A proxy was asked to (`x-envoy-force-trace`).
const FORCED: u8 = b'a';
/// The client asked (`x-client-trace-id`).
const CLIENT: u8 = b'b';

/// Decides, and marks the request id. Requests whose id is no UUID are not traced.
pub(super) fn decide(headers: &mut HeaderList, shares: Shares) -> bool {
    let Some(id) = headers.get(b"x-request-id").filter(|id| id.len() == 36) else { return false };
    let Some(number) = first_digits(id) else { return false };
    let draw = number % 10_000;
    let before = id[PLACE];
    let mut now = before;
    if !matches!(before, SAMPLED | FORCED | CLIENT) {
        now = if headers.contains(b"x-client-trace-id") && draw < shares.client {
            CLIENT
        } else if headers.contains(b"x-envoy-force-trace") {
            FORCED
        } else if draw < shares.random {
            SAMPLED
        } else {
            UNTRACED
        };
    }
    if now != UNTRACED && draw >= shares.overall {
        now = UNTRACED;
    }
    if now != before {
        let mut id = id.to_vec();
        id[PLACE] = now;
        headers.set(b"x-request-id", &id);
    }
    now != UNTRACED
}

/// The eight digits in front, which are random and the same for every proxy.
fn first_digits(id: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(id.get(..8)?).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares { client: 10_000, random: 100, overall: 10_000 };

    fn decided(id: &[u8], header: Option<&[u8]>, shares: Shares) -> (bool, String) {
        let mut headers = HeaderList::default();
        headers.append(b"x-request-id", id);
        if let Some(name) = header {
            headers.append(name, b"1");
        }
        let traced = decide(&mut headers, shares);
        (traced, headers.get_text(b"x-request-id").unwrap_or_default().to_owned())
    }

    #[test]
    fn the_request_id_carries_the_decision() {
        // 0x63 = 99 is below one percent of ten thousand, 0x64 = 100 is not.
        let (low, high) = (b"00000063-0000-4000-8000-000000000000", b"00000064-0000-4000-8000-000000000000");
        assert_eq!(decided(low, None, SHARES), (true, "00000063-0000-9000-8000-000000000000".into()));
        assert_eq!(decided(high, None, SHARES), (false, "00000064-0000-4000-8000-000000000000".into()));
        let forced = "00000064-0000-a000-8000-000000000000".to_owned();
        assert_eq!(decided(high, Some(b"x-envoy-force-trace"), SHARES), (true, forced.clone()));
        let by_client = "00000064-0000-b000-8000-000000000000".to_owned();
        assert_eq!(decided(high, Some(b"x-client-trace-id"), SHARES), (true, by_client));
        // What was decided before holds, whatever the share here.
        let none = Shares { random: 0, ..SHARES };
        assert_eq!(decided(forced.as_bytes(), None, none), (true, forced));
        let off = Shares { overall: 0, ..SHARES };
        assert!(!decided(low, None, off).0);
        assert_eq!(decided(b"mine", None, SHARES), (false, "mine".into()));
    }
}
