//! A hash for keys that nobody outside chooses: symbols of the catalogue, numbers of alerts. It has no defence against keys
//! made to collide, and costs a few nanoseconds where the standard one costs thirty.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map with that hash.
pub(super) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Multiplies and turns, word by word.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quick(u64);

impl Quick {
    /// An odd number with bits everywhere: the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The hash of one word.
    pub(super) fn of(word: u64) -> u64 {
        let mut hasher = Self::default();
        hasher.write_u64(word);
        hasher.finish()
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(25) ^ word).wrapping_mul(Self::FACTOR);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }

    /// The product's best bits are the upper ones; maps look at the lower ones, too.
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
