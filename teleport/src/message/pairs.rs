//! Ordered key and value pairs in two allocations, whatever their number.

/// The pairs' bytes one behind the other, and where each key and each value ends.
///
/// A pair read from a text costs 16 bytes beside its own, so that a text made of nothing but
/// separators cannot make memory grow out of proportion.
#[derive(Clone, Default)]
pub(super) struct Pairs {
    bytes: Vec<u8>,
    /// For each pair the end of its key and the end of its value.
    ends: Vec<(usize, usize)>,
}

impl Pairs {
    /// Makes room for the pairs of an urlencoded text.
    pub(super) fn with_room_for(text: &[u8]) -> Self {
        let pairs = text
            .split(|b| *b == b'&')
            .filter(|pair| !pair.is_empty())
            .count();
        Self {
            bytes: Vec::with_capacity(text.len()),
            ends: Vec::with_capacity(pairs),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(key_end, end)| {
            let key = self.bytes.get(start..*key_end).unwrap_or_default();
            start = *end;
            (key, self.bytes.get(*key_end..*end).unwrap_or_default())
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.push_with(
            |bytes| bytes.extend_from_slice(key),
            |bytes| bytes.extend_from_slice(value),
        );
    }

    /// Adds the pair that two writers append to the bytes they are given.
    pub(super) fn push_with(
        &mut self,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        key(&mut self.bytes);
        let key_end = self.bytes.len();
        value(&mut self.bytes);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// Replaces the value of the first pair with the key, or adds the pair.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        let Some(index) = self.iter().position(|(k, _)| k == key) else {
            return self.push(key, value);
        };
        let mut changed = Self {
            bytes: Vec::with_capacity(self.bytes.len() + value.len()),
            ends: Vec::new(),
        };
        changed.ends.reserve_exact(self.ends.len());
        for (at, (k, v)) in self.iter().enumerate() {
            changed.push(k, if at == index { value } else { v });
        }
        *self = changed;
    }

    /// Removes all pairs with the key and tells how many there were.
    pub(super) fn remove(&mut self, key: &[u8]) -> usize {
        let mut kept = Self::default();
        for (k, v) in self.iter().filter(|(k, _)| *k != key) {
            kept.push(k, v);
        }
        let removed = self.len() - kept.len();
        *self = kept;
        removed
    }
}
