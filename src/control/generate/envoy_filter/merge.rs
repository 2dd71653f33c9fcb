//! A patch merged into a message, and the lists of things that patches add to.

use prost::{Message, Name};
use sagene_api::envoy::json::{self, Lists};
use sagene_api::istio::networking::envoy_filter::PatchOperation;
use tracing::warn;

use super::patch::Patch;

/// Merges a patch's value into a message. One that does not fit leaves it as it is.
pub(super) fn merge<M: Message + Name + Default>(into: &mut M, patch: &Patch) {
    let lists = match patch.operation {
        PatchOperation::MergeAndReplaceList => Lists::Replace,
        _ => Lists::Append,
    };
    let merged = json::merge(&M::full_name(), &into.encode_to_vec(), &patch.value, lists);
    match merged.map(|bytes| M::decode(bytes.as_slice())) {
        Ok(Ok(merged)) => *into = merged,
        Ok(Err(error)) => warn!(envoy_filter = patch.source, %error, "patch left out"),
        Err(error) => warn!(envoy_filter = patch.source, %error, "patch left out"),
    }
}

/// The message of a patch; `None` where there is none.
pub(super) fn value<M: Message + Default>(patch: &Patch) -> Option<M> {
    M::decode(patch.value.as_slice()).ok()
}

/// True for both ways to merge.
pub(super) fn merges(patch: &Patch) -> bool {
    matches!(patch.operation, PatchOperation::Merge | PatchOperation::MergeAndReplaceList)
}

/// Applies an operation to a list of things. `matched` says which of them a patch means, `named` whether it means some in
/// particular: inserting before none in particular is inserting first, inserting after none in particular is adding.
pub(super) fn apply<M: Message + Name + Default + Clone>(
    list: &mut Vec<M>,
    patch: &Patch,
    named: bool,
    matched: impl Fn(&M) -> bool,
) {
    match patch.operation {
        PatchOperation::Remove => list.retain(|one| !matched(one)),
        PatchOperation::Merge | PatchOperation::MergeAndReplaceList => {
            list.iter_mut().filter(|one| matched(one)).for_each(|one| merge(one, patch));
        }
        _ => {
            let Some(value) = value::<M>(patch) else { return };
            let found = list.iter().position(&matched);
            match (patch.operation, found) {
                (PatchOperation::Add, _) => list.push(value),
                (PatchOperation::InsertFirst, _) => list.insert(0, value),
                (PatchOperation::InsertBefore, _) if !named => list.insert(0, value),
                (PatchOperation::InsertAfter, _) if !named => list.push(value),
                (PatchOperation::InsertBefore, Some(at)) => list.insert(at, value),
                (PatchOperation::InsertAfter, Some(at)) => list.insert(at + 1, value),
                (PatchOperation::Replace, Some(at)) if named => list[at] = value,
                _ => {}
            }
        }
    }
}
