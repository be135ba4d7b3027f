//! A cache from pieces to their ids: what a thread has merged before, it need not merge again.
//!
//! Two entries of 32 bytes share a line of the processor's cache, so that a look-up is one fetch. A cache begins small and empty, for the
//! pages of a large one take longer to make than some text to encode; when it has served a while it grows, once, and has the vocabulary's
//! frequent tokens then, most of what text is made of. A new piece takes the first place of its line; what was there takes the second; and what was in
//! that one moves to the line beside it, from where it is brought back when it is asked for, or dropped by the next that comes. Of a
//! piece of more than 15 bytes the entry has the hash, and the bytes and ids lie in a ring that new ones overwrite; so they do of one
//! that has more than four ids. Nothing depends on what is in the cache but time.

use crate::key::{COUNT, Key, SHORT, Seeds};
use crate::lines::{Line, Lines};
use crate::processor::{Baseline, Instructions, prefetch};
use crate::tokens::Tokens;

/// The longest piece that is cached.
pub(crate) const LONGEST: usize = 512;

/// Bytes of the ring of longer pieces for each line.
const RING: usize = 8;

/// Bytes of a cache that has served little: the pages of 1.1 MB take less than a millisecond to make.
const SMALL: usize = (1 << 14) * (size_of::<Line>() + RING);

/// A cache that has served so many bytes grows, which takes some 10 ms. On English, code, 17 languages and Chinese a small one has lost as much
/// by then.
const ENOUGH: usize = 1 << 21;

/// The most tokens that a cache has when it grows, those of the lowest ranks. To put the others in takes as long as to merge those of them
/// that 10 MB of text have.
const SEEDED: usize = 1 << 16;

/// Fewer lines would leave a ring too small for the longest piece, which has as many ids as bytes.
const FEWEST: usize = 1 << 12;

/// The most ids of a cached piece. Of the pieces up to 15 bytes that are no tokens, 99 % on English have no more.
pub(crate) const MOST_IDS: usize = 4;

/// Where the bytes of a piece lie in the ring, followed by so many ids.
#[derive(Clone, Copy)]
pub(crate) struct Listed {
    at: u32,
    count: u32,
}

/// A piece with its ids: two to a line, which has both keys first. The key's second half has the number of ids.
#[derive(Clone, Copy)]
struct Entry {
    key: Key,
    ids: PackedIds,
}

/// Up to four ids, two to a word.
pub(crate) type PackedIds = [u64; 2];

/// All four, those that are none 0.
#[inline(always)]
pub(crate) fn unpacked([first, second]: PackedIds) -> [u32; MOST_IDS] {
    [first as u32, (first >> 32) as u32, second as u32, (second >> 32) as u32]
}

fn packed(ids: &[u32]) -> PackedIds {
    let id = |at: usize| u64::from(ids.get(at).copied().unwrap_or(0));
    [id(0) | id(1) << 32, id(2) | id(3) << 32]
}

impl Entry {
    fn new(key: Key, ids: &[u32]) -> Entry {
        Entry { key: Key([key.0[0], key.0[1] | (ids.len() as u64) << COUNT]), ids: packed(ids) }
    }

    #[inline(always)]
    fn read(line: &Line, entry: usize) -> Entry {
        let at = 2 * (entry & 1);
        Entry { key: Key([line[at], line[at + 1]]), ids: [line[4 + at], line[5 + at]] }
    }

    fn write(self, line: &mut Line, entry: usize) {
        let at = 2 * (entry & 1);
        (line[at], line[at + 1]) = (self.key.0[0], self.key.0[1]);
        (line[4 + at], line[5 + at]) = (self.ids[0], self.ids[1]);
    }
}

