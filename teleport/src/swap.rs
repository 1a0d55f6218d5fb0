//! Data of the user's own that lives as long as a session or a context.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A value in a [`Swap`].
pub type SwapValue = Arc<dyn Any + Send + Sync>;

/// A small map from names to values of any type. A clone shares the values.
///
/// An empty one holds no memory, so that every session can have its own.
///
/// ```
/// use teleport::swap::Swap;
///
/// let mut swap = Swap::new();
/// swap.insert("user", String::from("ann"));
/// assert_eq!(swap.get::<String>("user").map(String::as_str), Some("ann"));
/// assert_eq!(swap.get::<u64>("user"), None);
/// ```
#[derive(Clone, Default)]
pub struct Swap {
    values: BTreeMap<Cow<'static, str>, SwapValue>,
}

impl Swap {
    /// A map without values.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            values: BTreeMap::new(),
        }
    }

    /// The value of that name, if it is a `T`.
    #[must_use]
    pub fn get<T: Any>(&self, key: &str) -> Option<&T> {
        self.values.get(key)?.downcast_ref()
    }

    /// The value of that name, to be changed, if it is a `T` and no clone of the map shares it.
    #[must_use]
    pub fn get_mut<T: Any>(&mut self, key: &str) -> Option<&mut T> {
        Arc::get_mut(self.values.get_mut(key)?)?.downcast_mut()
    }

    /// Puts a value under a name and returns the one that was there.
    pub fn insert(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Any + Send + Sync,
    ) -> Option<SwapValue> {
        self.values.insert(key.into(), Arc::new(value))
    }

    /// Removes a value and returns it.
    pub fn remove(&mut self, key: &str) -> Option<SwapValue> {
        self.values.remove(key)
    }

    /// Takes over what somebody changed in a clone: what was `given` and what it is `now`.
    pub(crate) fn take_changes(&mut self, given: &Self, now: &Self) {
        for key in given.values.keys() {
            if !now.values.contains_key(key) {
                self.values.remove(key);
            }
        }
        for (key, value) in &now.values {
            let is_as_given = given
                .values
                .get(key)
                .is_some_and(|given| Arc::ptr_eq(given, value));
            if !is_as_given {
                self.values.insert(key.clone(), Arc::clone(value));
            }
        }
    }

    /// Whether there is a value of that name, of any type.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(AsRef::as_ref)
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}

impl fmt::Debug for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn changes_in_a_clone_leave_alone_what_others_changed() {
        let mut swap = Swap::new();
        for key in ["kept", "removed", "changed"] {
            swap.insert(key, 1);
        }
        let given = swap.clone();
        let mut now = given.clone();
        now.remove("removed");
        now.insert("changed", 2);
        now.insert("new", 2);
        swap.insert("kept", 3);
        swap.insert("other", 3);
        swap.take_changes(&given, &now);
        let all: Vec<_> = swap.keys().map(|k| (k, *swap.get(k).unwrap())).collect();
        assert_eq!(all, [("changed", 2), ("kept", 3), ("new", 2), ("other", 3)]);
    }

    #[test]
    fn values_come_back_by_name_and_type() {
        let mut swap = Swap::new();
        assert!(swap.is_empty());
        assert!(swap.insert("n", 1_u32).is_none());
        swap.insert(String::from("list"), vec![1, 2]);
        *swap.get_mut::<u32>("n").unwrap() += 1;
        assert_eq!((swap.get("n"), swap.get::<i32>("n")), (Some(&2_u32), None));
        assert_eq!(swap.keys().collect::<Vec<_>>(), ["list", "n"]);
        let old = swap.insert("n", "text").unwrap();
        assert_eq!(*old.downcast::<u32>().unwrap(), 2);
        assert!(swap.contains("n") && swap.remove("n").is_some() && !swap.contains("n"));
        assert_eq!(
            (swap.len(), format!("{swap:?}").as_str()),
            (1, "{\"list\"}")
        );
        swap.clear();
        assert!(swap.get::<Vec<i32>>("list").is_none());
    }
}
