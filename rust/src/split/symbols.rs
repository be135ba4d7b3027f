//! Symbols: characters that no class of the pattern tells apart are one symbol. cl100k has 16 of them, so everything built
//! on them is small.

use std::collections::HashMap;

use regex_syntax::hir::ClassUnicode;

use super::parse::Compiled;

/// Patterns with more symbols than this are refused.
const MAX_SYMBOLS: usize = 120;

/// Which symbol each code point is, and which symbols each class has. Symbols are numbered in the order of their first code points.
pub(super) struct Symbols {
    /// Intervals of code points: the first of each, and its symbol.
    intervals: Vec<(u32, u8)>,
    /// How many symbols there are.
    pub(super) count: usize,
    /// For each class, the set of its symbols.
    members: Vec<u128>,
}

impl Symbols {
    /// The symbols that `classes` (at most 128) tell apart.
    pub(super) fn new(classes: &[ClassUnicode]) -> Compiled<Symbols> {
        let mut borders: Vec<(u32, u128)> = vec![(0, 0)];
        for (class, ranges) in classes.iter().enumerate() {
            for range in ranges.iter() {
                borders.push((range.start() as u32, 1 << class));
                borders.push((range.end() as u32 + 1, 1 << class));
            }
        }
        borders.sort(); // those of each class are in order already, which this sort makes use of

        let mut symbols = Symbols { intervals: Vec::new(), count: 0, members: vec![0; classes.len()] };
        let mut known: HashMap<u128, u8> = HashMap::new();
        let mut inside = 0; // the classes that hold the code points from here on
        for same in borders.chunk_by(|a, b| a.0 == b.0) {
            inside = same.iter().fold(inside, |inside, border| inside ^ border.1);
            let first = same[0].0;
            if first > char::MAX as u32 {
                break;
            }
            let symbol = *known.entry(inside).or_insert(symbols.count as u8);
            if symbol as usize == symbols.count {
                if symbols.count == MAX_SYMBOLS {
                    return Err("its classes tell too many kinds of characters apart");
                }
                symbols.count += 1;
                for (class, members) in symbols.members.iter_mut().enumerate() {
                    *members |= (inside >> class & 1) << symbol;
                }
            }
            if symbols.intervals.last().is_none_or(|last| last.1 != symbol) {
                symbols.intervals.push((first, symbol));
            }
        }
        Ok(symbols)
    }

    /// The symbols of the code points from `first` on.
    pub(super) fn from(&self, first: u32) -> impl Iterator<Item = u8> {
        let mut interval = self.interval(first);
        (first..).map(move |code_point| {
            interval += self.intervals.get(interval + 1).is_some_and(|next| next.0 <= code_point) as usize;
            self.intervals[interval].1
        })
    }

    /// The one symbol of all code points in `first..first + length`, if they have only one.
    pub(super) fn of_all(&self, first: u32, length: u32) -> Option<u8> {
        let interval = self.interval(first);
        let next = self.intervals.get(interval + 1);
        next.is_none_or(|next| next.0 >= first + length).then_some(self.intervals[interval].1)
    }

    /// Whether a class has a symbol.
    pub(super) fn has(&self, class: u16, symbol: usize) -> bool {
        self.members[class as usize] >> symbol & 1 == 1
    }

    fn interval(&self, code_point: u32) -> usize {
        self.intervals.partition_point(|interval| interval.0 <= code_point) - 1
    }
}
