//! Rules of EnvoyFilter.

use sagene_api::Object;
use sagene_api::istio::networking::EnvoyFilter;

use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for EnvoyFilter {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        report.require(!spec.config_patches.is_empty(), &path, "envoy filter: no patches; it has no effect");
        report.require(
            spec.workload_selector.is_none() || spec.target_refs.is_empty(),
            &path,
            "only one of workloadSelector and targetRefs can be set",
        );
        report.finish()
    }
}
