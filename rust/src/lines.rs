//! Arrays of cache lines, zero at first, on large pages where the system grants them.
//!
//! A look-up anywhere in 16 MB of small pages waits for the address of its page, and fetching the line ahead does not help against that.

#![allow(unsafe_code, reason = "the system is told of memory by its address")]

/// Bytes of a large page.
const PAGE: usize = 1 << 21;

/// Has memory that was not written yet kept on large pages, as far as it holds whole ones: there are fewer to be made, too.
pub(crate) fn on_large_pages<T>(memory: &mut [T]) {
    #[cfg(target_os = "linux")]
    {
        let (start, length) = (memory.as_mut_ptr(), size_of_val(memory));
        let skipped = start.addr().wrapping_neg() % PAGE;
        if skipped + PAGE <= length {
            // SAFETY: the range lies in `memory`, and the advice changes only by which pages it is kept. It is no matter if the system does
            // not follow it.
            unsafe {
                libc::madvise(start.byte_add(skipped).cast(), (length - skipped) / PAGE * PAGE, libc::MADV_HUGEPAGE)
            };
        }
    }
}

/// What the processor fetches at once.
pub(crate) type Line = [u64; 8];

/// A line's words begin at a multiple of 64 bytes.
pub(crate) struct Lines {
    words: Vec<u64>,
    first: usize,
    count: usize,
}

impl Lines {
    /// So many lines. Memory is taken when they are first written.
    pub(crate) fn new(count: usize) -> Lines {
        let bytes = count * size_of::<Line>();
        let boundary = if bytes > PAGE / 2 { PAGE } else { size_of::<Line>() };
        let room = bytes.next_multiple_of(boundary) + boundary;
        let mut words = vec![0; room / size_of::<u64>()];
        let first = (words.as_ptr().addr().wrapping_neg() % boundary) / size_of::<u64>();
        on_large_pages(&mut words[first..]);
        Lines { words, first, count }
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[Line] {
        &self.words[self.first..].as_chunks().0[..self.count]
    }

    #[inline(always)]
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Line] {
        &mut self.words[self.first..].as_chunks_mut().0[..self.count]
    }
}
