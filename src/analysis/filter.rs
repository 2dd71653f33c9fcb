//! What is left out: other namespaces, suppressed findings, findings of little weight.

use std::collections::BTreeMap;

use crate::checks::schema::MESH;
use crate::code::Level;
use crate::input::Input;
use crate::message::Message;

/// Namespaces that nobody wants findings about.
pub const IGNORED_NAMESPACES: &[&str] =
    &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
/// Annotation with codes to suppress for one object, by comma; `*` for all.
const SUPPRESS_ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// `--suppress CODE=RESOURCE`, in every spelling documented or used: the resource is `Kind namespace/name`, `Kind name.namespace` or
/// `Kind name`, with `*` for any text; case does not count.
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
            [code, object] if !code.trim().is_empty() && !object.trim().is_empty() => Ok(Self {
                code: code.trim().to_ascii_uppercase(),
                object: object.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase(),
            }),
            _ => Err(SuppressionError { text: text.to_owned() }),
        }
    }

    /// Reads one, or several with commas between them.
    ///
    /// # Errors
    /// A part without exactly one `=`.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, SuppressionError> {
        if text.matches('=').count() < 2 || !text.contains(',') {
            return Ok(vec![Self::parse(text)?]);
        }
        text.split(',').map(Self::parse).collect()
    }

    /// The code as it was written, in capitals.
    pub fn code(&self) -> &str {
        &self.code
    }

    fn matches(&self, message: &Message) -> bool {
        if !glob(&self.code, message.code.id()) {
            return false;
        }
        let object = &message.object;
        let spellings = [
            object.origin(),
            format!("{} {}.{}", object.kind, object.name, object.namespace),
            format!("{} {}", object.kind, object.name),
        ];
        spellings.iter().any(|spelling| glob(&self.object, &spelling.to_ascii_lowercase()))
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
        self.divide(input, messages).0
    }

    /// The findings that remain, and how many there are in which other namespaces.
    pub fn divide(&self, input: &Input, messages: Vec<Message>) -> (Vec<Message>, BTreeMap<String, usize>) {
        let annotated = input.annotated(SUPPRESS_ANNOTATION);
        let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
        let is_annotated = |message: &Message| {
            let codes = annotated.get(&message.object).map_or("", String::as_str);
            codes
                .split(',')
                .map(str::trim)
                .any(|code| code == "*" || code.eq_ignore_ascii_case(message.code.id()))
        };
        let kept = messages
            .into_iter()
            .filter(|message| {
                if self.suppresses(message) || is_annotated(message) {
                    return false;
                }
                let namespace = namespace_of(message);
                let is_elsewhere = self
                    .namespace
                    .as_ref()
                    .is_some_and(|wanted| !namespace.is_empty() && namespace != wanted);
                if is_elsewhere {
                    *elsewhere.entry(namespace.to_owned()).or_default() += 1;
                }
                !is_elsewhere
            })
            .collect();
        (kept, elsewhere)
    }

    fn suppresses(&self, message: &Message) -> bool {
        IGNORED_NAMESPACES.contains(&namespace_of(message))
            || self.suppressions.iter().any(|suppression| suppression.matches(message))
    }
}

/// A Namespace counts as its own.
fn namespace_of(message: &Message) -> &str {
    let object = &message.object;
    match &*object.kind {
        "Namespace" => &object.name,
        // The settings of the mesh concern everybody.
        MESH => "",
        _ => &object.namespace,
    }
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
    fn the_settings_of_the_mesh_concern_every_namespace() {
        let filter = Filter { namespace: Some("shop".to_owned()), ..Filter::default() };
        let of = |kind: &'static str| {
            let object = ObjectRef::new(kind, "istio-system", "meshconfig");
            filter.keep(&Input::default(), vec![Message::new(Code::SchemaWarning, object, String::new())])
        };
        assert_eq!((of(MESH).len(), of("ConfigMap").len()), (1, 0));
    }

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
            "IST0103=pod mypod",
            "IST0103=Pod *.testing",
            " IST01*=Pod  testing/my* ",
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
        assert_eq!(Suppression::parse_all("IST0103=Pod a/b,IST0102=Namespace c").map(|all| all.len()), Ok(2));
        assert!(Suppression::parse("IST0103").is_err() && Suppression::parse("a=b=c").is_err());
    }
}
