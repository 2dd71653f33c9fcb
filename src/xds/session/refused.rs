//! What a client refuses: in force until other content of the resource is sent, however much else the client takes meanwhile.

use std::sync::Arc;

use super::watch::Sent;

/// Responses that a client rejected, as far as that still holds.
#[derive(Debug, Default)]
pub(super) struct Refused(Vec<Refusal>);

#[derive(Debug)]
struct Refusal {
    message: String,
    /// Of the resources that the client named: name and version.
    resources: Vec<(Arc<str>, u64)>,
    /// Of the response.
    nonce: String,
}

impl Refusal {
    /// A client that names no resource refuses its last response.
    fn holds(&self, sent: &Sent, nonce_sent: &str) -> bool {
        match self.resources.as_slice() {
            [] => self.nonce == nonce_sent,
            resources => resources.iter().any(|(name, version)| sent.version_of(name) == Some(*version)),
        }
    }
}

impl Refused {
    /// Takes in what a client said of the last response.
    pub(super) fn add(&mut self, message: &str, sent: &Sent, nonce_sent: &str) {
        let resources = named(message, sent);
        self.0.retain(|known| known.holds(sent, nonce_sent) && known.resources != resources);
        self.0.push(Refusal { message: message.to_owned(), resources, nonce: nonce_sent.to_owned() });
    }

    /// The client's words, if it refuses anything of what it was sent.
    pub(super) fn words(&self, sent: &Sent, nonce_sent: &str) -> Option<String> {
        let holding = self.0.iter().filter(|refusal| refusal.holds(sent, nonce_sent));
        let words: Vec<&str> = holding.map(|refusal| refusal.message.as_str()).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// The resources that a message names: in quotes, as this product's proxies do, else as a word, as Envoy does.
fn named(message: &str, sent: &Sent) -> Vec<(Arc<str>, u64)> {
    let Sent::Set(set) = sent else { return Vec::new() };
    let of = |is_it: &dyn Fn(&str) -> bool| -> Vec<_> {
        let found = set.resources.iter().filter(|resource| is_it(&resource.name));
        found.map(|resource| (resource.name.clone(), resource.version)).collect()
    };
    let quoted = of(&|name| message.contains(&format!("\"{name}\"")));
    if !quoted.is_empty() {
        return quoted;
    }
    let words: Vec<&str> =
        message.split_whitespace().map(|word| word.trim_matches([':', ',', ';', '\''])).collect();
    of(&|name| words.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Resource, ResourceSet};

    fn sent(resources: &[(&str, u64)]) -> Sent {
        let made = |&(name, version): &(&str, u64)| {
            Arc::new(Resource { name: name.into(), version, any: Default::default() })
        };
        Sent::Set(ResourceSet::new(resources.iter().map(made).collect()))
    }

    #[test]
    fn a_refusal_holds_until_the_resource_is_another() {
        let mut refused = Refused::default();
        let before = sent(&[("80", 1), ("a", 1), ("b", 1)]);
        refused.add("Listener \"a\": ports[80]: no", &before, "1");
        assert_eq!(refused.words(&before, "1").as_deref(), Some("Listener \"a\": ports[80]: no"));
        // The client took something else since.
        assert!(refused.words(&sent(&[("80", 2), ("a", 1), ("b", 1)]), "2").is_some());
        refused.add("Error adding listener(s) b: wrong", &before, "2");
        assert_eq!(
            refused.words(&before, "3").as_deref(),
            Some("Listener \"a\": ports[80]: no; Error adding listener(s) b: wrong")
        );
        assert_eq!(
            refused.words(&sent(&[("a", 2), ("b", 1)]), "4").as_deref(),
            Some("Error adding listener(s) b: wrong")
        );
        assert_eq!(refused.words(&sent(&[("a", 2)]), "5"), None, "one changed, one gone");
        refused.add("again \"a\"", &before, "6");
        refused.add("and again \"a\"", &before, "7");
        assert_eq!(refused.words(&sent(&[("a", 1)]), "7").as_deref(), Some("and again \"a\""));
    }

    #[test]
    fn without_a_name_it_is_the_response_that_was_refused() {
        let mut refused = Refused::default();
        let all = sent(&[("a", 1)]);
        refused.add("no memory", &all, "1");
        assert!(refused.words(&all, "1").is_some() && refused.words(&all, "2").is_none());
    }
}
