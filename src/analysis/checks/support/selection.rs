//! Objects of which a workload may have only one: found where several select it, or none of several selects at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::{Object, Resource};
use sagene_model::labels::Labels;

use super::pods::Pods;

/// An object with what it selects.
pub(in crate::checks) struct Selecting<'i, S: Resource> {
    /// The object.
    pub(in crate::checks) object: &'i Object<S>,
    /// Labels of the workloads; `None` for all of the namespace.
    pub(in crate::checks) labels: Option<Labels>,
}

/// Several objects for one pod, and its namespace and name.
pub(in crate::checks) type Group<'s, 'i, S> = (Vec<&'s Selecting<'i, S>>, &'i str, &'i str);

impl<'i, S: Resource> Selecting<'i, S> {
    /// All objects with what `labels` says they select.
    pub(in crate::checks) fn all(
        objects: impl Iterator<Item = &'i Arc<Object<S>>>,
        labels: impl Fn(&S) -> Option<Labels>,
    ) -> Vec<Self> {
        objects.map(|object| Self { object, labels: labels(&object.spec) }).collect()
    }

    fn namespace(&self) -> &'i str {
        &self.object.metadata.namespace
    }
}

/// Several objects for one pod, with the first such pod. The same objects are told once.
pub(in crate::checks) fn several_for_a_pod<'s, 'i, S: Resource>(
    all: &'s [Selecting<'i, S>],
    pods: &Pods<'i>,
) -> Vec<Group<'s, 'i, S>> {
    let mut by_pod: BTreeMap<(&'i str, &'i str), Vec<usize>> = BTreeMap::new();
    for (index, own) in all.iter().enumerate() {
        let Some(labels) = &own.labels else { continue };
        for pod in pods.select(Some(own.namespace()), labels) {
            by_pod.entry((&pod.metadata.namespace, &pod.metadata.name)).or_default().push(index);
        }
    }
    let mut groups: BTreeMap<Vec<usize>, (&'i str, &'i str)> = BTreeMap::new();
    for (pod, group) in by_pod.into_iter().filter(|(_, group)| group.len() > 1) {
        groups.entry(group).or_insert(pod);
    }
    groups
        .into_iter()
        .map(|(group, (namespace, pod))| {
            (group.into_iter().map(|index| &all[index]).collect(), namespace, pod)
        })
        .collect()
}

/// The objects of groups, each in the first group that it is in.
pub(in crate::checks) fn once<'g, 's, 'i, S: Resource>(
    groups: &'g [Group<'s, 'i, S>],
) -> impl Iterator<Item = (&'s Selecting<'i, S>, &'g Group<'s, 'i, S>)> {
    let mut told = BTreeSet::new();
    let members = groups.iter().flat_map(|group| group.0.iter().map(move |own| (*own, group)));
    members.filter(move |(own, _)| told.insert((own.namespace(), own.object.metadata.name.as_str())))
}

/// Several objects of one namespace that select all of it.
pub(in crate::checks) fn several_without_selector<'s, 'i, S: Resource>(
    all: &'s [Selecting<'i, S>],
) -> Vec<(Vec<&'s Selecting<'i, S>>, &'i str)> {
    let mut by_namespace: BTreeMap<&'i str, Vec<&'s Selecting<'i, S>>> = BTreeMap::new();
    for own in all.iter().filter(|own| own.labels.is_none()) {
        by_namespace.entry(own.namespace()).or_default().push(own);
    }
    let several = by_namespace.into_iter().filter(|(_, group)| group.len() > 1);
    several.map(|(namespace, group)| (group, namespace)).collect()
}
