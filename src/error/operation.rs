//! Errors of operations, which name the operation and its cause.

use std::error::Error;
use std::fmt::Display;
use std::{fmt, io};

use super::SetupError;

/// An error of the operating system, with the operation that met it.
///
/// The [`io::Error`]s of this crate carry it inside. Their [`io::ErrorKind`] is that of the cause,
/// and their message is like `connect to 127.0.0.1:80: Connection refused (os error 111)`. An
/// [`io::Error`] holds either a number or a text, so [`io::Error::raw_os_error`] returns `None` for
/// these: where the kind does not suffice, use [`raw_os_error`].
// `Debug` prints the message: it is what a `main` that returns such an error shows.
pub struct OperationError {
    doing: String,
    cause: io::Error,
}

impl OperationError {
    /// The operation and its object, such as `recv` or `bind 127.0.0.1:80`.
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

impl Error for OperationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Returns the operating system's error number behind an error.
///
/// Finds the number of a plain [`io::Error`], of an error of this crate, which names the operation,
/// and of any other error that has one of these as its [source](std::error::Error::source).
///
/// Returns `None` if no system call has failed: after a timeout, at EOF, for a record that is too
/// long.
///
/// # Example
///
/// ```
/// use annulus::net::TcpListener;
///
/// annulus::run(async {
///     let first = TcpListener::bind("127.0.0.1:0").await?;
///     let error = TcpListener::bind(first.local_addr()?).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
///     // EADDRINUSE
///     assert_eq!(annulus::raw_os_error(&error), Some(98));
///     // The error has a text instead.
///     assert_eq!(error.raw_os_error(), None);
/// #   Ok::<(), std::io::Error>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "errno")]
pub fn raw_os_error(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| code_within(error.get_ref()?))
}

/// The number in an error of another type than [`io::Error`], or in its sources.
fn code_within(error: &(dyn Error + Send + Sync + 'static)) -> Option<i32> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // Its own source would be that of the error within.
            return raw_os_error(error);
        }
        if let Some(code) = error.downcast_ref::<SetupError>().and_then(SetupError::code) {
            return Some(code);
        }
        next = error.source();
    }
    None
}

/// Copies an error that is kept and reported again: its kind, its text and its number.
pub(crate) fn again(error: &io::Error) -> io::Error {
    if let Some(code) = error.raw_os_error() {
        return io::Error::from_raw_os_error(code);
    }
    let inner = error.get_ref();
    if let Some(named) = inner.and_then(|inner| inner.downcast_ref::<OperationError>()) {
        return describe(&named.doing, again(&named.cause));
    }
    match (inner, raw_os_error(error)) {
        (None, _) => error.kind().into(),
        (Some(inner), None) => io::Error::new(error.kind(), inner.to_string()),
        (Some(inner), Some(code)) => {
            let cause = io::Error::from_raw_os_error(code);
            io::Error::new(error.kind(), Repeated { text: inner.to_string(), cause })
        }
    }
}

/// The copy of an error of another type: its text, and the system call's error behind it.
#[derive(Debug)]
struct Repeated {
    text: String,
    cause: io::Error,
}

impl Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Repeated {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Adds the name of the operation to an error.
pub(crate) fn describe(doing: impl Display, cause: io::Error) -> io::Error {
    io::Error::new(cause.kind(), OperationError { doing: doing.to_string(), cause })
}

/// [`describe`] for results. The description is formatted only for an error.
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

    const RESET: i32 = 104;

    fn plain() -> io::Error {
        io::Error::from_raw_os_error(RESET)
    }

    #[test]
    fn a_described_error_keeps_its_kind_and_names_operation_and_cause() {
        let error = describe("recv", plain());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(error.to_string(), format!("recv: {}", plain()));
    }

    /// Every way in which an error is wrapped or kept.
    #[test]
    fn wrapping_an_error_or_reporting_it_again_keeps_its_kind_and_its_number() {
        let wrapped = [
            plain(),
            describe("recv", plain()),
            describe("twice", describe("recv", plain())),
            SetupError::Other(describe("eventfd", plain())).into(),
            io::Error::new(plain().kind(), describe("by a user", plain())),
            io::Error::new(plain().kind(), Box::new(SetupError::Other(plain()))),
        ];
        for error in wrapped {
            let repeated = again(&again(&error));
            for error in [&error, &repeated] {
                assert_eq!(raw_os_error(error), Some(RESET), "{error}");
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
            }
            assert_eq!(repeated.to_string(), error.to_string());
        }
    }

    #[test]
    fn an_error_without_a_system_call_has_no_number_even_when_it_is_reported_again() {
        for error in [
            io::ErrorKind::UnexpectedEof.into(),
            io::Error::new(io::ErrorKind::InvalidData, "no UTF-8"),
            io::Error::other("a user's own"),
            describe("connect", io::ErrorKind::TimedOut.into()),
        ] {
            let repeated = again(&error);
            assert_eq!((raw_os_error(&error), raw_os_error(&repeated)), (None, None));
            assert_eq!(repeated.kind(), error.kind());
            assert_eq!(repeated.to_string(), error.to_string());
        }
    }
}
