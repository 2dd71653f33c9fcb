//! For the tests of the kinds' rules.

use sagene_api::Object;
use sagene_api::object::read_at;

use super::{Severity, Validate};

/// The fields of a spec, written in YAML, that break a rule of its kind; `warning ` stands before those that only warn.
pub(super) fn broken<S: Validate>(spec: &str) -> Vec<String> {
    let spec: S = read_at(serde_yaml::from_str(spec).expect("YAML"), "").expect("a spec");
    let problems = S::problems(&Object::new("n", "x", spec));
    let sign = |severity| if severity == Severity::Warning { "warning " } else { "" };
    problems.iter().map(|problem| format!("{}{}", sign(problem.severity), problem.path)).collect()
}
