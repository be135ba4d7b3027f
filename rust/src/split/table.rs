//! The table that the walk reads: a row for each state, a column for each symbol and for each kind of ASCII pair.
//!
//! The walk writes positions through a pointer and reads rows without bounds checks. What makes that sound is checked here, once, on the
//! finished table (`Table::is_sound`), not trusted to the stages before. Tables of named patterns are 8 to 38 KB, and the trie of UTF-8 is
//! 125 to 160 KB, of which a text touches a few KB.

use std::collections::HashMap;

use super::automaton::Automaton;
use super::machine::{MAX_LEVELS, Machine, Move};
use super::parse::{Compiled, Nfa};
use super::symbols::Symbols;
use super::trie::{self, TrieEntry};

/// The most entries of all rows before equal columns are merged. A pattern that needs more is refused.
const MAX_CELLS: usize = 1 << 20;

/// Where the rows and the trie begin among a table's words; the pairs come before them. It is one array with constant offsets, so that the
/// walk needs one register for all of it.
pub(super) const ROWS: usize = 1 << 14;
pub(super) const TRIE: usize = 2 << 14;

/// An entry of a row: the next row << 16 | `second` << 8 | `shift`. A row is named by the index of its first entry, counted from `ROWS`.
///
/// Move the write pointer by `shift` slots, then write the position there. A pair of bytes writes its two positions to two slots; `second`
/// means that the second one overwrites the first.
#[derive(Clone, Copy)]
pub(super) struct Entry(pub(super) u32);

impl Entry {
    fn new(row: usize, second: bool, shift: i8) -> Entry {
        Entry((row as u32) << 16 | (second as u32) << 8 | shift as u8 as u32)
    }

    #[inline(always)]
    pub(super) fn row(self) -> usize {
        (self.0 >> 16) as usize
    }

    #[inline(always)]
    pub(super) fn second(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline(always)]
    pub(super) fn shift(self) -> isize {
        self.0 as i8 as isize
    }
}

/// A compiled pattern.
pub(super) struct Table {
    /// * Pairs: for two ASCII bytes, as a little-endian number, a column; two to a word, as they lie in memory.
    /// * Rows, from `ROWS` on: a column for each symbol, for the end of the text, for a byte inside a character (`nop`), for `pending`
    ///   (from the slot last written to the first one that is not settled), then one for each kind of pair of ASCII symbols.
    /// * The trie, from `TRIE` on.
    pub(super) words: Vec<u32>,
    width: usize,
    height: usize,
    symbols: usize,
    /// For each pair of symbols, whether a piece always ends between them.
    cuts: Vec<bool>,
    /// For each symbol, whether no match holds it.
    outside: Vec<bool>,
}

/// What a pattern makes of a place between two characters, whatever the text before and after.
pub(super) enum Between {
    /// A piece ends there.
    Cut,
    /// A piece may end there or a gap go on; and the two sides, split separately, give the pieces of the whole but for that gap.
    Gap,
    /// It depends.
    Unknown,
}

impl Table {
    /// Compiles `pattern`, or says why not.
    pub(super) fn compile(pattern: &str) -> Compiled<Table> {
        let nfa = Nfa::parse(pattern)?;
        let symbols = Symbols::new(&nfa.classes)?;
        let machine = Machine::new(&Automaton::new(&nfa, &symbols)?)?;
        let rows = Rows::new(&machine, &symbols)?;
        let table = rows.into_table(machine, &symbols)?;
        // Cannot happen; but it is cheap to look, and costly to be wrong.
        if table.is_sound() { Ok(table) } else { Err("its table breaks an invariant") }
    }

    /// What the end of the text does in the state of `row`.
    pub(super) fn end(&self, row: usize) -> Entry {
        self.entry(row, self.symbols)
    }

    /// From the slot last written to the first one that is not settled, in the state of `row`.
    pub(super) fn pending(&self, row: usize) -> isize {
        self.entry(row, self.symbols + 2).shift()
    }

    fn entry(&self, row: usize, column: usize) -> Entry {
        Entry(self.words[ROWS + row + column])
    }

    /// The last position in `lo..=hi` where a piece ends whatever the text before and after.
    ///
    /// `bytes` need not be UTF-8: an invalid stretch ends at the first byte that begins a character, so two well-formed characters side by
    /// side are seen as such when the whole is read.
    pub(super) fn cut(&self, bytes: &[u8], lo: usize, hi: usize) -> Option<usize> {
        let mut right: Option<(usize, usize)> = None; // where the character on the right begins, and its symbol
        for at in (lo.saturating_sub(4)..bytes.len().min(hi.saturating_add(1))).rev() {
            if bytes[at] & 0xc0 == 0x80 {
                continue;
            }
            let left = self.character(bytes, at);
            if let (Some((x, end)), Some((border, y))) = (left, right)
                && end == border
                && self.cuts[x * self.symbols + y]
            {
                return Some(border);
            }
            if at < lo {
                return None;
            }
            right = left.map(|(symbol, _)| (at, symbol));
        }
        None
    }

