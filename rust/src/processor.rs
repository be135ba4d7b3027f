//! What one asks of the processor itself: memory ahead of its use, and code compiled for its newer instructions.

#![allow(unsafe_code, reason = "instructions are named that not every processor has")]

use std::sync::atomic::{AtomicU8, Ordering};

use crate::key::{Key, SHORT, Seeds};

/// Has the processor fetch the cache line of `array[index]` ahead of its use: a load in its place would hold up the instructions after it.
#[inline(always)]
pub(crate) fn prefetch<T>(array: &[T], index: usize) {
    prefetch_at(array.as_ptr().wrapping_add(index));
}

/// Like `prefetch`, for any address.
#[inline(always)]
pub(crate) fn prefetch_at<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing that the program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing that the program sees.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::hint::black_box(place);
}

/// What is known of the processor: nothing yet, that it has only the baseline, or that it has AVX2 and its companions.
static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const BASELINE: u8 = 1;
#[cfg(target_arch = "x86_64")]
const WIDE: u8 = 2;

/// Makes [`widest`] use only the baseline's instructions, or the processor's newer ones too, which it looks for at its next call. Results
/// are the same; tests force each.
pub fn use_baseline(only: bool) {
    KNOWN.store(if only { BASELINE } else { UNKNOWN }, Ordering::Relaxed);
}

/// The inner operations of looking up short pieces, in the instructions that the code around them is compiled for: what compilers make of
/// them otherwise takes 1.2 times as long.
pub(crate) trait Instructions {
    /// Writes `bytes & mask | also`, 16 bytes each, and returns it.
    fn mask(bytes: &[u8; 16], mask: &[u64; 2], also: &[u64; 2], to: &mut [u64; 2]) -> [u64; 2];

    /// Writes the keys of eight pieces of `text` and how they are spread, as `Key::write` and `Seeds::spread` make them one by one: the first
    /// piece begins at `start`, each ends where the next one begins. False, and nothing of use is written, where a piece is not short, where
    /// the text ends soon, and always with the baseline.
    fn eight_keys(
        text: &[u8],
        start: usize,
        ends: &[u32; 8],
        seeds: Seeds,
        keys: &mut [Key; 8],
        spread: &mut [u32; 8],
    ) -> bool;

    /// Which of the two halves of `four` equal `two` where `mask` has ones: bit 0 for the first, bit 2 for the second.
    fn equal(four: &[u64; 4], mask: &[u64; 2], two: &[u64; 2]) -> usize;
}

/// What every processor has.
pub(crate) enum Baseline {}

impl Instructions for Baseline {
    #[inline(always)]
    fn mask(bytes: &[u8; 16], mask: &[u64; 2], also: &[u64; 2], to: &mut [u64; 2]) -> [u64; 2] {
        let bytes = u128::from_le_bytes(*bytes);
        *to = [bytes as u64 & mask[0] | also[0], (bytes >> 64) as u64 & mask[1] | also[1]];
        *to
    }

    #[inline(always)]
    fn eight_keys(_: &[u8], _: usize, _: &[u32; 8], _: Seeds, _: &mut [Key; 8], _: &mut [u32; 8]) -> bool {
        false
    }

    #[inline(always)]
    fn equal(four: &[u64; 4], mask: &[u64; 2], two: &[u64; 2]) -> usize {
        // By arithmetic: the compiler would make it a branch, which fails two times in five.
        let is_half = |half: usize| {
            let word = |at: usize| (four[2 * half + at] ^ two[at]) & mask[at];
            let differences = word(0) | word(1);
            1 - ((differences | differences.wrapping_neg()) >> 63) as usize
        };
        is_half(0) | is_half(1) << 2
    }
}

/// AVX2, BMI and their companions.
#[cfg(target_arch = "x86_64")]
enum Wide {}

#[cfg(target_arch = "x86_64")]
impl Instructions for Wide {
    #[inline(always)]
    fn mask(bytes: &[u8; 16], mask: &[u64; 2], also: &[u64; 2], to: &mut [u64; 2]) -> [u64; 2] {
        use std::arch::x86_64::*;
        // SAFETY: all that is loaded and stored has 16 bytes, and only `wide` names this type.
        unsafe {
            let load = |from: *const u64| _mm_loadu_si128(from.cast());
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            let masked = _mm_or_si128(_mm_and_si128(bytes, load(mask.as_ptr())), load(also.as_ptr()));
            _mm_storeu_si128(to.as_mut_ptr().cast(), masked);
            [_mm_cvtsi128_si64(masked) as u64, _mm_extract_epi64::<1>(masked) as u64]
        }
    }

