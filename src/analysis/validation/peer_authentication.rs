//! Rules of PeerAuthentication.

use sagene_api::Object;
use sagene_api::istio::security::PeerAuthentication;

use super::common::port;
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for PeerAuthentication {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec.portLevelMtls");
        let selects = spec.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
        report.require(
            spec.port_level_mtls.is_empty() || selects,
            &path,
            "mesh/namespace peer authentication cannot have port level mTLS",
        );
        for number in spec.port_level_mtls.keys() {
            port(&mut report, &path.key(&number.to_string()), *number);
        }
        report.finish()
    }
}
