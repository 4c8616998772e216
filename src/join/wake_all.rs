//! Waking many, of whom some may panic.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

use crate::error::discard;

/// Wakes all, and then goes on with the first panic, if there was one.
pub(super) fn wake_all(wakers: Vec<Waker>) {
    let mut first = None;
    for waker in wakers {
        match catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            Ok(()) => {}
            Err(payload) if first.is_none() => first = Some(payload),
            Err(payload) => discard(payload),
        }
    }
    if let Some(payload) = first {
        resume_unwind(payload);
    }
}