/// One thread's cache.
pub(crate) struct Cache {
    /// How many bytes it has served, those of the cache that it grew from included.
    served: usize,
    lines: Lines,
    /// The longer pieces, each followed by its ids. Entries have instead of ids: where theirs begins, of all that was ever written, in
    /// two halves; and how many ids it has.
    ring: Vec<u8>,
    /// How many bytes the ring may have.
    room: usize,
    /// How many were ever written to the ring: the last `room` of them are there.
    written: u64,
}

/// Which entries of a line have a key, as `Key::among` has it.
#[inline(always)]
fn with_key<I: Instructions>(line: &Line, key: &Key) -> usize {
    key.among::<I>(line.first_chunk().expect("a line has eight words"))
}

/// The lines of a cache.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    lines: &'a [Line],
    /// By how many bits what spreads keys is shifted to give a place.
    shift: u32,
}

impl View<'_> {
    /// Where the line of a key is.
    #[inline(always)]
    pub(crate) fn place(self, key: Key) -> u32 {
        self.place_of(Seeds::FIXED.spread(key))
    }

    /// Where the line is of a key that is spread so.
    #[inline(always)]
    pub(crate) fn place_of(self, spread: u32) -> u32 {
        spread >> self.shift
    }

    /// Has the line at a place fetched.
    #[inline(always)]
    pub(crate) fn prefetch(self, place: u32) {
        prefetch(self.lines, place as usize);
    }

    /// The ids of a piece, and how many they are, if they are where they are looked for first.
    #[inline(always)]
    pub(crate) fn get<I: Instructions>(self, place: u32, key: &Key) -> Option<(PackedIds, usize)> {
        let line = &self.lines[place as usize];
        let which = with_key::<I>(line, key);
        let found = Entry::read(line, which >> 2);
        (which != 0).then_some((found.ids, (found.key.0[1] >> COUNT) as usize))
    }
}

impl Cache {
    /// How many bytes a cache takes that has room for all of so many tokens, and as many pieces: 18 MB for cl100k.
    pub(crate) fn ample(tokens: usize) -> usize {
        (tokens * 2).next_power_of_two().max(FEWEST) * (size_of::<Line>() + RING)
    }

    /// A small cache of at most so many bytes, with nothing in it. None if it would be smaller than 288 KB.
    pub(crate) fn small(bytes: usize) -> Option<Cache> {
        Cache::empty(bytes.min(SMALL))
    }

    fn empty(bytes: usize) -> Option<Cache> {
        let count = (bytes / (size_of::<Line>() + RING)).checked_ilog2().map_or(0, |bits| 1 << bits);
        if count < FEWEST {
            return None;
        }
        Some(Cache { served: 0, lines: Lines::new(count), ring: Vec::new(), room: count * RING, written: 0 })
    }

    /// Takes note of so many bytes to encode. A cache that has served enough grows to at most `most` bytes: it gets the frequent tokens, if
    /// tokens are whole pieces, as far as there is room, and keeps its short pieces.
    pub(crate) fn serve(&mut self, bytes: usize, tokens: &Tokens, most: usize) {
        let before = self.served;
        self.served = self.served.saturating_add(bytes);
        if before >= ENOUGH || self.served < ENOUGH {
            return;
        }
        let Some(mut larger) = Cache::empty(most).filter(|larger| larger.view().shift < self.view().shift) else {
            return;
        };
        if tokens.whole_pieces {
            larger.seed(tokens);
        }
        for entry in self.lines.as_slice().iter().flat_map(|line| [Entry::read(line, 1), Entry::read(line, 0)]) {
            let key = entry.key.compared();
            if key.is_short() {
                let place = larger.view().place(key);
                if larger.view().get::<Baseline>(place, &key).is_none() {
                    larger.put(place, entry);
                }
            }
        }
        larger.served = self.served;
        *self = larger;
    }

