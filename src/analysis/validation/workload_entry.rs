//! Rules of WorkloadEntry.

use sagene_api::Object;
use sagene_api::istio::networking::WorkloadEntry;

use super::common::port;
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for WorkloadEntry {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        report.require(
            !spec.address.is_empty() || !spec.network.is_empty(),
            &path,
            "address or network must be set",
        );
        if let Some(socket) = spec.address.strip_prefix("unix://") {
            report.require(
                socket.starts_with('/') || socket.starts_with('@'),
                &path.key("address"),
                "unix domain socket must be an absolute path or abstract",
            );
            report.require(
                spec.ports.is_empty(),
                &path.key("ports"),
                "unix domain sockets may not have ports",
            );
        }
        for (name, number) in &spec.ports {
            port(&mut report, &path.key("ports").key(name), *number);
        }
        report.finish()
    }
}
