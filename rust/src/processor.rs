//! What only the processor can be asked for: memory ahead of its use, and code compiled for its newer instructions.

use std::sync::atomic::{AtomicU8, Ordering};

/// Has the processor fetch the cache line of `array[index]` ahead of its use: a load in its place would hold up what comes after it.
#[inline(always)]
pub(crate) fn prefetch<T>(array: &[T], index: usize) {
    prefetch_at(array.as_ptr().wrapping_add(index));
}

/// As `prefetch`, of any address.
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

/// What is known of the processor: nothing yet, that it has no more than the baseline, or that it has AVX2 and what came with it.
static KNOWN: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const BASELINE: u8 = 1;
#[cfg(target_arch = "x86_64")]
const WIDE: u8 = 2;

/// Whether [`widest`] uses the processor's newer instructions, found out at its first call, or only the baseline's. Results are the
/// same; tests force each.
pub fn use_baseline(only: bool) {
    KNOWN.store(if only { BASELINE } else { UNKNOWN }, Ordering::Relaxed);
}

/// Work that is compiled twice.
pub(crate) trait Work {
    /// What comes of it.
    type Done;

    /// Does it. To be marked `inline(always)`, as all that is to gain by newer instructions: what is not inlined has the baseline's.
    fn run(self) -> Self::Done;
}

/// Does `work`, compiled for AVX2, BMI and their companions where the processor has them. New text is encoded 1.1 to 1.3 times as fast.
#[inline(always)]
pub(crate) fn widest<W: Work>(work: W) -> W::Done {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn wide<W: Work>(work: W) -> W::Done {
            work.run()
        }
        if KNOWN.load(Ordering::Relaxed) == WIDE || detect() == WIDE {
            // SAFETY: the processor was found to have all of these.
            return unsafe { wide(work) };
        }
    }
    work.run()
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
