//! The caches of a vocabulary: a thread takes one for a call, and gives it back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::cache::Cache;
use crate::tokens::Tokens;

/// Boxed, because each call moves one twice.
type Free = Vec<Box<Cache>>;

/// The caches that no thread is using. The lock is held for some 10 ns, so it is tried a few times and never waited for: after a fork it
/// may be held by a thread that the child does not have. Then threads work without a cache, or make one for a long call.
pub(crate) struct Pool {
    free: Mutex<Free>,
    /// The most bytes of each cache.
    size: usize,
    /// Bytes encoded without a cache since the last one was made.
    uncached: AtomicUsize,
}

impl Pool {
    /// The most caches that are kept.
    const KEPT: usize = 16;

    /// A pool of caches of at most `size` bytes.
    pub(crate) fn new(size: usize) -> Pool {
        Pool { free: Mutex::default(), size, uncached: AtomicUsize::new(0) }
    }

    /// A cache for encoding `bytes` bytes: one that no thread is using, or a new one once encoding without one has cost as much as making
    /// it. A thread that gets none encodes without.
    pub(crate) fn take(&self, tokens: &Tokens, bytes: usize) -> Option<Box<Cache>> {
        /// Encoding this many bytes without a cache takes as long as with a new one.
        const ENOUGH: usize = 1 << 13;
        /// A short text waits for each piece that is not in the cache: it counts as at least this many bytes. What 65,536 calls with 20 bytes
        /// lose to a small cache, it takes to make a large one.
        const SHORT: usize = 32;
        let mut cache = match self.lock().and_then(|mut free| free.pop()) {
            Some(cache) => cache,
            None => {
                if self.uncached.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) < ENOUGH {
                    return None;
                }
                self.uncached.store(0, Ordering::Relaxed);
                Box::new(Cache::small(self.size)?)
            }
        };
        cache.serve(bytes.max(SHORT), tokens, self.size);
        Some(cache)
    }

    /// Gives a cache back for the next call.
    pub(crate) fn give_back(&self, cache: Box<Cache>) {
        if let Some(mut free) = self.lock()
            && free.len() < Pool::KEPT
        {
            free.push(cache);
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Free>> {
        const TRIES: usize = 200;
        (0..TRIES).find_map(|_| {
            let lock = self.free.try_lock().ok();
            if lock.is_none() {
                std::hint::spin_loop();
            }
            lock
        })
    }
}
