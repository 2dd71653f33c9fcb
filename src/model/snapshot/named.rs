//! Values by name, in the order of their names. The tree knows places alone, so that one serves for values of every type: there are many
//! kinds of objects, and a tree is much code.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by name.
#[derive(Debug, Clone)]
pub(super) struct Named<T> {
    places: BTreeMap<Arc<str>, usize>,
    /// Where a value was taken out is nothing.
    values: Vec<Option<T>>,
    /// Places of nothing.
    free: Vec<usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Named<T> {
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.at(*self.places.get(name)?)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let place = *self.places.get(name)?;
        self.values.get_mut(place)?.as_mut()
    }

    /// Puts a value in, in place of the one of its name, which is answered.
    pub(super) fn insert(&mut self, name: &str, value: T) -> Option<T> {
        if let Some(known) = self.get_mut(name) {
            return Some(std::mem::replace(known, value));
        }
        let free = self.free.pop().and_then(|place| Some((place, self.values.get_mut(place)?)));
        let place = match free {
            Some((place, slot)) => {
                *slot = Some(value);
                place
            }
            None => {
                self.values.push(Some(value));
                self.values.len() - 1
            }
        };
        self.places.insert(name.into(), place);
        None
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        let place = self.places.remove(name)?;
        self.free.push(place);
        self.values.get_mut(place)?.take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.places.iter().filter_map(|(name, place)| Some((name, self.at(*place)?)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.places.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.places.values().filter_map(|place| self.at(*place))
    }

    /// The values with their names.
    pub(super) fn into_values(mut self) -> impl Iterator<Item = (Arc<str>, T)> {
        let places = self.places.into_iter();
        places.filter_map(move |(name, place)| Some((name, self.values.get_mut(place)?.take()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn at(&self, place: usize) -> Option<&T> {
        self.values.get(place)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_order_of_names_whatever_went_before() {
        let mut named = Named::default();
        for (name, value) in [("c", 1), ("a", 2), ("b", 3)] {
            assert_eq!(named.insert(name, value), None);
        }
        assert_eq!(named.insert("a", 4), Some(2));
        assert_eq!(named.remove("c"), Some(1));
        assert_eq!((named.remove("c"), named.get("b"), named.len()), (None, Some(&3), 2));
        named.insert("0", 5);
        let found: Vec<(&str, i32)> = named.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        assert_eq!(found, [("0", 5), ("a", 4), ("b", 3)]);
        let found: Vec<i32> = named.into_values().map(|(_, value)| value).collect();
        assert_eq!(found, [5, 4, 3]);
    }
}
