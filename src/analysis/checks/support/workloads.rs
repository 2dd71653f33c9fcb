//! Workloads that are no running pods: WorkloadEntries, and what pods will be made from as files say. Whoever selects them selects
//! something.

use std::borrow::Cow;

use sagene_api::istio::networking::WorkloadEntry;
use sagene_api::kubernetes::Pod;
use sagene_model::labels::{Labels, has_all};
use serde_json::Value;

use super::pods::Pods;
use crate::input::{Input, reference};
use crate::needs::makes_pods_as_written;

/// Where the labels of the pods stand that an object makes.
const OF_PODS: &str = "/spec/template/metadata/labels";
/// The same for those of a CronJob's jobs.
const OF_PODS_OF_JOBS: &str = "/spec/jobTemplate/spec/template/metadata/labels";

/// The labels of such workloads.
pub(in crate::checks) struct Others<'i> {
    all: Vec<(&'i str, Cow<'i, Labels>)>,
}

impl<'i> Others<'i> {
    /// Those of the input. Makers of pods count where a file holds them: those of a cluster have made theirs already.
    pub(in crate::checks) fn of(input: &'i Input) -> Self {
        let entries = input.snapshots().flat_map(|snapshot| snapshot.workload_entries.iter());
        let entries = entries.map(|entry| {
            let mut labels = Cow::Borrowed(&entry.spec.labels);
            if !entry.metadata.labels.is_empty() {
                let own = entry.metadata.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
                labels.to_mut().extend(own);
            }
            (entry.metadata.namespace.as_str(), labels)
        });
        let mut all: Vec<(&str, Cow<'_, Labels>)> = entries.collect();
        if input.sources.is_empty() {
            return Self { all };
        }
        let deployments = input.snapshot.deployments.iter();
        let written = deployments.filter(|deployment| input.sources.contains_key(&reference(deployment)));
        all.extend(written.map(|deployment| {
            let labels = &deployment.spec.template.metadata.labels;
            (deployment.metadata.namespace.as_str(), Cow::Borrowed(labels))
        }));
        all.extend(
            input.untyped.iter().filter(|(object, value)| makes_pods_as_written(&object.kind, value)).map(
                |(object, value)| {
                    let place = if object.kind == "CronJob" { OF_PODS_OF_JOBS } else { OF_PODS };
                    (object.namespace.as_str(), Cow::Owned(labels_at(value, place)))
                },
            ),
        );
        Self { all }
    }

    /// True where one of them, in a namespace or in any, has labels that match.
    pub(in crate::checks) fn any(&self, namespace: Option<&str>, matches: impl Fn(&Labels) -> bool) -> bool {
        let mut all = self.all.iter();
        all.any(|(place, labels)| namespace.is_none_or(|namespace| *place == namespace) && matches(labels))
    }
}

fn labels_at(value: &Value, place: &str) -> Labels {
    let written = value.pointer(place).and_then(Value::as_object).into_iter().flatten();
    written.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// True where it is certain that no workload, of a namespace or of any, has these labels.
pub(in crate::checks) fn nobody_has(
    input: &Input,
    pods: &Pods<'_>,
    others: &Others<'_>,
    namespace: Option<&str>,
    labels: &Labels,
) -> bool {
    input.knows::<Pod>()
        && !input.is_withheld::<WorkloadEntry>()
        && pods.select(namespace, labels).next().is_none()
        && !others.any(namespace, |own| has_all(own, labels))
        && !(input.files_alone && comes_with_installation(labels))
}

/// True for the gateways that profiles install: files of an application rely on them, but do not hold them.
fn comes_with_installation(labels: &Labels) -> bool {
    !labels.is_empty()
        && labels.iter().all(|(key, value)| match key.as_str() {
            "istio" => matches!(value.as_str(), "ingressgateway" | "egressgateway"),
            "app" => matches!(value.as_str(), "istio-ingressgateway" | "istio-egressgateway"),
            _ => false,
        })
}
