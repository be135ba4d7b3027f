//! The walk over the table: no branch depends on the text, two ASCII bytes a step, four places of the text at once.
//!
//! A step waits for the one before it (load the row's entry, then the next row's), so one lane leaves the processor idle; four fill it.
//! Each lane begins at a proven cut before its window, and the lane before it runs past that cut: no speculation, no repair. Where no cut
//! is near, one lane walks alone until there is one.
//!
//! Rows are indices into one array of words: with addresses instead, the same walk is 10 % faster, but the table is twice as large, bound
//! to 48-bit pointers and hard to prove sound. cl100k, one thread of a busy 2-core x86-64, best of many runs of 20 MB, MB/s: English 1550,
//! code and 17 languages 1180, CJK 700 (addresses: 1690, 1290, 780). One lane: 690 on English. Pairs are walked in all four lanes together;
//! single bytes, which need a third register a lane, in two lanes at a time (four together: 430 on CJK; three: 710, but 1260 on English).
//!
//! The only file of the splitter with unsafe code: `walk`, a safe function that asserts what it needs, and `Run`, its inner steps.

#![expect(unsafe_code, reason = "positions are written through a pointer, and rows read without checks of bounds")]

use super::machine::MAX_LEVELS;
use super::table::{Entry, ROWS, TRIE, Table};
use super::trie::TrieEntry;
use super::{Each, Scratch, too_long};
use crate::error::Result;

/// How many lanes.
const LANES: usize = 4;
/// How many bytes a lane walks before the next cuts are looked for. 64 more than a power of two, so that the lanes do not share cache sets.
const LONG: usize = 8192 + 64;
/// The rest of a text is divided among the lanes; this many bytes or fewer are walked by one alone.
const FEW: usize = 256;
/// Bytes of a block. A shorter one is copied, so that its lanes lie equally far apart: a distance that is not known ahead would take
/// registers from the walk (documents of some KB were encoded at 0.83 of the speed).
const BLOCK: usize = LANES * LONG;
/// Bytes between two tests for "all ASCII".
const UNIT: usize = 16;
/// How far one lane walks alone between batches, and within how many bytes of the end of that it looks for a cut: a huge piece has none,
/// and looking takes twice as long as walking.
pub(crate) const WINDOW: usize = 8192;
const NEAR: usize = 512;
/// Output slots beyond one for each byte.
pub(crate) const SPARE: usize = 16;
/// How many bytes beyond those needed are checked for being UTF-8.
const AHEAD: usize = 1 << 16;

/// Splits a text with a table.
pub(super) struct Splitting<'a, 'e> {
    table: &'a Table,
    text: &'a [u8],
    /// How many bytes of it are known to be UTF-8.
    checked: usize,
    /// Where the text begins, as the caller counts.
    base: usize,
    /// What the lanes write to.
    slots: &'a mut Vec<u32>,
    /// Room for a block that is copied.
    copied: &'a mut Vec<u8>,
    each: &'a mut Each<'e>,
}

impl<'a, 'e> Splitting<'a, 'e> {
    /// Splits `text`, which begins at `base`, with the buffers of `scratch`. The first `checked` bytes are known to be UTF-8; beyond them,
    /// what is not UTF-8 ends the text.
    pub(super) fn new(
        table: &'a Table,
        text: &'a [u8],
        checked: usize,
        base: usize,
        scratch: &'a mut Scratch,
        each: &'a mut Each<'e>,
    ) -> Self {
        let Scratch { slots, copied, .. } = scratch;
        Splitting { table, text, checked, base, slots, copied, each }
    }

    /// Sends the ends of all pieces, and returns where the text ends.
    pub(super) fn run(mut self) -> Result<usize> {
        let mut from = 0;
        loop {
            self.check(from + BLOCK);
            from = match self.text.len() - from {
                0 => return Ok(from),
                few if few <= FEW => self.alone(from, self.text.len())?,
                rest => self.block(from, LONG.min(rest / LANES))?,
            };
        }
    }