    /// From the highest rank down, so that frequent tokens come last; in groups, whose lines are fetched side by side.
    fn seed(&mut self, tokens: &Tokens) {
        const GROUP: usize = 64;
        let seeded = tokens.count().min(SEEDED);
        for first in (0..seeded).step_by(GROUP).rev() {
            let group: [(Key, u32); GROUP] = std::array::from_fn(|i| {
                let (bytes, start, end) = tokens.place((first + i).min(seeded - 1) as u32);
                let key = match end - start {
                    ..=SHORT => Key::new(bytes, start, end),
                    length => Seeds::FIXED.long(&bytes[start..start + length.min(LONGEST)]),
                };
                (key, self.view().place(key))
            });
            group.iter().for_each(|&(_, place)| self.view().prefetch(place));
            let count = GROUP.min(seeded - first);
            for (token, &(key, place)) in (first..first + count).zip(&group[..count]).rev() {
                let id = tokens.id(token as u32);
                let bytes = tokens.bytes(token as u32);
                if key.is_short() {
                    self.put(place, Entry::new(key, &[id]));
                } else if bytes.len() <= LONGEST {
                    self.insert_many(place, key, bytes, &[id]);
                }
            }
        }
    }

    /// What look-ups read, at hand: the compiler does not see that it stays where it is.
    #[inline(always)]
    pub(crate) fn view(&self) -> View<'_> {
        let lines = self.lines.as_slice();
        View { lines, shift: u32::BITS - lines.len().trailing_zeros() }
    }

    /// Has the line at a place fetched, and the one beside it.
    #[inline(always)]
    pub(crate) fn fetch_both(&self, place: u32) {
        self.view().prefetch(place);
        self.view().prefetch(place ^ 1);
    }

    /// Brings what is in the line beside it back to the line of a piece.
    #[inline(always)]
    pub(crate) fn bring_back(&mut self, place: u32, key: Key) {
        let beside = self.lines.as_slice()[place as usize ^ 1];
        let which = with_key::<Baseline>(&beside, &key) | with_key::<Baseline>(&beside, &key.of_many());
        if which != 0 {
            let entry = usize::from(which & 1 == 0);
            let lines = self.lines.as_mut_slice();
            let home = &mut lines[place as usize];
            let (first, second) = (Entry::read(home, 0), Entry::read(home, 1));
            Entry::read(&beside, entry).write(home, 0);
            first.write(home, 1);
            second.write(&mut lines[place as usize ^ 1], entry);
        }
    }

    /// Remembers the ids of a piece.
    #[inline(always)]
    pub(crate) fn insert(&mut self, place: u32, key: Key, piece: &[u8], ids: &[u32]) {
        if !key.is_short() || ids.len() > MOST_IDS {
            self.insert_many(place, key, piece, ids);
        } else if self.view().get::<Baseline>(place, &key).is_none() {
            self.put(place, Entry::new(key, ids));
        }
    }

    fn put(&mut self, place: u32, new: Entry) {
        let lines = self.lines.as_mut_slice();
        let line = &mut lines[place as usize];
        let (first, second) = (Entry::read(line, 0), Entry::read(line, 1));
        new.write(line, 0);
        first.write(line, 1);
        if !second.key.is_none() {
            second.write(&mut lines[place as usize ^ 1], 1);
        }
    }

    /// Where what is remembered of a piece with many ids lies, if anything is; it is fetched.
    #[inline(always)]
    pub(crate) fn find_many(&self, place: u32, key: Key) -> Option<Listed> {
        let ([start, count], _) = self.view().get::<Baseline>(place, &key.of_many())?;
        if self.written - start > self.room as u64 {
            return None;
        }
        let at = start as usize % self.room;
        prefetch(&self.ring, at);
        Some(Listed { at: at as u32, count: count as u32 })
    }

    /// The ids of a piece that was found, as bytes, if it is the one that is there.
    #[inline(always)]
    pub(crate) fn get_many(&self, listed: Listed, piece: &[u8]) -> Option<&[[u8; 4]]> {
        let (bytes, ids) = self.ring[listed.at as usize..].split_at_checked(piece.len())?;
        (bytes == piece).then(|| &ids.as_chunks().0[..listed.count as usize])
    }

    /// Remembers the ids of a piece that is long, or has many.
    fn insert_many(&mut self, place: u32, key: Key, piece: &[u8], ids: &[u32]) {
        if self.find_many(place, key).is_some_and(|listed| self.get_many(listed, piece).is_some()) {
            return;
        }
        let length = piece.len() + 4 * ids.len();
        let mut at = self.written as usize % self.room;
        if at + length > self.room {
            self.written += (self.room - at) as u64;
            at = 0;
        }
        if self.ring.len() < at + length {
            self.ring.resize(at + length, 0);
        }
        let (bytes, rest) = self.ring[at..at + length].split_at_mut(piece.len());
        bytes.copy_from_slice(piece);
        for (place, id) in rest.as_chunks_mut().0.iter_mut().zip(ids) {
            *place = id.to_le_bytes();
        }
        let key = key.of_many();
        let new = Entry::new(key, &[self.written as u32, (self.written >> 32) as u32, ids.len() as u32]);
        // An entry of the same hash is an old one, whose bytes are overwritten.
        let line = &mut self.lines.as_mut_slice()[place as usize];
        match with_key::<Baseline>(line, &key) {
            0 => self.put(place, new),
            old => new.write(line, old >> 2),
        }
        self.written += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::Vocabulary;

    #[test]
    fn a_cache_that_has_served_enough_grows_once_and_has_the_tokens_and_its_short_pieces() {
        let bytes = std::array::from_fn(|byte| byte as u32);
        let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[300], vec![], None).unwrap();
        let tokens = vocabulary.tokens();
        let key = |piece: &[u8]| Key::new(piece, 0, piece.len());
        let get = |cache: &Cache, piece: &[u8]| {
            let found = cache.view().get::<Baseline>(cache.view().place(key(piece)), &key(piece));
            found.map(|(ids, count)| unpacked(ids)[..count].to_vec())
        };
        let pieces: Vec<String> = (0..2000).map(|number| format!("piece {number}")).collect();
        let most = 8 * SMALL;
        let mut cache = Cache::small(most).unwrap();
        for (piece, id) in pieces.iter().zip(1000..) {
            let place = cache.view().place(key(piece.as_bytes()));
            cache.insert(place, key(piece.as_bytes()), piece.as_bytes(), &[id, 7]);
        }
        let lines = |cache: &Cache| cache.lines.as_slice().len();
        let small = lines(&cache);
        cache.serve(ENOUGH - 1, tokens, most);
        assert_eq!((lines(&cache), get(&cache, b"ab")), (small, None));
        let there: Vec<_> = pieces.iter().filter(|piece| get(&cache, piece.as_bytes()).is_some()).collect();
        cache.serve(1, tokens, most);
        assert_eq!((lines(&cache), get(&cache, b"ab")), (8 * small, Some(vec![300])));
        assert!(there.len() > 1500);
        for (piece, id) in pieces.iter().zip(1000..).filter(|(piece, _)| there.contains(piece)) {
            assert_eq!(get(&cache, piece.as_bytes()), Some(vec![id, 7]), "{piece}");
        }
        cache.serve(ENOUGH, tokens, 16 * most);
        assert_eq!(lines(&cache), 8 * small);
    }

    #[test]
    fn a_cache_that_may_have_no_more_does_not_grow() {
        let bytes = std::array::from_fn(|byte| byte as u32);
        let vocabulary = Vocabulary::from_merges(&bytes, &[], &[], vec![], None).unwrap();
        let mut cache = Cache::small(300_000).unwrap();
        let lines = cache.lines.as_slice().len();
        cache.serve(usize::MAX, vocabulary.tokens(), 300_000);
        assert_eq!(cache.lines.as_slice().len(), lines);
        assert!(Cache::small(200_000).is_none());
    }
}
