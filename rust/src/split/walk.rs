//! The walk over the table: no branch depends on the text, two ASCII bytes a step, four places of the text at once.
//!
//! A step waits for the one before it (load the row's entry, then the next row's), so one lane leaves the processor idle; four
//! fill it. Each lane begins at a proven cut before its window, and the lane before runs past it: no speculation, no repair. Where no
//! cut is near, one lane walks alone until there is one.
//!
//! The only file of the splitter with unsafe code, all of it in `walk` and `Steps`, below the code that uses them.

use std::ops::ControlFlow;

use super::batch::{Stop, deliver, too_long};
use super::machine::MAX_LEVELS;
use super::table::{Entry, Table};
use super::trie::TrieEntry;

/// How many lanes.
const LANES: usize = 4;
/// How many bytes a lane walks before the next cuts are looked for; shorter ones for the rest of a text. 64 more than a power of two, so
/// that the lanes do not share cache sets.
const LONG: usize = 8192 + 64;
const MIDDLE: usize = 2048;
const SHORT: usize = 512;
/// Bytes between two tests for "all ASCII".
const UNIT: usize = 16;
/// How far one lane walks alone between batches.
const WINDOW: usize = 8192;
/// Output slots beyond one for each byte.
const SPARE: usize = 16;

/// Splits a text with a table.
pub(super) struct Splitting<'a, F> {
    table: &'a Table,
    text: &'a [u8],
    /// Where the text begins, as the caller counts.
    base: usize,
    /// What the lanes write to.
    slots: &'a mut Vec<u32>,
    each: &'a mut F,
}

impl<'a, F> Splitting<'a, F> {
    /// Of `text`, which begins at `base`, with `slots` as the buffer to use.
    pub(super) fn new(table: &'a Table, text: &'a str, base: usize, slots: &'a mut Vec<u32>, each: &'a mut F) -> Self {
        Splitting { table, text: text.as_bytes(), base, slots, each }
    }