    /// Makes sure that the text is UTF-8 up to `to` and a character further, or ends before. Nothing is checked sooner, so a text may be
    /// larger than memory, and the part behind may be released.
    fn check(&mut self, to: usize) {
        if self.checked == self.text.len() || to + 4 <= self.checked {
            return;
        }
        let end = self.text.len().min(to + AHEAD);
        // In vector registers: the standard library's check took a seventh of the time of counting Chinese text.
        match simdutf8::compat::from_utf8(&self.text[self.checked..end]) {
            Ok(_) => self.checked = end,
            Err(error) => {
                self.checked += error.valid_up_to();
                // A character that is only cut by `end` is whole the next time.
                if error.error_len().is_some() || end == self.text.len() {
                    self.text = &self.text[..self.checked];
                }
            }
        }
    }

    /// Walks a block of four lanes of `stride` bytes from the boundary `from` on, and returns the boundary it got to: the end of the text,
    /// if that is less than four bytes after the block.
    fn block(&mut self, from: usize, stride: usize) -> Result<usize> {
        let back = stride / 2;
        let room = back + stride + 4 + SPARE;
        let (end, length) = (from + LANES * stride, self.text.len());
        let ends = length - end < 4;
        // Lane j walks from cuts[j], at most `back` before its window, to the window's end, which is past cuts[j + 1].
        let mut cuts = [from; LANES + 1];
        cuts[LANES] = length;
        for (lane, cut) in cuts[1..LANES + usize::from(!ends)].iter_mut().enumerate() {
            let window = from + (lane + 1) * stride;
            match self.table.cut(self.text, window - back, window - 4) {
                Some(found) => *cut = found,
                None => return self.alone(from, window - 4),
            }
        }
        self.reserve(LANES * room);
        // Positions count from `back` bytes before a lane's window.
        let mut lanes: [Lane; LANES] = std::array::from_fn(|lane| Lane::new(lane * room));
        for (lane, place) in lanes.iter_mut().enumerate() {
            let (cut, window) = (cuts[lane], from + lane * stride);
            let position = (back - (window - cut)) as u32;
            walk(self.table, &self.text[cut..window], window - cut, position, std::array::from_mut(place), self.slots);
        }
        let mut text = &self.text[from..end];
        if stride < LONG {
            self.copied.resize(BLOCK, 0);
            let windows = self.copied.as_chunks_mut::<LONG>().0.iter_mut();
            windows.zip(text.chunks(stride)).for_each(|(to, from)| to[..stride].copy_from_slice(from));
            text = self.copied;
        }
        walk(self.table, text, stride, back as u32, &mut lanes, self.slots);
        if ends {
            let (last, position) = (&mut lanes[LANES - 1], (back + stride) as u32);
            walk(self.table, &self.text[end..], length - end, position, std::array::from_mut(last), self.slots);
            let slot = last.end(self.table);
            self.slots[slot] = position + (length - end) as u32;
        }
        for (lane, place) in lanes.iter().enumerate() {
            let (first, mut settled) = (lane * room, place.settled(self.table));
            let low = (back + cuts[lane] - from - lane * stride) as u32;
            let length = (cuts[lane + 1] - cuts[lane]) as u32;
            // The lane ran past its end: what it found there is the next lane's.
            while settled > first && self.slots[settled - 1] - low > length {
                settled -= 1;
            }
            let ends = &mut self.slots[first..settled];
            ends.iter_mut().for_each(|end| *end -= low);
            debug_assert_eq!(ends.last(), Some(&length));
            (self.each)(self.base + cuts[lane], ends)?;
        }
        Ok(cuts[LANES])
    }

