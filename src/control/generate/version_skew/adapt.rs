//! Resources as proxies of a class get them, each made once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prost::Message;
use sagene_api::envoy::json::{Removal, Rest, without};

use super::table::TABLE;
use super::{Older, Version};
use crate::generate::content_hash;
use crate::generate::proto::Any;
use crate::generate::resource::Resource;
use crate::index::services::lock;

/// Fewest resources that are looked through.
const SWEEP_AT: usize = 1024;

/// What older proxies got. Nothing is kept while there are none.
#[derive(Debug, Default)]
pub(crate) struct Adapted(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By class and address of what was adapted, which is kept so that the address stays its own.
    resources: HashMap<(Older, usize), (Arc<Resource>, Fit)>,
    /// With so many of them those that nobody else holds are forgotten.
    sweep_at: usize,
}

impl Kept {
    /// Some resources are made anew each time they are asked for, such as the endpoints of a cluster that nobody knows.
    fn make_room(&mut self) {
        if self.resources.len() >= self.sweep_at.max(SWEEP_AT) {
            self.forget_unused();
            self.sweep_at = 2 * self.resources.len();
        }
    }

    fn forget_unused(&mut self) {
        self.resources.retain(|_, (before, _)| Arc::strong_count(before) > 1);
    }
}

/// What older proxies get in the place of a resource.
#[derive(Debug)]
enum Fit {
    Same,
    Other(Arc<Resource>),
    Nothing,
}

impl Fit {
    fn of(&self, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
        match self {
            Self::Same => Some(resource.clone()),
            Self::Other(other) => Some(other.clone()),
            Self::Nothing => None,
        }
    }
}

impl Adapted {
    /// Resources for proxies of a class.
    pub(crate) fn all(&self, older: Option<Older>, resources: Vec<Arc<Resource>>) -> Vec<Arc<Resource>> {
        let Some(older) = older else { return resources };
        resources.iter().filter_map(|resource| self.one(older, resource)).collect()
    }

    fn one(&self, older: Older, resource: &Arc<Resource>) -> Option<Arc<Resource>> {
        let key = (older, Arc::as_ptr(resource) as usize);
        if let Some((_, fit)) = lock(&self.0).resources.get(&key) {
            return fit.of(resource);
        }
        let fit = adapted(older.lacks, resource);
        let mut kept = lock(&self.0);
        kept.make_room();
        kept.resources.entry(key).or_insert_with(|| (resource.clone(), fit)).1.of(resource)
    }

    /// Forgets what is not served any more.
    pub(crate) fn forget_unused(&self) {
        let mut kept = lock(&self.0);
        kept.forget_unused();
        if kept.resources.is_empty() {
            *kept = Kept::default();
        }
    }
}

/// A resource without what came with a version or later.
fn adapted(lacks: Version, resource: &Resource) -> Fit {
    let unwanted = |message: &str, field: &str| -> Option<Removal> {
        let mut lines = TABLE.iter().filter(|line| line.since >= lacks);
        lines.find(|line| line.message == message && line.field == field).map(|line| line.instead)
    };
    let Ok(any) = Any::decode(resource.any.clone()) else { return Fit::Same };
    match without(&any.type_url, &any.value, &unwanted) {
        Ok(Rest::Some(value)) => {
            let version = content_hash::of(&any.type_url, &value);
            let any = Any { value, ..any }.encode_to_vec().into();
            Fit::Other(Arc::new(Resource { name: resource.name.clone(), version, any }))
        }
        Ok(Rest::Nothing) => Fit::Nothing,
        // A type without descriptors here, such as the table of names, has no line in the table either.
        Ok(Rest::Everything) | Err(_) => Fit::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::proto::endpoint::ClusterLoadAssignment;
    use crate::generate::resource::encode;

    #[test]
    fn what_is_made_anew_each_time_is_not_kept_for_good() {
        let (adapted, older) = (Adapted::default(), Older::of_version(Version(0, 1, 0)));
        let served = encode("served", &ClusterLoadAssignment::default());
        for _ in 0..3 * SWEEP_AT {
            adapted.all(older, vec![served.clone(), encode("unknown", &ClusterLoadAssignment::default())]);
        }
        assert!(lock(&adapted.0).resources.len() <= SWEEP_AT);
        adapted.forget_unused();
        assert_eq!(lock(&adapted.0).resources.len(), 1);
        drop(served);
        adapted.forget_unused();
        assert!(lock(&adapted.0).resources.is_empty());
    }
}
