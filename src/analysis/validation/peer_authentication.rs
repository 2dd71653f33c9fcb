//! Rules of PeerAuthentication.

use sagene_api::Object;
use sagene_api::istio::security::PeerAuthentication;

use super::common::{port, workload_selector};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for PeerAuthentication {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec.portLevelMtls");
        workload_selector(&mut report, &FieldPath::parse("spec.selector"), spec.selector.as_ref());
        let selects = spec.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
        report.require(
            spec.port_level_mtls.is_empty() || selects,
            &path,
            "mesh/namespace peer authentication cannot have port level mTLS; add selector.matchLabels",
        );
        for number in spec.port_level_mtls.keys() {
            port(&mut report, &path.key(&number.to_string()), *number);
        }
        report.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_need_a_selector() {
        let found = |spec: &str| -> Vec<String> {
            let spec: PeerAuthentication = serde_yaml::from_str(spec).expect("a spec");
            PeerAuthentication::problems(&Object::new("n", "p", spec))
                .iter()
                .map(|it| it.path.to_string())
                .collect()
        };
        assert_eq!(found("{portLevelMtls: {80: {mode: STRICT}}}"), ["spec.portLevelMtls"]);
        assert_eq!(
            found("{selector: {matchLabels: {a: b}}, portLevelMtls: {70000: {mode: STRICT}}}"),
            ["spec.portLevelMtls.70000"]
        );
        assert_eq!(found("{selector: {matchLabels: {a: 'b*'}}}"), ["spec.selector.matchLabels.a"]);
        assert!(found("{selector: {matchLabels: {a: b}}, portLevelMtls: {80: {mode: DISABLE}}}").is_empty());
        assert_eq!(found("{selector: {}}"), ["spec.selector"]);
        assert!(found("{}").is_empty() && found("{mtls: {mode: STRICT}}").is_empty());
    }
}
