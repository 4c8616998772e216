//! What a handler may return.

use std::fmt::Display;

/// What a handler of a server may return: nothing, or a `Result` with nothing in it and an error that can
/// be shown.
pub trait HandlerOutcome {
    /// Why it failed, if it did.
    fn failure(self) -> Option<String>;
}

impl HandlerOutcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Display> HandlerOutcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}
