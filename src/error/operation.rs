//! Errors of operations, which name the operation and the reason.

use std::fmt::Display;
use std::{fmt, io};

/// An operating system's error together with what was being done.
///
/// It is what the [`io::Error`]s of this library carry inside: the [`io::ErrorKind`] is that of the
/// cause, the message is like `connect to 127.0.0.1:80: Connection refused (os error 111)`. Use
/// [`os_code`] for the error number, where no kind tells it.
// `Debug` prints the message: it is what a `main` that returns such an error shows.
pub struct OperationError {
    doing: String,
    cause: io::Error,
}

impl OperationError {
    /// What was being done, like `recv` or `bind 127.0.0.1:80`.
    pub fn operation(&self) -> &str {
        &self.doing
    }
}

impl Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.cause)
    }
}

impl fmt::Debug for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for OperationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// The operating system's error number behind an error, whether it is a plain
/// [`io::Error::raw_os_error`] or one of this library's, which name the operation.
///
/// # Example
///
/// ```
/// let plain = std::io::Error::from_raw_os_error(24);
/// assert_eq!(annulus::os_code(&plain), Some(24));
/// ```
pub fn os_code(error: &io::Error) -> Option<i32> {
    let named = error.get_ref().and_then(|inner| inner.downcast_ref::<OperationError>());
    named.map_or_else(|| error.raw_os_error(), |named| os_code(&named.cause))
}

/// Names what was being done in an error.
pub(crate) fn describe(doing: impl Display, cause: io::Error) -> io::Error {
    io::Error::new(cause.kind(), OperationError { doing: doing.to_string(), cause })
}

/// The same error once more: `io::Error` cannot be cloned. Its kind, its number and its text are kept.
pub(crate) fn again(error: &io::Error) -> io::Error {
    if let Some(code) = error.raw_os_error() {
        return io::Error::from_raw_os_error(code);
    }
    let Some(inner) = error.get_ref() else { return error.kind().into() };
    match inner.downcast_ref::<OperationError>() {
        Some(named) => describe(&named.doing, again(&named.cause)),
        None => io::Error::new(error.kind(), inner.to_string()),
    }
}

/// [`describe`] for results; the description is made only for an error.
pub(crate) trait Describe {
    fn describe(self, doing: impl Display) -> Self;
}

impl<T> Describe for io::Result<T> {
    fn describe(self, doing: impl Display) -> Self {
        self.map_err(|cause| describe(doing, cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_error_keeps_kind_and_number_and_says_both() {
        let error = describe("recv", io::Error::from_raw_os_error(104));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(os_code(&error), Some(104));
        assert_eq!(error.to_string(), "recv: Connection reset by peer (os error 104)");
        assert_eq!(os_code(&describe("twice", error)), Some(104));
    }

    #[test]
    fn an_error_that_is_repeated_keeps_kind_number_and_text() {
        let plain = || io::Error::from_raw_os_error(104);
        let errors = [
            plain(),
            describe("recv", plain()),
            describe("outer", describe("recv", plain())),
            describe("recv", io::ErrorKind::UnexpectedEof.into()),
            io::ErrorKind::BrokenPipe.into(),
            io::Error::new(io::ErrorKind::InvalidData, "a bad record"),
            io::Error::other("a user's own"),
        ];
        for error in errors {
            let same = again(&again(&error));
            assert_eq!((same.kind(), os_code(&same)), (error.kind(), os_code(&error)));
            assert_eq!(same.to_string(), error.to_string());
        }
    }
}
