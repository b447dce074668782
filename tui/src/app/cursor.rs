//! A cursor that follows the thing it is on, not the line: rows may come, go and change places under it.

/// The selected item of a list, remembered by what it is and by where it was.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<T> {
    item: Option<T>,
    index: usize,
}

impl<T> Default for Cursor<T> {
    fn default() -> Self {
        Self { item: None, index: 0 }
    }
}

impl<T: Clone + PartialEq> Cursor<T> {
    /// Where it is in `list`: at its item, or where the item was.
    pub(crate) fn index(&self, list: &[T]) -> Option<usize> {
        let end = list.len().checked_sub(1)?;
        let found = self.item.as_ref().and_then(|item| list.iter().position(|i| i == item));
        Some(found.unwrap_or(self.index.min(end)))
    }

    /// The item it is on.
    pub(crate) fn of(&self, list: &[T]) -> Option<T> {
        self.index(list).map(|i| list[i].clone())
    }

    /// Moves by so many rows, stopping at the ends. Says whether it moved.
    pub(crate) fn step(&mut self, list: &[T], by: isize) -> bool {
        let Some(from) = self.index(list) else { return false };
        let to = from.saturating_add_signed(by).min(list.len() - 1);
        self.index = to;
        self.item = Some(list[to].clone());
        from != to
    }

    /// Moves onto an item, wherever it is or will be.
    pub(crate) fn put(&mut self, item: T) {
        self.item = Some(item);
    }

    /// Remembers where its item is now, and takes the one it is on if it has none yet.
    pub(crate) fn settle(&mut self, list: &[T]) {
        if let Some(index) = self.index(list) {
            self.index = index;
            self.item.get_or_insert_with(|| list[index].clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_follows_its_item_and_stays_when_that_goes() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.of(&['a', 'b', 'c']), Some('a'));
        assert!(cursor.step(&['a', 'b', 'c'], 1));
        assert_eq!(cursor.of(&['b', 'a', 'c']), Some('b'));
        assert_eq!(cursor.of(&['a', 'c']), Some('c'));
        assert_eq!(cursor.of(&['a']), Some('a'));
        assert_eq!(cursor.of(&[]), None);
        assert!(!cursor.step(&['a', 'b', 'c'], isize::MIN) || cursor.of(&['a', 'b', 'c']) == Some('a'));
        assert!(!cursor.step(&[], 3));
    }
}
