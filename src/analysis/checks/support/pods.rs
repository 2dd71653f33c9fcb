//! Pods by their labels, so that a selector costs what it finds, not what there is.

use std::collections::HashMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::kubernetes::Pod;
use sagene_model::labels::{Labels, has_all};

use crate::input::Input;

/// A pod of the input.
pub(in crate::checks) type PodRef<'i> = &'i Arc<Object<Pod>>;

/// The pods of the input by label.
pub(in crate::checks) struct Pods<'i> {
    all: Vec<PodRef<'i>>,
    by_label: HashMap<(&'i str, &'i str), Vec<PodRef<'i>>>,
}

impl<'i> Pods<'i> {
    /// All pods.
    pub(in crate::checks) fn of(input: &'i Input) -> Self {
        Self::that(input, |_| true)
    }

    /// The pods that meet a condition, those of the other clusters of the mesh included.
    pub(in crate::checks) fn that(input: &'i Input, wanted: impl Fn(PodRef<'i>) -> bool) -> Self {
        let all = input.snapshots().flat_map(|snapshot| snapshot.pods.iter());
        let all: Vec<PodRef<'i>> = all.filter(|pod| wanted(pod)).collect();
        let mut by_label: HashMap<(&str, &str), Vec<PodRef<'i>>> = HashMap::new();
        for pod in &all {
            for (key, value) in &pod.metadata.labels {
                by_label.entry((key, value)).or_default().push(pod);
            }
        }
        Self { all, by_label }
    }

    /// The pods with these labels, in a namespace or in all. No labels select every pod.
    pub(in crate::checks) fn select<'q>(
        &'q self,
        namespace: Option<&'q str>,
        labels: &'q Labels,
    ) -> impl Iterator<Item = PodRef<'i>> + 'q {
        let candidates: &[PodRef<'i>] = labels
            .iter()
            .map(|(key, value)| {
                self.by_label.get(&(key.as_str(), value.as_str())).map_or(&[][..], Vec::as_slice)
            })
            .min_by_key(|candidates| candidates.len())
            .unwrap_or(&self.all);
        candidates.iter().copied().filter(move |pod| {
            namespace.is_none_or(|namespace| pod.metadata.namespace == namespace)
                && has_all(&pod.metadata.labels, labels)
        })
    }
}
