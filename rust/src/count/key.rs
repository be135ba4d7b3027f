//! What a table knows a piece by: sixteen bytes, of which those of a short piece can be read back.

use std::hash::{BuildHasher, RandomState};

use super::Piece;
use crate::key::{self, SHORT};
use crate::processor::{Baseline, Instructions};

/// A short piece's length and bytes, or a long one's mark, length and hash; 0 for none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u128);

/// The order in which tables are written: short pieces by their keys, then long ones by their bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PieceKey(Key, Vec<u8>);

impl PieceKey {
    pub(super) fn of(piece: Piece<'_>) -> PieceKey {
        match Key::short::<Baseline>(piece.bytes, 0, piece.bytes.len()) {
            Some(key) => PieceKey(key, Vec::new()),
            None => PieceKey(Key::NO_PIECE, piece.bytes.into()),
        }
    }
}

impl Key {
    /// Neither a piece's nor that of an empty slot.
    pub(super) const NO_PIECE: Key = Key(u128::MAX);

    /// The key of `text[start..end]`, if that is short.
    #[inline(always)]
    pub(super) fn short<I: Instructions>(text: &[u8], start: usize, end: usize) -> Option<Key> {
        let key = (end - start <= SHORT).then(|| key::Key::default().write::<I>(text, start, end))?;
        Some(Key(u128::from(key.0[0]) | u128::from(key.0[1]) << 64))
    }

    pub(super) fn is_short(self) -> bool {
        self.0 >> 120 <= SHORT as u128
    }

    /// The bytes of the piece.
    pub(super) fn length(self) -> usize {
        if self.is_short() { (self.0 >> 120) as usize } else { (self.0 >> 64) as usize & ((1 << 56) - 1) }
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What keys are hashed with. It keeps corpora that are made to collide from doing so, and shows nowhere in the result.
#[derive(Clone, Copy)]
pub(super) struct Seeds([u64; 2]);

impl Seeds {
    pub(super) fn random() -> Seeds {
        let random = RandomState::new();
        Seeds([random.hash_one(0), random.hash_one(1)])
    }

    /// The key of a piece that is not short.
    pub(super) fn long(self, piece: &[u8]) -> Key {
        let (parts, _) = piece.as_chunks::<16>();
        let last = piece.last_chunk();
        let hash = parts
            .iter()
            .chain(last)
            .fold(self.0[0], |hash, part| self.mix(u128::from_le_bytes(*part) ^ u128::from(hash)));
        Key((SHORT as u128 + 1) << 120 | ((piece.len() as u128) << 64 & ((1 << 120) - 1)) | u128::from(hash))
    }

    /// The hash of a key, in all of its bits.
    #[inline(always)]
    pub(super) fn hash(self, key: Key) -> u64 {
        self.mix(key.0)
    }

    #[inline(always)]
    fn mix(self, value: u128) -> u64 {
        let [low, high] = [value as u64 ^ self.0[0], (value >> 64) as u64 ^ self.0[1]];
        let product = u128::from(low) * u128::from(high);
        product as u64 ^ (product >> 64) as u64
    }
}
