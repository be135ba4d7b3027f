//! The ids of deferred pieces: from the cache if it has them after all, otherwise by merging, many pieces side by side.

use crate::cache::{self, Cache, Listed};
use crate::key::Key;
use crate::lanes::{self, Lanes};
use crate::lookup::Deferred;
use crate::processor::Baseline;
use crate::table::Pairs;
use crate::tokens::Tokens;

/// How many misses are remembered, by their place in the cache, to recognise equal ones.
const RECENT: usize = 256;

/// How many misses ahead of a merge its cache lines are prefetched: where its ids will be stored, or where they may have moved to.
const AHEAD: usize = 8;

/// Where a piece's ids are.
#[derive(Clone, Copy, Default)]
struct Made {
    first: u32,
    count: u32,
    /// The number of the piece with the same bytes that has the ids: this one, or an earlier one.
    like: u32,
}

/// The ids of deferred pieces, by number.
#[derive(Default)]
pub(crate) struct Misses {
    made: Vec<Made>,
    ids: Vec<u32>,
    /// For each deferred piece, where the cache may have its ids.
    listed: Vec<Option<Listed>>,
    /// The numbers of the pieces that must be merged.
    missed: Vec<u32>,
    lanes: Lanes,
}

impl Misses {
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

    /// The ids of a piece, followed by all later ids.
    #[inline(always)]
    pub(crate) fn ids_from(&self, number: usize) -> &[u32] {
        &self.ids[self.made[number].first as usize..]
    }

    /// Adds `count` numbers after the last id.
    pub(crate) fn pad(&mut self, count: usize) {
        self.ids.resize(self.ids.len() + count, 0);
    }

    /// Takes the ids that the cache has of pieces that are long or have many ids; all other pieces are missed.
    #[inline(always)]
    fn get(&mut self, pieces: &[Deferred], long: &[u8], pairs: Pairs<'_>, cache: &Cache) {
        let Misses { made, ids, listed, missed, .. } = self;
        listed.clear();
        listed.extend(pieces.iter().map(|piece| cache.find_many(piece.place, piece.key)));
        for (number, (piece, listed)) in (0..).zip(pieces.iter().zip(listed)) {
            let first = ids.len();
            if let Some(listed) = *listed
                && let Some(known) = cache.get_many(listed, piece.bytes(long, &mut [0; 16]))
            {
                ids.extend(known.iter().map(|&id| u32::from_le_bytes(id)));
            } else if !piece.is_mark() {
                pairs.prefetch_bytes(&piece.key.bytes());
                missed.push(number);
            }
            made.push(Made { first: first as u32, count: (ids.len() - first) as u32, like: number });
        }
    }

    /// Merges the missed pieces.
    #[inline(always)]
    fn merge(&mut self, pieces: &[Deferred], long: &[u8], tokens: &Tokens, cache: &mut Cache) {
        let Misses { made, ids, missed, lanes, .. } = self;
        let pairs = tokens.pairs();
        let mut recent = [u32::MAX; RECENT];
        let mut next = 0;
        while next < missed.len() || !lanes.idle() {
            while next < missed.len() && !lanes.full() {
                if let Some(&coming) = missed.get(next + AHEAD) {
                    cache.fetch_both(pieces[coming as usize].place);
                }
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
            lanes.round(pairs, |number, found| {
                let (piece, first) = (&pieces[number], ids.len());
                (made[number].first, made[number].count) = (first as u32, found.len() as u32);
                ids.extend(found.iter().map(|&token| tokens.id(token)));
                cache.insert(piece.place, piece.key, piece.bytes(long, &mut [0; 16]), &ids[first..]);
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
    let (key, place, mut short) = (piece.key, piece.place, [0; 16]);
    let piece = piece.bytes(long, &mut short);
    if find(place, key, piece, tokens, cache, ids) {
        return;
    }
    if piece.len() <= lanes::LONGEST {
        return lanes.start(number as usize, piece, tokens.pairs());
    }
    merge(place, key, piece, tokens, cache, ids);
}

/// Appends the ids of a piece that is not where it is looked for first.
pub(crate) fn find_or_merge(
    place: u32,
    key: Key,
    piece: &[u8],
    tokens: &Tokens,
    cache: &mut Cache,
    ids: &mut Vec<u32>,
) {
    if !find(place, key, piece, tokens, cache, ids) {
        merge(place, key, piece, tokens, cache, ids);
    }
}

/// Appends the ids of a piece, unless it must be merged.
#[inline(always)]
fn find(place: u32, key: Key, piece: &[u8], tokens: &Tokens, cache: &mut Cache, ids: &mut Vec<u32>) -> bool {
    // An equal piece may have come before.
    cache.bring_back(place, key);
    if key.is_short()
        && let Some((known, count)) = cache.view().get::<Baseline>(place, &key)
    {
        ids.extend_from_slice(&cache::unpacked(known)[..count]);
        return true;
    }
    if let Some(known) = cache.find_many(place, key).and_then(|listed| cache.get_many(listed, piece)) {
        ids.extend(known.iter().map(|&id| u32::from_le_bytes(id)));
        return true;
    }
    if (tokens.by_rank() || !key.is_short())
        && let Some(id) = tokens.whole_piece(piece)
    {
        ids.push(id);
        cache.insert(place, key, piece, &[id]);
        return true;
    }
    false
}

/// Merges a piece, and remembers its ids.
fn merge(place: u32, key: Key, piece: &[u8], tokens: &Tokens, cache: &mut Cache, ids: &mut Vec<u32>) {
    let first = ids.len();
    tokens.merge(piece, ids);
    ids[first..].iter_mut().for_each(|id| *id = tokens.id(*id));
    cache.insert(place, key, piece, &ids[first..]);
}
