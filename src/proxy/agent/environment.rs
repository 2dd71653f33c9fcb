//! What the container was given: environment variables and mounted files.
//!
//! One place knows the names. Variables are read through [`Environment`], so that tests bring their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Variables and files of this container.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    root: PathBuf,
}

/// Label and annotation files of the downward API.
const POD_INFO: &str = "etc/istio/pod";

impl Environment {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, root: PathBuf::from("/") }
    }

    /// Given ones, with every file below `root`.
    #[cfg(test)]
    pub(crate) fn given(root: &Path, variables: &[(&str, &str)]) -> Self {
        Self {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            root: root.to_owned(),
        }
    }

    /// A variable; empty counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable, or the empty string.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether a variable says `true`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// Variables whose names begin with `prefix`, without it.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Adds variables where none of the name is set.
    pub(crate) fn add_defaults<'a>(&mut self, defaults: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (name, value) in defaults {
            self.variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    /// A file of the container, by its absolute path.
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// The pod's labels.
    pub(crate) fn pod_labels(&self) -> BTreeMap<String, String> {
        read_pod_info(&self.path(POD_INFO).join("labels"))
    }

    /// The pod's annotations.
    pub(crate) fn pod_annotations(&self) -> BTreeMap<String, String> {
        read_pod_info(&self.path(POD_INFO).join("annotations"))
    }
}

/// Reads `name="value"` lines, as kubelet writes them; a missing file is empty.
fn read_pod_info(path: &Path) -> BTreeMap<String, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "no downward API file");
            return BTreeMap::new();
        }
    };
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), unquote(value.trim())))
        })
        .collect()
}

/// Undoes Go's quoting, which is JSON's for everything that labels and annotations hold but a few escapes.
fn unquote(text: &str) -> String {
    if let Ok(value) = serde_json::from_str::<String>(text) {
        return value;
    }
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => value.push(match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            }),
            (plain, false) => value.push(plain),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downward_api_files_are_unquoted() {
        let folder = tempfile::tempdir().unwrap();
        let pod = folder.path().join(POD_INFO);
        std::fs::create_dir_all(&pod).unwrap();
        let lines = "app=\"reviews\"\nproxy.istio.io/config=\"concurrency: 1\\nholdApplication: true\"\nodd=\"bell \\a\"\n";
        std::fs::write(pod.join("labels"), lines).unwrap();
        let environment = Environment::given(folder.path(), &[]);
        let labels = environment.pod_labels();
        assert_eq!(labels["app"], "reviews");
        assert_eq!(labels["proxy.istio.io/config"], "concurrency: 1\nholdApplication: true");
        assert_eq!(labels["odd"], "bell a");
        assert!(environment.pod_annotations().is_empty());
    }
}
