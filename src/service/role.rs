//! Whether this process serves, is handing over, or has handed over.

use std::sync::atomic::{AtomicU8, Ordering};

const SERVING: u8 = 0;
const HANDING_OVER: u8 = 1;
const HANDED_OVER: u8 = 2;

static ROLE: AtomicU8 = AtomicU8::new(SERVING);

/// Whether a successor has taken over. What this process would tell the service manager is not
/// about the service any more.
pub(super) fn has_handed_over() -> bool {
    ROLE.load(Ordering::SeqCst) == HANDED_OVER
}

/// Why a process cannot begin to hand over.
pub(super) enum Refused {
    InProgress,
    Done,
}

/// While it lives, this process is handing over, and no other thread can begin to.
pub(super) struct HandingOver(());

impl HandingOver {
    pub(super) fn begin() -> Result<Self, Refused> {
        let order = Ordering::SeqCst;
        match ROLE.compare_exchange(SERVING, HANDING_OVER, order, order) {
            Ok(_) => Ok(Self(())),
            Err(HANDED_OVER) => Err(Refused::Done),
            Err(_) => Err(Refused::InProgress),
        }
    }

    /// A successor has taken over.
    pub(super) fn complete(self) {
        ROLE.store(HANDED_OVER, Ordering::SeqCst);
    }
}

impl Drop for HandingOver {
    fn drop(&mut self) {
        let order = Ordering::SeqCst;
        // Not if it is complete.
        let _ = ROLE.compare_exchange(HANDING_OVER, SERVING, order, order);
    }
}
