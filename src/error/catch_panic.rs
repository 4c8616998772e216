//! Contains the panics of foreign code: wakers, destructors, hooks.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message in a panic's payload.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a payload without a message").to_owned()
}

/// Runs foreign code. If it panics, returns the panic's message.
pub(crate) fn catch_panic(foreign: impl FnOnce()) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(foreign)).err()?;
    let message = panic_message(&*payload);
    discard(payload);
    Some(message)
}

/// Drops a panic's payload. If that panics, too, the second payload is forgotten.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(worse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn a_panic_goes_no_further_whatever_its_payload_is() {
        assert_eq!(catch_panic(|| {}), None);
        assert_eq!(catch_panic(|| panic!("{}", 1)).as_deref(), Some("1"));
        let thrown = catch_panic(|| std::panic::panic_any(PanicsWhenDropped));
        assert_eq!(thrown.as_deref(), Some("a payload without a message"));
    }
}