    /// Walks one lane from the boundary `from` on: to a cut in the first window from `look` on that has one, else to the end of the text.
    /// Returns where it stopped.
    fn alone(&mut self, from: usize, look: usize) -> Result<usize> {
        self.reserve(WINDOW.min(self.text.len() - from) + SPARE);
        let (mut base, mut at) = (from, from);
        let mut place = Lane::new(0);
        loop {
            self.check(at + WINDOW);
            let mut to = self.text.len().min(at + WINDOW);
            let mut done = to == self.text.len();
            if at < look && look < to {
                (to, done) = (look, false);
            } else if at >= look
                && let Some(cut) = self.table.cut(self.text, at.max(to.saturating_sub(NEAR)), to)
            {
                (to, done) = (cut, true);
            }
            if to - base > u32::MAX as usize - SPARE {
                return Err(too_long(to - base));
            }
            let position = (at - base) as u32;
            walk(self.table, &self.text[at..to], to - at, position, std::array::from_mut(&mut place), self.slots);
            if done {
                let slot = place.end(self.table);
                self.slots[slot] = (to - base) as u32;
            }
            let settled = place.settled(self.table);
            (self.each)(self.base + base, &self.slots[..settled])?;
            if done {
                debug_assert_eq!(self.slots[settled - 1] as usize, to - base);
                return Ok(to);
            }
            if settled > 0 {
                // Positions that are not settled move to the front, and count from the last boundary on.
                let last = self.slots[settled - 1];
                self.slots.copy_within(settled..settled + MAX_LEVELS, 0);
                self.slots[..MAX_LEVELS].iter_mut().for_each(|at| *at = at.wrapping_sub(last));
                place.slot -= settled as isize;
                base += last as usize;
            }
            at = to;
        }
    }

    fn reserve(&mut self, room: usize) {
        if self.slots.len() < room {
            self.slots.resize(room, 0);
        }
    }
}

/// The ends of the pieces of a whole text.
pub(super) fn short<'s>(table: &Table, text: &[u8], slots: &'s mut [u32]) -> &'s [u32] {
    if text.is_empty() {
        return &[];
    }
    let mut place = Lane::new(0);
    walk(table, text, text.len(), 0, std::array::from_mut(&mut place), slots);
    let slot = place.end(table);
    slots[slot] = text.len() as u32;
    &slots[..place.settled(table)]
}

/// A place in the text: the state, the trie's row for the next byte, and the slot last written.
///
/// Made at the start of a text or by `walk` alone, with one table, so `row` and `node` are rows of that table.
#[derive(Clone, Copy)]
struct Lane {
    row: usize,
    node: usize,
    slot: isize,
}

impl Lane {
    /// At a boundary, with output from `slot` on.
    fn new(slot: usize) -> Lane {
        Lane { row: 0, node: 0, slot: slot as isize }
    }

    /// The first slot that is not settled.
    fn settled(&self, table: &Table) -> usize {
        (self.slot + table.pending(self.row)) as usize
    }

    /// The text ends here: the slot for its last position.
    fn end(&mut self, table: &Table) -> usize {
        let end = table.end(self.row);
        (self.row, self.slot) = (end.row(), self.slot + end.shift());
        self.slot as usize
    }
}