    /// What lies at `at` in `bytes`, which need not be UTF-8.
    pub(super) fn between(&self, bytes: &[u8], at: usize) -> Between {
        let left = (at.saturating_sub(4)..at).rev().find(|&start| bytes[start] & 0xc0 != 0x80);
        match (left.and_then(|start| self.character(bytes, start)), self.character(bytes, at)) {
            (Some((x, end)), Some((y, _))) if end == at && self.cuts[x * self.symbols + y] => Between::Cut,
            (Some((x, end)), Some(_)) if end == at && self.outside[x] => Between::Gap,
            _ => Between::Unknown,
        }
    }

    /// The symbol of a character, and how many there are.
    pub(super) fn symbol(&self, character: char) -> (usize, usize) {
        let symbol = self.character(character.encode_utf8(&mut [0; 4]).as_bytes(), 0);
        (symbol.map_or(self.symbols, |(symbol, _)| symbol), self.symbols)
    }

    /// The symbol of the character that begins at `at`, and where it ends; `None` if none is well formed there.
    fn character(&self, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let mut row = 0;
        for (length, &byte) in bytes[at..].iter().take(4).enumerate() {
            if length > 0 && byte & 0xc0 != 0x80 {
                return None;
            }
            let entry = TrieEntry(self.words[TRIE + row + byte as usize]);
            match entry.symbol() {
                symbol if symbol < self.symbols => return Some((symbol, at + length + 1)),
                symbol if symbol == self.symbols => return None,
                _ => row = entry.row(),
            }
        }
        None
    }

    /// Whether every walk over this table stays inside its rows, the trie, and an output of one slot a byte and a few spare ones.
    ///
    /// Let S be the first slot that is not settled and F the first free one, less than `MAX_LEVELS` behind it (`nop` writes there). A step of
    /// n bytes must write between S and F + n - 1, must not lower S, and must raise F by at most n. Then, by induction, all writes lie
    /// between the first S and the first F + the number of bytes read.
    fn is_sound(&self) -> bool {
        let n = self.symbols;
        let rows = || (0..self.height).map(|row| row * self.width);
        let free = |row: usize| self.entry(row, n + 1).shift() - self.pending(row);
        let step_is_sound = |row: usize, column: usize| {
            let entry = self.entry(row, column);
            let bytes = if column > n + 2 { 2 } else { 1 };
            let (slot, to) = (entry.shift() - self.pending(row), entry.row());
            to % self.width == 0 && to / self.width < self.height && {
                let settled = slot + self.pending(to);
                (0..free(row) + bytes).contains(&slot)
                    && settled >= 0
                    && (0..MAX_LEVELS as isize).contains(&free(to))
                    && settled + free(to) <= free(row) + bytes
            }
        };
        let trie = &self.words[TRIE..];
        let column_exists = |pair: usize| {
            let column = halves(self.words[pair / 2])[pair % 2] as usize;
            n + 2 < column && column < self.width
        };
        self.width * self.height <= TRIE - ROWS
            && (0..1 << 15).filter(|pair| pair & 0x8080 == 0).all(column_exists)
            && trie.iter().all(|&word| TrieEntry(word).row() + 255 < trie.len() && TrieEntry(word).symbol() <= n + 1)
            && self.pending(0) == 0
            && free(0) == 0
            && rows().all(|row| (0..self.width).all(|column| column == n + 2 || step_is_sound(row, column)))
    }
}

/// The two 16-bit numbers of a word, in the order of memory.
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

/// The word of two 16-bit numbers.
fn whole([first, second]: [u16; 2]) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// Rows under construction: one for each state and each distance between the slot last written and the first unsettled one, so that one
/// signed step moves the write pointer. Entries hold the next row's number.
struct Rows {
    rows: Vec<Vec<u32>>,
    /// (state, pending) of each row.
    states: Vec<(usize, i8)>,
    /// The few rows of each state, with their pending. Looking them up by hash took a third of the instructions of compiling.
    of_state: Vec<Vec<(i8, usize)>>,
    /// The symbols of ASCII. They are the first ones.
    ascii: Vec<usize>,
    /// How many symbols ASCII has.
    kinds: usize,
}

