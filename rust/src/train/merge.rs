//! One merge: the pair becomes a token wherever it stands, and the pairs around those places change their counts.
//!
//! Changes are gathered by neighbour, so that each pair is looked up once a merge, however many places it shares with it.

use super::Pair;
use super::cells::Cells;
use super::index::{Index, IndexedPair, PairId};
use crate::error::Result;
use crate::progress::Pulse;

/// Places that go through the stages of a merge together: their cells are fetched, then they are looked at, then they are merged.
const GROUP: usize = 64;

/// Merges pairs, one after the other; what it holds between two merges is empty.
#[derive(Default)]
pub(super) struct Merger {
    left: Neighbours,
    right: Neighbours,
    created: Vec<PairId>,
}

/// What a merge did.
pub(super) struct Merged<'a> {
    /// In how many places of the corpus the pair became a token.
    pub(super) places: u64,
    /// The pairs that are new.
    pub(super) created: &'a [PairId],
}

impl Merger {
    /// Writes `token` for `pair` in all its places and brings the index up to date.
    pub(super) fn merge(
        &mut self,
        pair: &IndexedPair,
        token: u32,
        cells: &mut Cells,
        index: &mut Index,
        pulse: &mut Pulse<'_>,
    ) -> Result<Merged<'_>> {
        let (first, second) = pair.tokens;
        let length = cells.length(token) as u32;
        let wanted = index.wanted();
        let mut places = 0;
        self.left.make_room(cells.tokens());
        self.right.make_room(cells.tokens());
        self.created.clear();
        let (mut fetched, mut found) = (&[][..], Sites::default());
        for group in pair.places.chunks(GROUP).chain([&[][..]; 2]) {
            pulse.step(group.len())?;
            group.iter().for_each(|&at| cells.prefetch(at));
            let coming = Sites::find(pair.tokens, fetched, cells);
            for &(at, piece) in found.all() {
                // In a run ("aaa") the place before may have taken this one.
                if !cells.holds(pair.tokens, at) {
                    continue;
                }
                let weight = cells.weight(piece);
                let next = at + length;
                if let Some(left) = cells.left_of(at) {
                    let start = at - cells.length(left) as u32;
                    self.left.gather(left, start, weight);
                }
                // Where the pair follows itself, the place to come will find the new token on its left.
                if let Some(right) = cells.begins_at(next)
                    && !cells.holds(pair.tokens, next)
                {
                    self.right.gather(right, at, weight);
                }
                cells.write(pair.tokens, at, token);
                places += weight;
            }
            (fetched, found) = (group, coming);
        }
        let created = &mut self.created;
        let mut change = |old, new, weight, places: Option<Vec<u32>>| {
            index.lower(old, weight);
            created.extend(places.map(|places| index.insert(new, weight, places)));
        };
        let admits = |neighbour, weight| wanted.admits(weight, cells.length(neighbour) + length as usize);
        self.left.drain(admits, |left, weight, places| {
            let old = if left == token { second } else { left };
            change((old, first), (left, token), weight, places);
        });
        self.right.drain(admits, |right, weight, places| change((second, right), (token, right), weight, places));
        Ok(Merged { places, created })
    }
}

/// Some places where a pair still stands, and the pieces that they are in.
struct Sites {
    sites: [(u32, u32); GROUP],
    count: usize,
}

impl Default for Sites {
    fn default() -> Sites {
        Sites { sites: [(0, 0); GROUP], count: 0 }
    }
}

impl Sites {
    fn find(pair: Pair, places: &[u32], cells: &Cells) -> Sites {
        let mut found = Sites::default();
        for &at in places {
            found.sites[found.count].0 = at;
            found.count += usize::from(cells.holds(pair, at));
        }
        for (at, piece) in &mut found.sites[..found.count] {
            *piece = cells.piece(*at);
        }
        found
    }

    fn all(&self) -> &[(u32, u32)] {
        &self.sites[..self.count]
    }
}

/// The tokens on one side of a pair's places, and where they make pairs with the new token.
#[derive(Default)]
struct Neighbours {
    /// By token; zero for those not seen in this merge.
    tallies: Vec<Tally>,
    seen: Vec<u32>,
    /// Each neighbour with the place of the new pair.
    places: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    weight: u64,
    /// How many places; in the end, the number of the list they go to.
    places: u32,
}

impl Neighbours {
    fn make_room(&mut self, tokens: usize) {
        self.tallies.resize(tokens, Tally::default());
    }

    fn gather(&mut self, neighbour: u32, place: u32, weight: u64) {
        let tally = &mut self.tallies[neighbour as usize];
        if tally.places == 0 {
            self.seen.push(neighbour);
        }
        tally.weight += weight;
        tally.places += 1;
        self.places.push((neighbour, place));
    }

    /// Calls `each(neighbour, weight, places)` and forgets all; no places where not `admits(neighbour, weight)`.
    fn drain(&mut self, admits: impl Fn(u32, u64) -> bool, mut each: impl FnMut(u32, u64, Option<Vec<u32>>)) {
        let mut lists = Vec::with_capacity(self.seen.len());
        for (&neighbour, number) in self.seen.iter().zip(0..) {
            let tally = &mut self.tallies[neighbour as usize];
            lists.push(admits(neighbour, tally.weight).then(|| Vec::with_capacity(tally.places as usize)));
            tally.places = number;
        }
        for (neighbour, place) in self.places.drain(..) {
            if let Some(list) = &mut lists[self.tallies[neighbour as usize].places as usize] {
                list.push(place);
            }
        }
        for (neighbour, list) in self.seen.drain(..).zip(lists) {
            let tally = std::mem::take(&mut self.tallies[neighbour as usize]);
            each(neighbour, tally.weight, list);
        }
    }
}
