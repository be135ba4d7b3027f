//! Arrays of cache lines, zero at first, on large pages where the system grants them.
//!
//! A look-up anywhere in 16 MB of small pages waits for the address of its page, and fetching the line ahead does not help against that.

/// What the processor fetches at once.
pub(crate) type Line = [u64; 8];

/// A line's words begin at a multiple of 64 bytes.
#[derive(Debug)]
pub(crate) struct Lines {
    words: Vec<u64>,
    first: usize,
    count: usize,
}

impl Lines {
    /// So many lines. Memory is taken when they are first written.
    pub(crate) fn new(count: usize) -> Lines {
        const PAGE: usize = 1 << 21;
        let bytes = count * size_of::<Line>();
        let boundary = if bytes > PAGE / 2 { PAGE } else { size_of::<Line>() };
        let room = bytes.next_multiple_of(boundary) + boundary;
        let words = vec![0; room / size_of::<u64>()];
        let first = (words.as_ptr().addr().wrapping_neg() % boundary) / size_of::<u64>();
        #[cfg(target_os = "linux")]
        if boundary == PAGE {
            // SAFETY: the range lies in the array, which begins less than a page before it, and the advice changes only by which pages it
            // is kept. It is no matter if the system does not follow it.
            unsafe {
                let start = words.as_ptr().add(first).cast_mut().cast();
                libc::madvise(start, bytes.next_multiple_of(PAGE), libc::MADV_HUGEPAGE);
            }
        }
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
