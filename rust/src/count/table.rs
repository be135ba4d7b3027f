//! Distinct pieces and their counts, as a hash table that is filled at the speed of memory.
//!
//! Nearly all pieces of a text have at most 15 bytes: such a piece is its own key, so a piece that is known costs one cache
//! line and no comparison of bytes. Pieces are looked up in groups: the first look at all slots of a group, with no branch
//! between them, lets the processor fetch their lines side by side.

use std::hash::{BuildHasher, RandomState};

use super::{Piece, PieceCounts, Position};
use crate::error::{Error, Result};

/// Pieces looked up together.
const GROUP: usize = 32;
/// The longest piece that is its own key.
const SHORT: usize = 15;
/// The sum of all counts stays below this.
pub(super) const LIMIT: u64 = 1 << 63;

/// Distinct pieces in the order they were added, which is that of their positions.
pub(super) struct Table {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Slot>,
    /// Keeps corpora that are made to collide from doing so. It shows nowhere in the result.
    seeds: [u64; 2],
    bytes: Vec<u8>,
    ends: Vec<usize>,
    firsts: Vec<Position>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    key: Key,
    count: u64,
    index: usize,
}

/// A short piece's length and bytes, or a long one's mark, length and hash; 0 for none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Key(u128);

impl Key {
    /// The key of `text[start..end]`, if that is short.
    fn short(text: &[u8], start: usize, end: usize) -> Option<Key> {
        let length = end - start;
        if length > SHORT {
            return None;
        }
        let bytes = match text[start..].first_chunk::<16>() {
            Some(sixteen) => u128::from_le_bytes(*sixteen) & ((1 << (8 * length)) - 1),
            None => text[start..end].iter().rev().fold(0, |key, &byte| key << 8 | u128::from(byte)),
        };
        Some(Key(bytes | (length as u128) << 120))
    }

    fn is_short(self) -> bool {
        self.0 >> 120 <= SHORT as u128
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Table {
    pub(super) fn new() -> Table {
        let random = RandomState::new();
        Table {
            slots: vec![Slot::default(); 4096],
            seeds: [random.hash_one(0), random.hash_one(1)],
            bytes: Vec::new(),
            ends: Vec::new(),
            firsts: Vec::new(),
        }
    }

    /// Counts each of the pieces of `text` that end at `ends`, relative to `start`, where the first begins. `position` tells
    /// where a byte of `text` stands in the corpus.
    pub(super) fn count(&mut self, text: &[u8], start: usize, ends: &[u32], position: impl Fn(usize) -> Position) {
        let mut from = start;
        for ends in ends.chunks(GROUP) {
            self.reserve(ends.len());
            let mut found = [(Key::default(), 0, false); GROUP];
            let mut at = from;
            for (found, &end) in found.iter_mut().zip(ends) {
                let end = start + end as usize;
                if let Some(key) = Key::short(text, at, end) {
                    let home = self.home(key);
                    *found = (key, home, self.slots[home].key == key);
                }
                at = end;
            }
            for (&(key, home, hit), &end) in found.iter().zip(ends) {
                let end = start + end as usize;
                if hit {
                    self.slots[home].count += 1;
                } else {
                    let key = if key.is_none() { self.key(&text[from..end]) } else { key };
                    self.slot(key, &text[from..end], || position(from)).count += 1;
                }
                from = end;
            }
        }
    }

    /// Adds a piece that was counted elsewhere. Pieces not seen before come in the order of their positions.
    pub(super) fn add(&mut self, piece: Piece<'_>) -> Result<()> {
        self.reserve(1);
        let key = self.key(piece.bytes);
        let slot = self.slot(key, piece.bytes, || piece.first);
        slot.count = slot.count.checked_add(piece.count).filter(|&sum| sum < LIMIT).ok_or_else(too_many)?;
        Ok(())
    }

    /// The counts of so many sources, `Error::Corpus` if they add up past 2^63.
    pub(super) fn finish(self, sources: u64) -> Result<PieceCounts> {
        let mut counts = vec![0; self.ends.len()];
        let mut total = 0u64;
        for slot in self.slots.iter().filter(|slot| !slot.key.is_none()) {
            counts[slot.index] = slot.count;
            total = total.checked_add(slot.count).filter(|&sum| sum < LIMIT).ok_or_else(too_many)?;
        }
        Ok(PieceCounts { bytes: self.bytes, ends: self.ends, counts, firsts: self.firsts, total, sources })
    }

    fn key(&self, piece: &[u8]) -> Key {
        Key::short(piece, 0, piece.len()).unwrap_or_else(|| {
            let mut hash = self.seeds[0];
            for part in piece.chunks(16) {
                let mut sixteen = [0; 16];
                sixteen[..part.len()].copy_from_slice(part);
                hash = self.mix(u128::from_le_bytes(sixteen) ^ u128::from(hash));
            }
            Key((SHORT as u128 + 1) << 120 | ((piece.len() as u128) << 64 & ((1 << 120) - 1)) | u128::from(hash))
        })
    }

    fn mix(&self, value: u128) -> u64 {
        let [low, high] = [value as u64 ^ self.seeds[0], (value >> 64) as u64 ^ self.seeds[1]];
        let product = u128::from(low) * u128::from(high);
        product as u64 ^ (product >> 64) as u64
    }

    /// Where the search for a key begins.
    fn home(&self, key: Key) -> usize {
        self.mix(key.0) as usize & (self.slots.len() - 1)
    }

    /// The slot of `piece`, made if there is none yet. A place was reserved.
    fn slot(&mut self, key: Key, piece: &[u8], first: impl FnOnce() -> Position) -> &mut Slot {
        let mut at = self.home(key);
        loop {
            let Slot { key: found, index, .. } = self.slots[at];
            if found.is_none() {
                self.slots[at] = Slot { key, count: 0, index: self.ends.len() };
                self.bytes.extend_from_slice(piece);
                self.ends.push(self.bytes.len());
                self.firsts.push(first());
                break;
            }
            if found == key && (key.is_short() || self.piece(index) == piece) {
                break;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        &mut self.slots[at]
    }

    fn piece(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// Makes room for `more` pieces, so that adding them moves no slot.
    fn reserve(&mut self, more: usize) {
        if (self.ends.len() + more) * 2 <= self.slots.len() {
            return;
        }
        let slots = vec![Slot::default(); self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, slots) {
            if !slot.key.is_none() {
                let mut at = self.home(slot.key);
                while !self.slots[at].key.is_none() {
                    at = (at + 1) & (self.slots.len() - 1);
                }
                self.slots[at] = slot;
            }
        }
    }
}

fn too_many() -> Error {
    Error::Corpus("the counts add up past 2^63: divide them all by the same number".into())
}