    #[inline(always)]
    fn eight_keys(
        text: &[u8],
        start: usize,
        ends: &[u32; 8],
        seeds: Seeds,
        keys: &mut [Key; 8],
        spread: &mut [u32; 8],
    ) -> bool {
        use std::arch::x86_64::*;
        // Of eight short pieces the last begins at most so far behind the first, and 16 bytes of it are read.
        const REACH: usize = 7 * SHORT + 16;
        // SAFETY: only `wide` names this type. The text has `REACH` bytes from `start` on, and each piece has been found to end at most `SHORT`
        // bytes behind its start, or past 2^32 and so further in front.
        unsafe {
            let ending = _mm256_loadu_si256(ends.as_ptr().cast());
            let before = _mm256_permutevar8x32_epi32(ending, _mm256_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6));
            let first = _mm256_castsi128_si256(_mm_cvtsi32_si128(start as i32));
            let lengths = _mm256_sub_epi32(ending, _mm256_blend_epi32::<1>(before, first));
            let all_short = _mm256_testz_si256(lengths, _mm256_set1_epi32(!(SHORT as i32))) != 0;
            if !all_short || text.len() < REACH || start > text.len() - REACH {
                return false;
            }
            let twice = |bytes: [u8; 16]| _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast()));
            let numbers = twice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
            let last = twice([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
            let multipliers = _mm256_broadcastsi128_si256(_mm_loadu_si128(seeds.0.as_ptr().cast()));
            let exchanged = _mm256_shuffle_epi32::<0b10_11_00_01>(multipliers);
            // Each length in four bytes.
            let lengths = _mm256_shuffle_epi8(lengths, twice([0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]));
            let mut sums = [_mm256_setzero_si256(); 4];
            for (two, sum) in sums.iter_mut().enumerate() {
                let load = |start: usize| _mm_loadu_si128(text.as_ptr().add(start).cast());
                let starts = [if two == 0 { start } else { ends[2 * two - 1] as usize }, ends[2 * two] as usize];
                let bytes = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(load(starts[0])), load(starts[1]));
                // In 16 bytes each.
                let (one, other) = (2 * two as i32, 2 * two as i32 + 1);
                let which = _mm256_setr_epi32(one, one, one, one, other, other, other, other);
                let length = _mm256_permutevar8x32_epi32(lengths, which);
                let inside = _mm256_and_si256(bytes, _mm256_cmpgt_epi8(length, numbers));
                let key = _mm256_or_si256(inside, _mm256_and_si256(length, last));
                _mm256_storeu_si256(keys.as_mut_ptr().add(2 * two).cast(), key);
                // Of the product of two words of 64 bits, the upper half: that of their lower halves' product, and the lower half of each one's
                // lower half times the other's upper half.
                let lower = _mm256_srli_epi64::<32>(_mm256_mul_epu32(key, multipliers));
                *sum = _mm256_add_epi32(lower, _mm256_mullo_epi32(key, exchanged));
            }
            let sums = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
            let sums = _mm256_permutevar8x32_epi32(sums, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
            _mm256_storeu_si256(spread.as_mut_ptr().cast(), sums);
        }
        true
    }

    #[inline(always)]
    fn equal(four: &[u64; 4], mask: &[u64; 2], two: &[u64; 2]) -> usize {
        use std::arch::x86_64::*;
        // SAFETY: what is loaded has 32 and twice 16 bytes, and only `wide` names this type.
        let equal = unsafe {
            let twice = |from: &[u64; 2]| _mm256_broadcastsi128_si256(_mm_loadu_si128(from.as_ptr().cast()));
            let four = _mm256_and_si256(_mm256_loadu_si256(four.as_ptr().cast()), twice(mask));
            _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(four, twice(two)))) as usize
        };
        equal & equal >> 1 & 0b101
    }
}

/// Work that is compiled twice.
pub(crate) trait Work {
    /// The result.
    type Done;

    /// Does the work. Must be `inline(always)`, as must everything that is to gain from newer instructions: what is not inlined is compiled
    /// for the baseline.
    fn run<I: Instructions>(self) -> Self::Done;
}

/// Does `work`, compiled for AVX2, BMI and their companions where the processor has them. New text is encoded 1.1 to 1.3 times as fast.
#[inline(always)]
pub(crate) fn widest<W: Work>(work: W) -> W::Done {
    #[cfg(target_arch = "x86_64")]
    {
        #[inline(never)]
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn wide<W: Work>(work: W) -> W::Done {
            work.run::<Wide>()
        }
        if KNOWN.load(Ordering::Relaxed) == WIDE || detect() == WIDE {
            // SAFETY: the processor was found to have all of these.
            return unsafe { wide(work) };
        }
    }
    work.run::<Baseline>()
}

#[cfg(target_arch = "x86_64")]
#[cold]
fn detect() -> u8 {
    if KNOWN.load(Ordering::Relaxed) == UNKNOWN {
        let wide = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        KNOWN.store(if wide { WIDE } else { BASELINE }, Ordering::Relaxed);
    }
    KNOWN.load(Ordering::Relaxed)
}
