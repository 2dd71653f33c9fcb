//! Which pod addresses are taken.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use super::{NODE_ADDRESS, NetworkError, POD_PREFIX};

/// Hands out addresses upwards and starts again only at the end of the range, so that a freed address rests for long.
#[derive(Debug)]
pub(super) struct AddressPool {
    taken: HashSet<Ipv4Addr>,
    last: u32,
}

impl AddressPool {
    pub(super) fn new() -> Self {
        Self { taken: HashSet::new(), last: u32::from(NODE_ADDRESS) }
    }

    pub(super) fn allocate(&mut self) -> Result<Ipv4Addr, NetworkError> {
        let network = u32::from(NODE_ADDRESS) & (u32::MAX << (32 - POD_PREFIX));
        let broadcast = network | (u32::MAX >> POD_PREFIX);
        for _ in network..broadcast {
            self.last = if self.last + 1 >= broadcast { network + 1 } else { self.last + 1 };
            let address = Ipv4Addr::from(self.last);
            if address != NODE_ADDRESS && self.taken.insert(address) {
                return Ok(address);
            }
        }
        Err(NetworkError::Exhausted)
    }

    pub(super) fn release(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unique_rest_after_release_and_run_out() {
        let mut pool = AddressPool::new();
        let first = pool.allocate().unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 244, 0, 2));
        pool.release(first);
        assert_eq!(pool.allocate().unwrap(), Ipv4Addr::new(10, 244, 0, 3));
        for _ in 0..65_532 {
            assert!(pool.allocate().is_ok());
        }
        assert!(matches!(pool.allocate(), Err(NetworkError::Exhausted)));
    }
}
