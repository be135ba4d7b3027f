//! UTF-8 bytes to symbols, a byte at a time: the symbol comes with the last byte of a character, `nop` with those before.
//!
//! Rows have 64 entries, one for each continuation byte; equal rows are stored once, so that all of CJK is a single leaf. What is not UTF-8
//! leads to `invalid`, so the trie also tells where a character is well formed.

use std::collections::HashMap;

use super::parse::Compiled;
use super::symbols::Symbols;

/// An entry: the next row << 16 | on the last byte of a character, how many of its bytes came before << 8 | symbol.
///
/// A row is named by the entry that byte 0 would have, so that the next entry is at row + byte; the root is row 0.
#[derive(Clone, Copy)]
pub(super) struct TrieEntry(pub(super) u32);

impl TrieEntry {
    fn new(row: usize, before: u32, symbol: u8) -> TrieEntry {
        TrieEntry((row as u32) << 16 | before << 8 | symbol as u32)
    }

    /// The row for the next byte.
    #[inline(always)]
    pub(super) fn row(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// How many bytes of its character came before this one, the last; else 0.
    #[inline(always)]
    pub(super) fn before(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// The symbol, `nop` or `invalid`.
    #[inline(always)]
    pub(super) fn symbol(self) -> usize {
        (self.0 & 0xff) as usize
    }
}

/// The trie of `symbols`, as the words of `TrieEntry`, with the given numbers for "inside a character" and "not UTF-8".
///
/// Every row it names has 256 entries behind it, whatever the byte: `row + 255` is in bounds.
pub(super) fn build(symbols: &Symbols, nop: u8, invalid: u8) -> Compiled<Vec<u32>> {
    let nowhere = TrieEntry::new(0, 0, invalid).0;
    let mut builder =
        Builder { words: vec![nowhere; 256], rows: HashMap::new(), uniform: HashMap::new(), symbols, nop, invalid };
    for (word, symbol) in builder.words.iter_mut().zip(symbols.from(0)).take(128) {
        *word = TrieEntry::new(0, 0, symbol).0;
    }
    for byte in 0xc2..=0xf4u32 {
        builder.words[byte as usize] = match byte {
            0xc2..0xe0 => builder.lead((byte & 31) << 6, 0x80, 1, 1)?,
            0xe0..0xf0 => builder.lead((byte & 15) << 12, 0x800, 2, 1)?,
            _ => builder.lead((byte & 7) << 18, 0x10000, 3, 1)?,
        };
    }
    let mut words = builder.words;
    words.resize(words.len() + 128, nowhere);
    Ok(words)
}

struct Builder<'a> {
    words: Vec<u32>,
    /// Where each row is.
    rows: HashMap<Vec<u32>, usize>,
    /// The word that leads to one symbol alone, by (symbol, bytes to come, bytes before): most of Unicode, found here
    /// instead of being made again.
    uniform: HashMap<(u8, u32, u32), u32>,
    symbols: &'a Symbols,
    nop: u8,
    invalid: u8,
}

impl Builder<'_> {
    /// The word that leads on to the code points from `first` on that `depth` more bytes tell apart, after `before` bytes; those below
    /// `least` are overlong.
    fn lead(&mut self, first: u32, least: u32, depth: u32, before: u32) -> Compiled<u32> {
        let step = 1 << (6 * (depth - 1));
        let uniform = self.one_symbol(first, least, 64 * step);
        if let Some(symbol) = uniform
            && let Some(&lead) = self.uniform.get(&(symbol, depth, before))
        {
            return Ok(lead);
        }
        let word = |symbol| TrieEntry::new(0, before, symbol).0;
        let row = match uniform {
            _ if depth > 1 => {
                let row = (0..64).map(|byte| self.lead(first + byte * step, least, depth - 1, before + 1));
                row.collect::<Compiled<_>>()?
            }
            Some(symbol) => vec![word(symbol); 64],
            None => self.symbols.from(first).take(64).map(word).collect(),
        };
        let lead = self.lead_to(row)?;
        if let Some(symbol) = uniform {
            self.uniform.insert((symbol, depth, before), lead);
        }
        Ok(lead)
    }

    /// The one symbol of the code points `first..first + length`, if they have only one: `invalid` where none of them may stand.
    fn one_symbol(&self, first: u32, least: u32, length: u32) -> Option<u8> {
        const SURROGATES: (u32, u32) = (0xd800, 0xe000);
        const ALL: u32 = char::MAX as u32 + 1;
        let (within, beside) = (
            |(start, end)| start <= first && first + length <= end,
            |(start, end)| first + length <= start || end <= first,
        );
        if within((0, least)) || within(SURROGATES) || ALL <= first {
            return Some(self.invalid);
        }
        let valid = beside((0, least)) && beside(SURROGATES) && within((0, ALL));
        self.symbols.of_all(first, length).filter(|_| valid)
    }

    fn lead_to(&mut self, row: Vec<u32>) -> Compiled<u32> {
        let fresh = self.words.len();
        let at = *self.rows.entry(row).or_insert_with_key(|row| {
            self.words.extend(row);
            fresh
        });
        if at - 128 > u16::MAX as usize {
            return Err("its classes are too scattered");
        }
        Ok(TrieEntry::new(at - 128, 0, self.nop).0)
    }
}