impl Rows {
    fn new(machine: &Machine, symbols: &Symbols) -> Compiled<Rows> {
        let ascii: Vec<usize> = symbols.from(0).take(128).map(usize::from).collect();
        let kinds = ascii.iter().max().map_or(0, |last| last + 1);
        let mut of_state = vec![Vec::new(); machine.moves.len()];
        of_state[0].push((0, 0));
        let mut rows = Rows { rows: Vec::new(), states: vec![(0, 0)], of_state, ascii, kinds };
        let after = |step: &Move| step.settle as i8 - step.slot as i8;
        while rows.rows.len() < rows.states.len() {
            let (state, pending) = rows.states[rows.rows.len()];
            let (moves, free) = (&machine.moves[state], machine.free[state] as i8);
            let mut row = Vec::with_capacity(moves.len() + 2 + kinds * kinds);
            for step in moves {
                row.push(rows.cell(pending + step.slot as i8, false, step.to, after(step)));
            }
            row.push(rows.cell(pending + free, false, state, -free));
            row.push(Entry::new(0, false, pending).0);
            for first in &moves[..kinds] {
                for second in &machine.moves[first.to][..kinds] {
                    // The second position goes to the slot after the first one's, or to an earlier one, and then the first is dead.
                    let slot = pending + first.slot as i8;
                    let next = slot + after(first) + second.slot as i8;
                    row.push(match next - slot {
                        1 => rows.cell(slot, false, second.to, after(second) + 1),
                        ..=0 => rows.cell(next, true, second.to, after(second)),
                        _ => return Err("its matches may lie too far apart"),
                    });
                }
            }
            if (rows.rows.len() + 1) * row.len() > MAX_CELLS {
                return Err("its table is too large");
            }
            rows.rows.push(row);
        }
        Ok(rows)
    }

    fn cell(&mut self, shift: i8, second: bool, state: usize, pending: i8) -> u32 {
        let known = self.of_state[state].iter().find(|(known, _)| *known == pending).map(|&(_, row)| row);
        let row = known.unwrap_or_else(|| {
            self.states.push((state, pending));
            self.of_state[state].push((pending, self.states.len() - 1));
            self.states.len() - 1
        });
        Entry::new(row, second, shift).0
    }

    /// Lays the rows out; pairs of symbols that no state tells apart share a column.
    fn into_table(self, machine: Machine, symbols: &Symbols) -> Compiled<Table> {
        let singles = symbols.count + 3;
        let mut kept: Vec<usize> = (0..singles).collect();
        let mut known = HashMap::new();
        let columns: Vec<u16> = (singles..singles + self.kinds * self.kinds)
            .map(|column| {
                let cells: Vec<u32> = self.rows.iter().map(|row| row[column]).collect();
                *known.entry(cells).or_insert_with(|| {
                    kept.push(column);
                    (kept.len() - 1) as u16
                })
            })
            .collect();
        let (width, height) = (kept.len(), self.rows.len());
        if width * height > TRIE - ROWS {
            return Err("its table is too large");
        }
        let mut words = vec![0; TRIE];
        for (second, first) in (0..128).flat_map(|second| (0..128).map(move |first| (second, first))) {
            let pair = second << 8 | first;
            let mut columns_here = halves(words[pair / 2]);
            columns_here[pair % 2] = columns[self.ascii[first] * self.kinds + self.ascii[second]];
            words[pair / 2] = whole(columns_here);
        }
        for (row, cells) in self.rows.iter().enumerate() {
            for (word, &column) in words[ROWS + row * width..].iter_mut().zip(&kept) {
                let cell = cells[column];
                *word = (((cell >> 16) * width as u32) << 16) | (cell & 0xffff);
            }
        }
        let nop = symbols.count as u8 + 1;
        words.extend(trie::build(symbols, nop, symbols.count as u8)?);
        let Machine { cuts, outside, .. } = machine;
        Ok(Table { words, width, height, symbols: symbols.count, cuts, outside })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_would_lead_the_walk_astray_is_not_sound() {
        let harm: [fn(&mut Table); 6] = [
            |table| table.words[ROWS] = Entry::new(table.width * table.height, false, 0).0,
            |table| table.words[ROWS] = Entry::new(1, false, 0).0,
            |table| table.words[ROWS] = Entry::new(0, false, 9).0,
            |table| table.words[ROWS] = Entry::new(0, false, -1).0,
            |table| table.words[TRIE + 0xc3] |= 0xffff << 16,
            |table| table.words[0] = whole([table.width as u16, 0]),
        ];
        for harm in harm {
            let mut table = Table::compile(r"\w+").ok().filter(Table::is_sound).expect("compiled");
            harm(&mut table);
            assert!(!table.is_sound());
        }
    }
}
