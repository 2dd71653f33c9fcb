//! Objects whose kind is known only at run time: read and put in through a table with a row for each kind.

use std::any::Any;
use std::sync::Arc;

use sagene_api::{Object, ObjectMeta, ParseError, Tree};
use serde_json::Value;

use super::{Change, Collected, Kind, Scope, Snapshot};

/// An object of one of the kinds.
pub type AnyObject = Arc<dyn Any + Send + Sync>;

/// What is known of a kind, and how its objects are got at.
pub struct KindTraits {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// The version written and stored.
    pub version: &'static str,
    /// Group and that version, as `apiVersion` has them.
    pub api_version: fn() -> String,
    /// Kind, such as `VirtualService`.
    pub kind: &'static str,
    /// Plural resource name, such as `virtualservices`.
    pub plural: &'static str,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    read: fn(Value) -> Result<AnyObject, ParseError>,
    read_tree: fn(&Tree<'_>, &dyn Fn(&mut ObjectMeta)) -> Result<AnyObject, ParseError>,
    to_value: fn(&AnyObject) -> Value,
    metadata_of: fn(&AnyObject) -> Option<&ObjectMeta>,
    says_the_same: fn(&AnyObject, &AnyObject) -> bool,
    get: fn(&Snapshot, &str, &str) -> Option<AnyObject>,
    put: fn(&mut Snapshot, AnyObject) -> bool,
    insert: fn(&mut Snapshot, AnyObject) -> Option<(Change, Scope)>,
    remove: fn(&mut Snapshot, &str, &str) -> Option<Change>,
    append: fn(&mut Snapshot, &mut Snapshot) -> usize,
    metadata: fn(&Snapshot) -> Vec<&ObjectMeta>,
    differences: fn(&Snapshot, &Snapshot) -> Vec<AnyDifference>,
}

/// An object as it is in one state and in another; `None` where it is not.
pub type AnyDifference = (Option<AnyObject>, Option<AnyObject>);

impl KindTraits {
    // What another kind's row has read is no object of this one: rows answer then that there is none.
    pub(super) const fn of<S: Collected>() -> Self {
        Self {
            group: S::GROUP,
            version: S::VERSION,
            api_version: S::api_version,
            kind: S::KIND,
            plural: S::PLURAL,
            namespaced: S::NAMESPACED,
            read: |value| Ok(Arc::new(Object::<S>::from_value(value)?)),
            read_tree: |tree, name| {
                let mut object = Object::<S>::from_tree(tree)?;
                name(&mut object.metadata);
                Ok(Arc::new(object))
            },
            to_value: |object| object.downcast_ref().map_or(Value::Null, Object::<S>::to_value),
            metadata_of: |object| object.downcast_ref::<Object<S>>().map(|object| &object.metadata),
            says_the_same: |left, right| {
                let (left, right) = (left.downcast_ref::<Object<S>>(), right.downcast_ref::<Object<S>>());
                matches!((left, right), (Some(left), Some(right))
                    if left.spec == right.spec && left.status == right.status)
            },
            get: |snapshot, namespace, name| Some(any(snapshot.get::<S>(namespace, name)?)),
            put: |snapshot, object| {
                let object = object.downcast::<Object<S>>().ok();
                object.is_some_and(|object| S::collection_mut(snapshot).insert(object).is_some())
            },
            insert: |snapshot, object| snapshot.insert(object.downcast::<Object<S>>().ok()?),
            remove: |snapshot, namespace, name| snapshot.remove::<S>(namespace, name),
            append: |snapshot, other| {
                let new = std::mem::take(S::collection_mut(other));
                let all = S::collection_mut(snapshot);
                let apart = all.len() + new.len();
                all.append(new);
                apart - all.len()
            },
            metadata: |snapshot| S::collection(snapshot).iter().map(|object| &object.metadata).collect(),
            differences: |snapshot, other| {
                let found = S::collection(snapshot).differences(S::collection(other)).into_iter();
                found.map(|(here, there)| (here.map(any), there.map(any))).collect()
            },
        }
    }
}

fn any<S: Collected>(object: &Arc<Object<S>>) -> AnyObject {
    object.clone()
}

impl Kind {
    /// The kind with this `apiVersion`, of which the version does not count, and `kind`.
    pub fn by_name(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        Self::ALL.iter().copied().find(|known| {
            let traits = known.traits();
            traits.kind == kind && traits.group == group
        })
    }

    /// Reads an object of this kind.
    pub fn read(self, value: Value) -> Result<AnyObject, ParseError> {
        (self.traits().read)(value)
    }

    /// Reads an object of this kind, whose metadata `name` then completes.
    pub fn read_tree(self, tree: &Tree<'_>, name: &dyn Fn(&mut ObjectMeta)) -> Result<AnyObject, ParseError> {
        (self.traits().read_tree)(tree, name)
    }

    /// An object of this kind as JSON.
    pub fn to_value(self, object: &AnyObject) -> Value {
        (self.traits().to_value)(object)
    }

    /// What an object of this kind is called.
    pub fn metadata_of(self, object: &AnyObject) -> Option<&ObjectMeta> {
        (self.traits().metadata_of)(object)
    }

    /// Whether spec and status of two objects of this kind are the same.
    pub fn says_the_same(self, left: &AnyObject, right: &AnyObject) -> bool {
        (self.traits().says_the_same)(left, right)
    }
}

impl Snapshot {
    /// One object of a kind.
    pub fn get_any(&self, kind: Kind, namespace: &str, name: &str) -> Option<AnyObject> {
        (kind.traits().get)(self, namespace, name)
    }

    /// Puts an object in that [`Kind::read`] has read; says what changed, `None` where it is there already, unchanged.
    pub fn insert_any(&mut self, kind: Kind, object: AnyObject) -> Option<(Change, Scope)> {
        (kind.traits().insert)(self, object)
    }

    /// The same, without comparison: whether there was one of its name.
    pub fn put_any(&mut self, kind: Kind, object: AnyObject) -> bool {
        (kind.traits().put)(self, object)
    }

    /// Takes an object out; `None` where it was not there.
    pub fn remove_any(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<Change> {
        (kind.traits().remove)(self, namespace, name)
    }

    /// Takes all objects of a kind out of `other` and puts them in, over those of the same names: how many had such a name.
    pub fn append_any(&mut self, kind: Kind, other: &mut Self) -> usize {
        (kind.traits().append)(self, other)
    }

    /// What the objects of a kind are called, in the order of their namespaces and names.
    pub fn metadata(&self, kind: Kind) -> Vec<&ObjectMeta> {
        (kind.traits().metadata)(self)
    }

    /// The objects of a kind that are not the same one here and in another state.
    pub fn differences(&self, kind: Kind, other: &Self) -> Vec<AnyDifference> {
        (kind.traits().differences)(self, other)
    }
}
