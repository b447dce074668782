//! A sorted list of keys of which the lowest are taken away together: where the alerts on one side of a price wait.
//!
//! Blocks of at most 256 keys, the lowest at the end of the last one, so that a price that passes levels pops them.

/// The most keys in one block.
const BLOCK: usize = 256;

/// How many keys a block is given when many are put in at once: some more will come between them.
const FILLED: usize = 192;

/// Keys with the alerts they belong to, in descending order, across blocks and within them.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// None is empty.
    blocks: Vec<Block>,
    /// What came (true) and went (false) below all blocks, as it happened. A price that passes many levels makes as many entries
    /// just behind itself; they are sorted together when somebody asks.
    fresh: Vec<(i64, u32, bool)>,
    /// The lowest key of all.
    lowest: Option<i64>,
}

/// Two lists side by side: the search reads keys only.
#[derive(Debug, Default)]
struct Block {
    /// The last and lowest entry.
    lowest: (i64, u32),
    keys: Vec<i64>,
    slots: Vec<u32>,
}

impl Block {
    fn at(&self, place: usize) -> (i64, u32) {
        (self.keys[place], self.slots[place])
    }

    /// How many entries lie above this one.
    fn above(&self, entry: (i64, u32)) -> usize {
        let mut place = self.keys.partition_point(|key| *key > entry.0);
        // Equal keys are sorted by their alerts.
        if self.keys.get(place) == Some(&entry.0) {
            let equal = self.keys[place..].partition_point(|key| *key == entry.0);
            place += self.slots[place..place + equal].partition_point(|slot| *slot > entry.1);
        }
        place
    }

    fn settle(&mut self) {
        if let (Some(key), Some(slot)) = (self.keys.last(), self.slots.last()) {
            self.lowest = (*key, *slot);
        }
    }
}

impl Levels {
    /// The lowest key.
    pub(super) const fn lowest(&self) -> Option<i64> {
        self.lowest
    }

    pub(super) fn insert(&mut self, key: i64, slot: u32) {
        let entry = (key, slot);
        self.lowest = Some(self.lowest.map_or(key, |lowest| lowest.min(key)));
        if self.blocks.last().is_none_or(|block| block.lowest > entry) {
            self.fresh.push((key, slot, true));
            return;
        }
        let number = self.blocks.partition_point(|block| block.lowest > entry);
        let Some(block) = self.blocks.get_mut(number) else { return };
        let place = block.above(entry);
        block.keys.insert(place, key);
        block.slots.insert(place, slot);
        block.settle();
        if block.keys.len() == BLOCK {
            let mut lower = Block::default();
            lower.keys.reserve_exact(BLOCK);
            lower.slots.reserve_exact(BLOCK);
            lower.keys.extend(block.keys.drain(BLOCK / 2..));
            lower.slots.extend(block.slots.drain(BLOCK / 2..));
            block.settle();
            lower.settle();
            self.blocks.insert(number + 1, lower);
        }
    }

    pub(super) fn remove(&mut self, key: i64, slot: u32) {
        let entry = (key, slot);
        if self.blocks.last().is_none_or(|block| block.lowest > entry) {
            self.fresh.push((key, slot, false));
            self.lost(key);
            return;
        }
        let number = self.blocks.partition_point(|block| block.lowest > entry);
        let Some(block) = self.blocks.get_mut(number) else { return };
        let place = block.above(entry);
        if place < block.keys.len() && block.at(place) == entry {
            block.keys.remove(place);
            block.slots.remove(place);
            block.settle();
            if block.keys.is_empty() {
                self.blocks.remove(number);
            }
            self.lost(key);
        }
    }

    /// Finds the lowest key again if this one, which is gone, may have been it.
    fn lost(&mut self, key: i64) {
        if self.lowest == Some(key) {
            self.sort();
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.lowest = self.blocks.last().map(|block| block.lowest.0);
    }

    /// Puts the fresh entries into blocks: first into the last one, as far as there is room.
    fn sort(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        // One number to compare instead of two. Of each entry the last thing that happened counts, so the order must be stable.
        self.fresh.sort_by_key(|(key, slot, _)| -((i128::from(*key) << 32) | i128::from(*slot)));
        self.fresh.dedup_by(|later, earlier| {
            let same = (later.0, later.1) == (earlier.0, earlier.1);
            if same {
                earlier.2 = later.2;
            }
            same
        });
        self.fresh.retain(|entry| entry.2);
        let mut from = 0;
        while from < self.fresh.len() {
            if self.blocks.last().is_none_or(|block| block.keys.len() >= FILLED) {
                self.blocks.push(Block::default());
            }
            let Some(block) = self.blocks.last_mut() else { return };
            let some = &self.fresh[from..self.fresh.len().min(from + FILLED - block.keys.len())];
            block.keys.extend(some.iter().map(|entry| entry.0));
            block.slots.extend(some.iter().map(|entry| entry.1));
            block.settle();
            from += some.len();
        }
        // What a crash needed is not kept for ever.
        if self.fresh.capacity() > 64 * BLOCK { self.fresh = Vec::new() } else { self.fresh.clear() }
    }

    /// Takes away every key up to `key`, inclusive, and names its alerts.
    pub(super) fn pop(&mut self, key: i64, mut name: impl FnMut(u32)) {
        self.sort();
        while let Some(block) = self.blocks.last_mut().filter(|block| block.lowest.0 <= key) {
            let kept = block.keys.partition_point(|k| *k > key);
            block.slots[kept..].iter().rev().for_each(|slot| name(*slot));
            if kept == 0 {
                self.blocks.pop();
            } else {
                block.keys.truncate(kept);
                block.slots.truncate(kept);
                block.settle();
            }
        }
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the standard sorted set; few keys, so that many are equal, and enough entries for several blocks.
        #[test]
        fn levels_are_found_as_in_a_sorted_set(
            steps in prop::collection::vec((0_u8..12, 0_i64..40, 0_u32..400), 1..3_000),
        ) {
            let (mut levels, mut set) = (Levels::default(), BTreeSet::new());
            for (what, key, slot) in steps {
                match what {
                    0..9 => {
                        if set.insert((key, slot)) {
                            levels.insert(key, slot);
                        }
                    }
                    9 | 10 => {
                        set.remove(&(key, slot));
                        levels.remove(key, slot);
                    }
                    _ => {
                        let key = key / 8;
                        let mut popped = Vec::new();
                        levels.pop(key, |slot| popped.push(slot));
                        let kept = set.split_off(&(key + 1, 0));
                        let expected: Vec<u32> = std::mem::replace(&mut set, kept).into_iter().map(|e| e.1).collect();
                        prop_assert_eq!(popped, expected);
                    }
                }
                prop_assert_eq!(levels.lowest(), set.first().map(|e| e.0));
            }
        }
    }
}