    /// Sends the ends of all pieces.
    pub(super) fn run<B>(mut self) -> Result<(), Stop<B>>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        let at = self.lanes::<LONG, B>(0)?;
        let at = self.lanes::<MIDDLE, B>(at)?;
        let at = self.lanes::<SHORT, B>(at)?;
        if at < self.text.len() {
            self.alone(at, self.text.len())?;
        }
        Ok(())
    }

    /// Blocks of four lanes of `L` bytes, from the boundary `from` on, while the text has that much; returns the boundary it got to.
    fn lanes<const L: usize, B>(&mut self, mut from: usize) -> Result<usize, Stop<B>>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        let (back, room) = (L / 2, L + L / 2 + SPARE);
        'blocks: while self.text.len() - from > LANES * L + 4 {
            // Lane j walks from cuts[j], at most `back` before its window, to the window's end, which is past cuts[j + 1].
            let mut cuts = [from; LANES + 1];
            for (lane, end) in cuts[1..].iter_mut().enumerate() {
                let window = from + (lane + 1) * L;
                match self.table.cut(self.text, window - back, window - 4) {
                    Some(cut) => *end = cut,
                    None => {
                        from = self.alone(from, window - 4)?;
                        continue 'blocks;
                    }
                }
            }
            self.reserve(LANES * room);
            // Positions count from `back` bytes before a lane's window.
            let mut lanes: [Lane; LANES] = std::array::from_fn(|lane| Lane::new(lane * room));
            for (lane, place) in lanes.iter_mut().enumerate() {
                let (cut, window) = (cuts[lane], from + lane * L);
                let position = (back - (window - cut)) as u32;
                walk::<1, 0>(self.table, &self.text[cut..window], position, std::array::from_mut(place), self.slots);
            }
            walk::<LANES, L>(self.table, &self.text[from..from + LANES * L], back as u32, &mut lanes, self.slots);
            for (lane, place) in lanes.iter().enumerate() {
                let (first, mut settled) = (lane * room, place.settled(self.table));
                let low = (back + cuts[lane] - from - lane * L) as u32;
                let length = (cuts[lane + 1] - cuts[lane]) as u32;
                // The lane ran past its end: what it found there is the next one's.
                while settled > first && self.slots[settled - 1] - low > length {
                    settled -= 1;
                }
                let ends = &mut self.slots[first..settled];
                ends.iter_mut().for_each(|end| *end -= low);
                debug_assert_eq!(ends.last(), Some(&length));
                deliver(self.each, self.base + cuts[lane], ends)?;
            }
            from = cuts[LANES];
        }
        Ok(from)
    }

    /// One lane from the boundary `from` on: to the first cut that a window from `look` on holds, else to the end. Returns where that is.
    fn alone<B>(&mut self, from: usize, look: usize) -> Result<usize, Stop<B>>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        self.reserve(WINDOW.min(self.text.len() - from) + SPARE);
        let (mut base, mut at) = (from, from);
        let mut place = Lane::new(0);
        loop {
            let mut to = self.text.len().min(at + WINDOW);
            let mut done = to == self.text.len();
            if at < look && look < to {
                (to, done) = (look, false);
            } else if at >= look
                && let Some(cut) = self.table.cut(self.text, at, to)
            {
                (to, done) = (cut, true);
            }
            if to - base > u32::MAX as usize - SPARE {
                return Err(too_long(to - base).into());
            }
            let position = (at - base) as u32;
            walk::<1, 0>(self.table, &self.text[at..to], position, std::array::from_mut(&mut place), self.slots);
            if done {
                let slot = place.end(self.table);
                self.slots[slot] = (to - base) as u32;
            }
            let settled = place.settled(self.table);
            if settled > 0 {
                deliver(self.each, self.base + base, &self.slots[..settled])?;
            }
            if done {
                debug_assert_eq!(self.slots[settled - 1] as usize, to - base);
                return Ok(to);
            }
            if settled > 0 {
                // What is not settled moves to the front, and counts from the last boundary on.
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

/// One place in the text: the state, the trie's row for the next byte, and the slot last written.
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

/// Walks `N` lanes that lie `L` bytes apart in `text`, each to where the next one began, the last to the end; one lane walks all of it.
/// The first byte of each is at `position`. One branch every 16 bytes: all ASCII or not.
#[inline(never)]
fn walk<const N: usize, const L: usize>(
    table: &Table,
    text: &[u8],
    position: u32,
    lanes: &mut [Lane; N],
    slots: &mut [u32],
) {
    let length = text.len() - (N - 1) * L;
    for lane in lanes.iter() {
        // Every write is between the first slot that is not settled and the last free one, which moves by at most a slot a byte.
        let settled = lane.slot + table.pending(lane.row);
        assert!(settled >= 0 && settled as usize + length + SPARE <= slots.len(), "no room for a lane");
    }
    let steps = Steps {
        rows: table.rows().as_ptr(),
        pairs: table.pairs().as_ptr(),
        trie: table.trie().as_ptr(),
        slots: slots.as_mut_ptr(),
    };
    let mut walking = *lanes;
    // This byte's position in the low half, the next one's in the high half.
    let mut positions = position as u64 * 0x1_0000_0001 + 0x1_0000_0000;
    let mut at = 0;
    while at + UNIT <= length {
        let unit = |lane: usize| &text[lane * L + at..][..UNIT];
        if (0..N).all(|lane| unit(lane).is_ascii()) {
            for byte in (0..UNIT).step_by(2) {
                for (lane, place) in walking.iter_mut().enumerate() {
                    let two = u16::from_le_bytes([unit(lane)[byte], unit(lane)[byte + 1]]);
                    // SAFETY: both bytes are ASCII; the rest as for `byte`.
                    unsafe { steps.pair(place, two, positions) };
                }
                positions = positions.wrapping_add(0x2_0000_0002);
            }
        } else {
            for byte in 0..UNIT {
                for (lane, place) in walking.iter_mut().enumerate() {
                    // SAFETY: as below.
                    unsafe { steps.byte(place, unit(lane)[byte], positions as u32) };
                }
                positions = positions.wrapping_add(0x1_0000_0001);
            }
        }
        at += UNIT;
    }
    for at in at..length {
        for (lane, place) in walking.iter_mut().enumerate() {
            // SAFETY: the lane's row and node are rows of this table, whose `is_sound` bounds what a step reads and how far it writes;
            // the assertion above says that there is that much room.
            unsafe { steps.byte(place, text[lane * L + at], positions as u32) };
        }
        positions = positions.wrapping_add(0x1_0000_0001);
    }
    *lanes = walking;
}

/// The table and the output, as the inner loops use them.
#[derive(Clone, Copy)]
struct Steps {
    rows: *const Entry,
    pairs: *const u16,
    trie: *const TrieEntry,
    slots: *mut u32,
}

impl Steps {
    /// Two ASCII bytes. What is stored beyond the second position is never alive.
    ///
    /// # Safety
    /// As for `byte`, and both bytes of `two` are ASCII.
    #[inline(always)]
    unsafe fn pair(&self, lane: &mut Lane, two: u16, positions: u64) {
        // SAFETY: `pairs` has 2^15 entries, each a column; a row has all columns.
        let entry = unsafe {
            let column = *self.pairs.add(two as usize);
            *self.rows.add(lane.row + column as usize)
        };
        lane.slot += entry.shift();
        let positions = positions.wrapping_add(entry.second() as u64);
        // SAFETY: the slot and the one after it are in the room that `walk` asserts.
        unsafe {
            let slot = self.slots.offset(lane.slot);
            slot.write(positions as u32);
            slot.add(1).write((positions >> 32) as u32);
        }
        lane.row = entry.row();
    }

    /// One byte of any kind.
    ///
    /// # Safety
    /// `lane` is of this table, and its output has the room that `walk` asserts.
    #[inline(always)]
    unsafe fn byte(&self, lane: &mut Lane, byte: u8, position: u32) {
        // SAFETY: every row of the trie has 256 entries behind it; `symbol` is a column.
        let (node, entry) = unsafe {
            let node = *self.trie.add(lane.node + byte as usize);
            (node, *self.rows.add(lane.row + node.symbol()))
        };
        lane.node = node.row();
        lane.slot += entry.shift();
        // SAFETY: the slot is in the room that `walk` asserts.
        unsafe { self.slots.offset(lane.slot).write(position.wrapping_sub(node.before())) };
        lane.row = entry.row();
    }
}
