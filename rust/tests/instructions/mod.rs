//! Which instructions encoding uses, for as long as a test says so: the switch belongs to the process, and its tests run side by side.

use std::sync::{Mutex, MutexGuard, PoisonError};

use minbpe_core::processor::use_baseline;

static SWITCH: Mutex<()> = Mutex::new(());

/// While this lives, the process uses the instructions that were asked for, and nobody else can ask for others.
pub struct Forced {
    _alone: MutexGuard<'static, ()>,
}

impl Forced {
    /// Only those that every processor has, or also the newer ones that this one has.
    pub fn baseline(only: bool) -> Forced {
        let alone = SWITCH.lock().unwrap_or_else(PoisonError::into_inner); // a test that failed has switched back
        use_baseline(only);
        Forced { _alone: alone }
    }
}

impl Drop for Forced {
    fn drop(&mut self) {
        use_baseline(false);
    }
}
