//! Which Service has which frontends, so that a change of one Service costs what it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Key;
use crate::network::{Backends, Frontend, Frontends};

/// The frontends of all Services.
#[derive(Default)]
pub(super) struct Book {
    /// Of several Services that claim one, as with `externalIPs`, the last by namespace and name has it.
    claims: BTreeMap<Frontend, BTreeMap<Key, Backends>>,
    of_service: HashMap<Key, BTreeSet<Frontend>>,
}

impl Book {
    /// Makes the frontends of a Service these. Returns those that may lead elsewhere now.
    pub(super) fn replace(&mut self, service: &Key, frontends: Frontends) -> BTreeSet<Frontend> {
        let mut touched = self.of_service.remove(service).unwrap_or_default();
        for frontend in &touched {
            if let Some(claims) = self.claims.get_mut(frontend) {
                claims.remove(service);
                if claims.is_empty() {
                    self.claims.remove(frontend);
                }
            }
        }
        if !frontends.is_empty() {
            self.of_service.insert(service.clone(), frontends.keys().copied().collect());
        }
        for (frontend, backends) in frontends {
            touched.insert(frontend);
            self.claims.entry(frontend).or_default().insert(service.clone(), backends);
        }
        touched
    }

    /// Where connections to a frontend go; `None` where no Service has it.
    pub(super) fn backends(&self, frontend: &Frontend) -> Option<&Backends> {
        self.claims.get(frontend)?.values().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Transport;

    fn key(name: &str) -> Key {
        ("shop".to_owned(), name.to_owned())
    }

    #[test]
    fn a_frontend_goes_back_to_who_else_claims_it() {
        let frontend =
            |port| Frontend { transport: Transport::Tcp, address: "192.0.2.1".parse().unwrap(), port };
        let leads_to = |port: u16| Backends {
            endpoints: vec![("10.244.0.9".parse().unwrap(), port)],
            ..Backends::default()
        };
        let mut book = Book::default();
        book.replace(&key("a"), [(frontend(80), leads_to(1)), (frontend(81), leads_to(1))].into());
        book.replace(&key("b"), [(frontend(80), leads_to(2))].into());
        assert_eq!(book.backends(&frontend(80)), Some(&leads_to(2)));
        let touched = book.replace(&key("b"), [(frontend(82), leads_to(2))].into());
        assert_eq!(touched, [frontend(80), frontend(82)].into());
        assert_eq!(book.backends(&frontend(80)), Some(&leads_to(1)));
        assert_eq!(book.replace(&key("a"), Frontends::new()), [frontend(80), frontend(81)].into());
        assert_eq!(book.backends(&frontend(81)), None);
    }
}
