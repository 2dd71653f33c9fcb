//! What a caller may ask of the graph: the query parameters of Kiali's graph API.

use std::collections::BTreeSet;
use std::time::Duration;

/// How nodes are formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphType {
    /// One node per application.
    App,
    /// One node per service; workloads are left out.
    Service,
    /// One node per version of an application, boxed by application. The default.
    VersionedApp,
    /// One node per workload.
    Workload,
}

impl GraphType {
    /// The name in URLs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Service => "service",
            Self::VersionedApp => "versionedApp",
            Self::Workload => "workload",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::App, Self::Service, Self::VersionedApp, Self::Workload]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A resolved question.
#[derive(Debug, Clone)]
pub struct GraphOptions {
    /// Namespaces of interest; edges with one end in them are shown.
    pub namespaces: BTreeSet<String>,
    /// Node kind.
    pub graph_type: GraphType,
    /// Window of time. Default 60 s.
    pub duration: Duration,
    /// Puts a service node between workloads. Default true.
    pub inject_service_nodes: bool,
    /// Shows edges without traffic in the window. Default false.
    pub include_idle_edges: bool,
}

/// A question that cannot be answered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionError {
    /// Unknown graph type.
    #[error("graphType {0:?}: want one of app, service, versionedApp, workload")]
    GraphType(String),
    /// Unreadable duration.
    #[error("duration {0:?}: want a number with s, m, h or d, e.g. 60s; at most 6h is kept")]
    Duration(String),
    /// Not true or false.
    #[error("{name} {value:?}: want true or false")]
    Flag {
        /// The parameter.
        name: String,
        /// What was given.
        value: String,
    },
}

impl GraphOptions {
    /// Reads the query parameters of `/api/namespaces/graph`; unknown ones are left alone, as Kiali does.
    pub fn from_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, OptionError> {
        let mut options = Self {
            namespaces: BTreeSet::new(),
            graph_type: GraphType::VersionedApp,
            duration: Duration::from_secs(60),
            inject_service_nodes: true,
            include_idle_edges: false,
        };
        for (name, value) in pairs {
            match name {
                "namespaces" => options
                    .namespaces
                    .extend(value.split(',').filter(|part| !part.is_empty()).map(str::to_owned)),
                "graphType" => {
                    options.graph_type =
                        GraphType::parse(value).ok_or_else(|| OptionError::GraphType(value.to_owned()))?
                }
                "duration" => options.duration = parse_duration(value)?,
                "injectServiceNodes" => options.inject_service_nodes = flag(name, value)?,
                "includeIdleEdges" => options.include_idle_edges = flag(name, value)?,
                _ => {}
            }
        }
        Ok(options)
    }
}

fn flag(name: &str, value: &str) -> Result<bool, OptionError> {
    value.parse().map_err(|_| OptionError::Flag { name: name.to_owned(), value: value.to_owned() })
}

/// Reads `90`, `60s`, `5m`, `1h`, `1d`.
pub fn parse_duration(text: &str) -> Result<Duration, OptionError> {
    let wrong = || OptionError::Duration(text.to_owned());
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds =
        count.checked_mul(unit).filter(|seconds| (1..=30 * 86_400).contains(seconds)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_query_and_names_what_is_wrong() {
        let options = GraphOptions::from_query(
            [("namespaces", "a,b"), ("duration", "5m"), ("appenders", "x")].into_iter(),
        );
        let options = options.expect("a good query");
        assert_eq!(options.namespaces.len(), 2);
        assert_eq!(options.duration, Duration::from_secs(300));
        let wrong = GraphOptions::from_query([("graphType", "pie")].into_iter());
        assert_eq!(wrong.err(), Some(OptionError::GraphType("pie".to_owned())));
        for duration in ["", "m", "-1s", "0s", "5x", "99999999999999999999h"] {
            assert!(parse_duration(duration).is_err(), "{duration}");
        }
    }
}
