//! Hashes by multiplication.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(crate) const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Multiplies to 128 bits and folds the halves: each input bit reaches the high bits, which choose a place.
#[inline(always)]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// By numbers of 32 bits, or several of them.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumbersHasher>>;

/// Hashes each number with one folded multiplication: the numbers are dense, and nobody chooses them.
#[derive(Default)]
pub(crate) struct NumbersHasher(u64);

impl Hasher for NumbersHasher {
    fn write_u32(&mut self, number: u32) {
        self.0 = fold(self.0 ^ u64::from(number) ^ MULTIPLIER, MULTIPLIER);
    }

    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<4>().0 {
            self.write_u32(u32::from_le_bytes(*word));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
