//! Values by name, in the order of their names. The tree knows places alone, so that one serves for values of every type: there are many
//! kinds of objects, and a tree is much code.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by name.
#[derive(Debug, Clone)]
pub(super) struct Named<T> {
    places: BTreeMap<Arc<str>, usize>,
    /// In the order they came, without gaps.
    values: Vec<(Arc<str>, T)>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), values: Vec::new() }
    }
}

impl<T> Named<T> {
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.at(*self.places.get(name)?)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let place = *self.places.get(name)?;
        self.values.get_mut(place).map(|(_, value)| value)
    }

    /// Puts a value in, in place of the one of its name, which is answered.
    pub(super) fn insert(&mut self, name: &str, value: T) -> Option<T> {
        if let Some(known) = self.get_mut(name) {
            return Some(std::mem::replace(known, value));
        }
        let name: Arc<str> = name.into();
        self.places.insert(name.clone(), self.values.len());
        self.values.push((name, value));
        None
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<T> {
        let place = self.places.remove(name)?;
        let (_, value) = self.values.swap_remove(place);
        // The last one stands in its place now.
        if let Some((moved, _)) = self.values.get(place)
            && let Some(its_place) = self.places.get_mut(moved)
        {
            *its_place = place;
        }
        Some(value)
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

    /// The values with their names, in the order they came.
    pub(super) fn into_values(self) -> impl Iterator<Item = (Arc<str>, T)> {
        self.values.into_iter()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn at(&self, place: usize) -> Option<&T> {
        self.values.get(place).map(|(_, value)| value)
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
    }
}
