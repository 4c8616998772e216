//! Catching panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call panics with.
pub(crate) fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).err().expect("a panic");
    message(&*payload)
}

/// The text of a panic's payload.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .expect("a text")
        .to_owned()
}
