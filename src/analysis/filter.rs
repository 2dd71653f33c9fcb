//! What is left out: other namespaces, suppressed findings, findings of little weight.

use std::collections::BTreeSet;

use crate::code::Level;
use crate::input::Input;
use crate::message::Message;

/// Namespaces that nobody wants findings about.
pub const IGNORED_NAMESPACES: &[&str] =
    &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
/// Annotation with codes to suppress for one object, by comma; `*` for all.
const SUPPRESS_ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// `--suppress CODE=Kind name.namespace`, in every spelling documented or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    code: String,
    object: String,
}

/// A suppression that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?}: want CODE=RESOURCE, for example \"IST0102=Namespace my-namespace\" or \"IST0103=Pod my-namespace/*\""
)]
pub struct SuppressionError {
    text: String,
}

impl Suppression {
    /// Reads one.
    ///
    /// # Errors
    /// Anything without exactly one `=`.
    pub fn parse(text: &str) -> Result<Self, SuppressionError> {
        match text.split('=').collect::<Vec<_>>()[..] {
            [code, object] if !code.is_empty() && !object.is_empty() => {
                Ok(Self { code: code.trim().to_owned(), object: object.trim().to_owned() })
            }
            _ => Err(SuppressionError { text: text.to_owned() }),
        }
    }

    fn matches(&self, message: &Message) -> bool {
        let object = &message.object;
        let spellings = [object.origin(), format!("{} {}.{}", object.kind, object.name, object.namespace)];
        (self.code == "*" || self.code.eq_ignore_ascii_case(message.code.id()))
            && spellings.iter().any(|spelling| glob(&self.object, spelling))
    }
}

/// `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What to keep.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this namespace's findings (and those of cluster-scoped objects); `None` for all.
    pub namespace: Option<String>,
    /// Findings not wanted.
    pub suppressions: Vec<Suppression>,
}

impl Filter {
    /// The findings that remain.
    pub fn keep(&self, input: &Input, messages: Vec<Message>) -> Vec<Message> {
        let annotated = annotated(input);
        messages
            .into_iter()
            .filter(|message| {
                self.wants(message)
                    && !annotated.contains(&(message.object.clone(), message.code.id().to_owned()))
                    && !annotated.contains(&(message.object.clone(), "*".to_owned()))
            })
            .collect()
    }

    fn wants(&self, message: &Message) -> bool {
        let object = &message.object;
        let namespace = if object.kind == "Namespace" { &object.name } else { &object.namespace };
        let elsewhere =
            self.namespace.as_ref().is_some_and(|wanted| !namespace.is_empty() && namespace != wanted);
        !elsewhere
            && !IGNORED_NAMESPACES.contains(&namespace.as_str())
            && !self.suppressions.iter().any(|suppression| suppression.matches(message))
    }
}

/// Objects whose annotation suppresses codes.
fn annotated(input: &Input) -> BTreeSet<(crate::message::ObjectRef, String)> {
    let mut found = BTreeSet::new();
    macro_rules! collect {
        ($($field:ident),+) => {$(
            for object in input.snapshot.$field.iter() {
                let Some(codes) = object.metadata.annotations.get(SUPPRESS_ANNOTATION) else { continue };
                let reference = crate::input::reference(object);
                found.extend(codes.split(',').map(|code| (reference.clone(), code.trim().to_owned())));
            }
        )+};
    }
    collect!(
        services,
        pods,
        namespaces,
        deployments,
        virtual_services,
        destination_rules,
        gateways,
        service_entries,
        sidecars,
        envoy_filters,
        peer_authentications,
        request_authentications,
        authorization_policies
    );
    found
}

/// True where something at or above `threshold` was found.
pub fn reaches(messages: &[Message], threshold: Level) -> bool {
    messages.iter().any(|message| message.level() <= threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::message::ObjectRef;

    #[test]
    fn every_spelling_of_a_suppression() {
        let message =
            Message::new(Code::PodMissingProxy, ObjectRef::new("Pod", "testing", "mypod"), String::new());
        for text in [
            "IST0103=Pod testing/mypod",
            "IST0103=Pod mypod.testing",
            "ist0103=Pod testing/*",
            "*=*",
            "IST0103=*mypod",
            "IST0103=Pod *",
        ] {
            assert!(Suppression::parse(text).expect(text).matches(&message), "{text}");
        }
        for text in [
            "IST0102=Pod testing/mypod",
            "IST0103=Pod other/*",
            "IST0103=Deployment testing/mypod",
            "IST0103=Pod testing/my",
        ] {
            assert!(!Suppression::parse(text).expect(text).matches(&message), "{text}");
        }
        assert!(Suppression::parse("IST0103").is_err() && Suppression::parse("a=b=c").is_err());
    }
}
