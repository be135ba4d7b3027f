//! The ids of pieces that were put off: what the cache has after all, and for the others what merging makes, many side by side.

use crate::cache::{self, Cache};
use crate::lanes::{self, Lanes};
use crate::lookup::Deferred;
use crate::table::PairTable;
use crate::tokens::Tokens;

/// So many pieces are remembered, by their place in the cache, for those that are the same.
const RECENT: usize = 256;

/// Where a piece's ids are.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    first: u32,
    count: u32,
    /// The number of a piece with the same bytes that has the ids: its own, or one before it.
    like: u32,
}

/// The ids of some pieces, by number.
#[derive(Debug)]
pub(crate) struct Misses {
    made: Vec<Made>,
    ids: Vec<u32>,
    /// The numbers of those whose ids must be merged.
    missed: Vec<u32>,
    lanes: Lanes,
}

impl Misses {
    pub(crate) fn new() -> Misses {
        Misses { made: Vec::new(), ids: Vec::new(), missed: Vec::new(), lanes: Lanes::new() }
    }

    /// Makes the ids of these pieces; `long` has the bytes of the long ones.
    #[inline(always)]
    pub(crate) fn make(&mut self, pieces: &[Deferred], long: &[u8], tokens: &Tokens, cache: &mut Cache) {
        self.made.clear();
        self.ids.clear();
        self.missed.clear();
        self.get(pieces, long, tokens.pairs(), cache);
        self.merge(pieces, long, tokens, cache);
    }

    /// How many ids a piece has.
    #[inline(always)]
    pub(crate) fn count(&self, number: usize) -> usize {
        self.made[number].count as usize
    }

    /// How many ids all pieces have.
    pub(crate) fn total(&self) -> usize {
        self.made.iter().map(|made| made.count as usize).sum()
    }

    /// The ids of a piece, and all after them.
    #[inline(always)]
    pub(crate) fn ids_from(&self, number: usize) -> &[u32] {
        &self.ids[self.made[number].first as usize..]
    }

    /// Adds numbers after the last id.
    pub(crate) fn pad(&mut self, count: usize) {
        self.ids.resize(self.ids.len() + count, 0);
    }

    /// Takes what the cache has of the long pieces; the others, and the short ones, are missed.
    #[inline(always)]
    fn get(&mut self, pieces: &[Deferred], long: &[u8], pairs: &PairTable, cache: &Cache) {
        let Misses { made, ids, missed, .. } = self;
        for (number, piece) in (0..).zip(pieces) {
            let first = ids.len();
            if piece.is_mark() {
                // It has no ids.
            } else if !piece.key.is_short()
                && let Some(known) = cache.get_long(piece.place, piece.key, piece.long_piece(long))
            {
                ids.extend(known.iter().map(|&id| u32::from_le_bytes(id)));
            } else {
                pairs.prefetch_bytes(&piece.key.bytes());
                missed.push(number);
            }
            made.push(Made { first: first as u32, count: (ids.len() - first) as u32, like: number });
        }
    }

    /// Merges what is missed.
    #[inline(always)]
    fn merge(&mut self, pieces: &[Deferred], long: &[u8], tokens: &Tokens, cache: &mut Cache) {
        let Misses { made, ids, missed, lanes } = self;
        let mut recent = [u32::MAX; RECENT];
        let mut next = 0;
        while next < missed.len() || !lanes.idle() {
            while next < missed.len() && !lanes.full() {
                let number = missed[next];
                let piece = &pieces[number as usize];
                let recent = &mut recent[piece.place as usize % RECENT];
                if pieces.get(*recent as usize).is_some_and(|other| other.equals(piece, long)) {
                    made[number as usize].like = *recent;
                } else {
                    *recent = number;
                    let first = ids.len();
                    begin(number, piece, long, tokens, cache, lanes, ids);
                    let made = &mut made[number as usize];
                    (made.first, made.count) = (first as u32, (ids.len() - first) as u32);
                }
                next += 1;
            }
            lanes.round(tokens.pairs(), |number, found| {
                let (piece, first) = (&pieces[number], ids.len());
                (made[number].first, made[number].count) = (first as u32, found.len() as u32);
                ids.extend(found.iter().map(|&token| tokens.id(token)));
                let ids = &ids[first..];
                if piece.key.is_short() {
                    cache.insert(piece.place, piece.key, ids);
                } else {
                    cache.insert_long(piece.place, piece.key, piece.long_piece(long), ids);
                }
            });
        }
        for &number in missed.iter() {
            let Made { first, count, .. } = made[made[number as usize].like as usize];
            let made = &mut made[number as usize];
            (made.first, made.count) = (first, count);
        }
    }
}

/// Appends the ids of a piece, or gives it to a lane if it must be merged.
#[inline(always)]
fn begin(
    number: u32,
    piece: &Deferred,
    long: &[u8],
    tokens: &Tokens,
    cache: &mut Cache,
    lanes: &mut Lanes,
    ids: &mut Vec<u32>,
) {
    let (key, place) = (piece.key, piece.place);
    if key.is_short() {
        let bytes = key.bytes();
        let piece = &bytes[..key.length()];
        // One just like it may have come before.
        if let Some((known, count)) = cache.get_back(place, key) {
            ids.extend_from_slice(&cache::unpacked(known)[..count]);
        } else if tokens.by_rank()
            && let Some(token) = tokens.whole_piece(piece)
        {
            ids.push(tokens.id(token));
        } else {
            lanes.start(number as usize, piece, tokens.pairs());
        }
        return;
    }
    let piece = piece.long_piece(long);
    cache.get_back(place, key);
    if let Some(known) = cache.get_long(place, key, piece) {
        ids.extend(known.iter().map(|&id| u32::from_le_bytes(id)));
        return;
    }
    let first = ids.len();
    if let Some(token) = tokens.whole_piece(piece) {
        ids.push(tokens.id(token));
    } else if piece.len() <= lanes::LONGEST {
        return lanes.start(number as usize, piece, tokens.pairs());
    } else {
        tokens.merge(piece, ids);
        ids[first..].iter_mut().for_each(|id| *id = tokens.id(*id));
    }
    cache.insert_long(place, key, piece, &ids[first..]);
}
