//! Merging many short pieces side by side: one merge in each, turn by turn.
//!
//! A merge reads the pair table twice, and the lines it reads are seldom in a near cache. So a lane prefetches them in one round and reads
//! them in the next, after the other lanes have had their turn: no merge waits for memory.

use crate::table::{MAX_TOKENS, Pairs};

/// The longest piece that a lane takes.
pub(crate) const LONGEST: usize = 31;

/// How many lanes: enough that a fetch of some 100 ns is over when its lane's turn comes, and few enough to stay in a near cache.
const LANES: usize = 16;

/// Places in a lane: 1 to 31 are bytes, 0 stands for "nothing there".
const PLACES: usize = LONGEST + 1;

/// Keys from here on are above those of all merges: "nothing to merge".
const NONE: u32 = u32::MAX << 5;

/// Stands where there is no token: an index that no token has, so that it is in no pair.
const NOBODY: u32 = MAX_TOKENS as u32 - 1;

/// A piece that is being merged.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lane {
    /// For each place, the merge of its token with the right neighbour, as `merged - 1 << 5 | place`: one minimum gives the lowest rank
    /// and, among equals, the leftmost.
    keys: [u32; PLACES],
    /// The token that starts at a place.
    tokens: [u32; PLACES],
    /// A bit for each place at which a token starts: neighbours are found by counting zeros, and nothing is moved.
    live: u32,
    /// The place of the last merge, and of the token to its left.
    at: u32,
    before: u32,
    /// The token to its right.
    right: u32,
    /// The places in the pair table of the pairs that the last merge made, with its right and with its left neighbour: read
    /// in the next round.
    asked: [u32; 2],
    /// Whether the piece has more than 15 bytes.
    long: bool,
    /// The number of the piece.
    piece: u32,
}

impl Lane {
    const EMPTY: Lane = Lane {
        keys: [NONE; PLACES],
        tokens: [NOBODY; PLACES],
        live: 0,
        at: 0,
        before: 0,
        right: NOBODY,
        asked: [0; 2],
        long: false,
        piece: 0,
    };

    #[inline(always)]
    fn start(&mut self, index: u32, piece: &[u8], pairs: Pairs<'_>) {
        let live = ((1u64 << piece.len()) - 1) << 1;
        *self = Lane { live: live as u32, long: piece.len() > 15, piece: index, ..Lane::EMPTY };
        for (token, &byte) in self.tokens[1..].iter_mut().zip(piece) {
            *token = u32::from(byte);
        }
        for (place, two) in (1..).zip(piece.windows(2)) {
            self.keys[place & LONGEST] = key(pairs.get_bytes(two[0], two[1]).unwrap_or(0), place);
        }
    }

    /// Reads the lines that the last merge prefetched, then merges once more, and prefetches the next ones. False if
    /// nothing is left to merge.
    #[inline(always)]
    fn round(&mut self, pairs: Pairs<'_>) -> bool {
        let (at, before) = (self.at as usize & LONGEST, self.before as usize & LONGEST);
        let token = self.tokens[at];
        let to_right = key(pairs.get_at(self.asked[0], token, self.right), at);
        let to_left = key(pairs.get_at(self.asked[1], self.tokens[before], token), before);
        // The keys are read before the two new ones are stored: the stores would hold the reads up.
        let mut lowest = self.keys[..16].iter().fold(NONE, |lowest, &key| lowest.min(key));
        if self.long {
            lowest = self.keys[16..].iter().fold(lowest, |lowest, &key| lowest.min(key));
        }
        let lowest = lowest.min(to_right).min(to_left);
        self.keys[at] = to_right;
        self.keys[before] = to_left;
        if lowest >= NONE {
            return false;
        }
        let (at, merged) = (lowest as usize & LONGEST, (lowest >> 5) + 1);
        let above = self.live & (!1 << at);
        let gone = above.trailing_zeros() as usize & LONGEST;
        let right = (above & above.wrapping_sub(1)).trailing_zeros() as usize & LONGEST;
        let before = 31 - (self.live & ((1 << at) - 1) | 1).leading_zeros() as usize;
        self.live &= !(1 << gone);
        self.tokens[at] = merged;
        (self.keys[at], self.keys[gone], self.keys[before & LONGEST]) = (NONE, NONE, NONE);
        (self.at, self.before, self.right) = (at as u32, before as u32, self.tokens[right]);
        self.asked = [pairs.place(merged, self.right), pairs.place(self.tokens[before & LONGEST], merged)];
        self.asked.iter().for_each(|&place| pairs.prefetch(place));
        true
    }
}

/// The key of a merge at a place. Merge 0 stands for none: it wraps to `NONE` or above, and so comes last without a test.
#[inline(always)]
fn key(merged: u32, place: usize) -> u32 {
    merged.wrapping_sub(1) << 5 | place as u32
}

/// The lanes, and which of them are at work.
pub(crate) struct Lanes {
    lanes: [Lane; LANES],
    /// The numbers of all lanes, those at work first.
    order: [u8; LANES],
    busy: usize,
}

impl Default for Lanes {
    fn default() -> Lanes {
        Lanes { lanes: [Lane::EMPTY; LANES], order: std::array::from_fn(|lane| lane as u8), busy: 0 }
    }
}

impl Lanes {
    pub(crate) fn full(&self) -> bool {
        self.busy == LANES
    }

    pub(crate) fn idle(&self) -> bool {
        self.busy == 0
    }

    /// Gives a piece of 1 to 31 bytes to an idle lane.
    #[inline(always)]
    pub(crate) fn start(&mut self, index: usize, piece: &[u8], pairs: Pairs<'_>) {
        self.lanes[usize::from(self.order[self.busy]) % LANES].start(index as u32, piece, pairs);
        self.busy += 1;
    }

    /// Does one merge in each piece. Finished pieces go to `done`, with their tokens.
    #[inline(always)]
    pub(crate) fn round(&mut self, pairs: Pairs<'_>, mut done: impl FnMut(usize, &[u32])) {
        let mut turn = 0;
        while turn < self.busy {
            let lane = &mut self.lanes[usize::from(self.order[turn]) % LANES];
            if lane.round(pairs) {
                turn += 1;
                continue;
            }
            let (mut tokens, mut count, mut live) = ([0; PLACES], 0, lane.live);
            while live != 0 {
                tokens[count % PLACES] = lane.tokens[live.trailing_zeros() as usize & LONGEST];
                count += 1;
                live &= live - 1;
            }
            done(lane.piece as usize, &tokens[..count]);
            self.busy -= 1;
            self.order.swap(turn, self.busy);
        }
    }
}