/// Walks `N` lanes of `length` bytes, which begin `LONG` bytes apart in `text`. The first byte of each is at `position`. One branch every
/// 16 bytes: all ASCII or not.
#[inline(never)]
fn walk<const N: usize>(
    table: &Table,
    text: &[u8],
    length: usize,
    position: u32,
    lanes: &mut [Lane; N],
    slots: &mut [u32],
) {
    assert!(text.len() >= (N - 1) * LONG + length, "no text for a lane");
    if length == 0 {
        return;
    }
    for lane in lanes.iter() {
        // Every write is between the first slot that is not settled and the last free one, which moves by at most a slot a byte.
        let settled = lane.slot + table.pending(lane.row);
        assert!(settled >= 0 && settled as usize + length + SPARE <= slots.len(), "no room for a lane");
    }
    let words = table.words.as_ptr();
    let out = slots.as_mut_ptr();
    let mut runs = lanes.map(|lane| Run { row: lane.row, node: lane.node, slot: out.wrapping_offset(lane.slot) });
    // This byte's position in the low half, the next one's in the high half.
    let mut positions = position as u64 * 0x1_0000_0001 + 0x1_0000_0000;
    let mut at = text.as_ptr();
    // SAFETY: lane j reads text[j * LONG..j * LONG + length], which the first assertion found to be there. The rows and nodes of the runs are the
    // table's, whose `is_sound` bounds what a step reads and where it writes; the second assertion says that there is that much room. Each run
    // writes at least once, so its slot is inside `slots` in the end, though it may begin one before.
    unsafe {
        let end = at.add(length);
        while end.offset_from(at) >= UNIT as isize {
            let mut high = 0;
            for lane in 0..N {
                for half in [0, 8] {
                    high |= (at.add(lane * LONG + half) as *const u64).read_unaligned();
                }
            }
            if high & 0x8080_8080_8080_8080 == 0 {
                for byte in (0..UNIT).step_by(2) {
                    for (lane, run) in runs.iter_mut().enumerate() {
                        run.pair(words, (at.add(lane * LONG + byte) as *const u16).read_unaligned(), positions);
                    }
                    positions = positions.wrapping_add(0x2_0000_0002);
                }
            } else {
                // Two lanes at a time: more do not fit the registers, and the processor overlaps the two rounds.
                for (half, runs) in runs.chunks_mut(2).enumerate() {
                    let at = at.add(2 * half * LONG);
                    for byte in 0..UNIT {
                        for (lane, run) in runs.iter_mut().enumerate() {
                            run.byte(words, *at.add(lane * LONG + byte), positions as u32 + byte as u32);
                        }
                    }
                }
                positions = positions.wrapping_add(UNIT as u64 * 0x1_0000_0001);
            }
            at = at.add(UNIT);
        }
        while at < end {
            for (lane, run) in runs.iter_mut().enumerate() {
                run.byte(words, *at.add(lane * LONG), positions as u32);
            }
            positions = positions.wrapping_add(0x1_0000_0001);
            at = at.add(1);
        }
        *lanes = runs.map(|run| Lane { row: run.row, node: run.node, slot: run.slot.offset_from(out) });
    }
}

/// A lane that is being walked.
#[derive(Clone, Copy)]
struct Run {
    row: usize,
    node: usize,
    slot: *mut u32,
}

impl Run {
    /// Two ASCII bytes, as they lie in memory. What is stored beyond the second position is never read.
    ///
    /// # Safety
    /// As for `byte`, and both bytes are ASCII.
    #[inline(always)]
    unsafe fn pair(&mut self, words: *const u32, two: u16, positions: u64) {
        // SAFETY: the table has a column for each of the 2^15 pairs, and a row has all columns.
        let entry = unsafe {
            let column = *(words as *const u16).add(u16::from_le(two) as usize);
            Entry(*words.add(ROWS + self.row + column as usize))
        };
        self.slot = self.slot.wrapping_offset(entry.shift());
        let positions = positions.wrapping_add(entry.second() as u64);
        // SAFETY: the slot and the one after it are in the room that `walk` asserts.
        unsafe {
            self.slot.write(positions as u32);
            self.slot.add(1).write((positions >> 32) as u32);
        }
        self.row = entry.row();
    }

    /// One byte of any kind.
    ///
    /// # Safety
    /// `row` and `node` are of the table at `words`, and the output has the room that `walk` asserts.
    #[inline(always)]
    unsafe fn byte(&mut self, words: *const u32, byte: u8, position: u32) {
        // SAFETY: every row of the trie has 256 entries behind it; a symbol is a column.
        let (node, entry) = unsafe {
            let node = TrieEntry(*words.add(TRIE + self.node + byte as usize));
            (node, Entry(*words.add(ROWS + self.row + node.symbol())))
        };
        self.node = node.row();
        self.slot = self.slot.wrapping_offset(entry.shift());
        // SAFETY: the slot is in the room that `walk` asserts.
        unsafe { self.slot.write(position.wrapping_sub(node.before())) };
        self.row = entry.row();
    }
}
