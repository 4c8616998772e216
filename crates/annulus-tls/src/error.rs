//! Errors of TLS as [`io::Error`]s.

use std::error::Error;
use std::sync::Arc;
use std::{fmt, io};

/// Returns the error of rustls within an error of this crate, if TLS has failed.
///
/// Returns `None` if it was the connection below or a deadline.
///
/// # Example
///
/// ```
/// let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
/// assert!(annulus_tls::tls_error(&error).is_none());
/// ```
pub fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error.get_ref()?);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An `io::Error` has the source of what it contains, and not that itself.
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return tls_error(found);
        }
        next = error.source();
    }
    None
}

/// An error, and what was being done.
#[derive(Debug)]
struct Described<E> {
    what: &'static str,
    error: E,
}

impl<E: fmt::Display> fmt::Display for Described<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl<E: Error + 'static> Error for Described<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// The error of a connection on which rustls has failed.
pub(crate) fn failed(what: &'static str, error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Described { what, error })
}

/// Says of an error what was being done.
pub(crate) fn describe(what: &'static str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), Described { what, error })
}

pub(crate) fn shut_down() -> io::Error {
    let text = "the writing direction of the TLS connection is shut down";
    io::Error::new(io::ErrorKind::NotConnected, text)
}

pub(crate) fn aborted() -> io::Error {
    let text = "the TLS connection was aborted by its own end";
    io::Error::new(io::ErrorKind::ConnectionAborted, text)
}

/// An error that is returned more than once.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Arc<io::Error>);

impl Kept {
    pub(crate) fn new(error: io::Error) -> Self {
        Self(Arc::new(error))
    }

    /// The error once more, with its kind, number and text.
    pub(crate) fn again(&self) -> io::Error {
        io::Error::new(self.0.kind(), self.clone())
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Kept {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_error_has_the_kind_the_text_and_the_sources_of_the_first() {
        let first = failed("TLS read", rustls::Error::DecryptError);
        let (kind, text) = (first.kind(), first.to_string());
        let again = Kept::new(first).again();
        assert_eq!((again.kind(), again.to_string()), (kind, text));
        assert_eq!(tls_error(&again), Some(&rustls::Error::DecryptError));
        let reset = Kept::new(io::Error::from_raw_os_error(104)).again();
        assert_eq!(annulus::raw_os_error(&reset), Some(104));
        assert!(tls_error(&reset).is_none());
    }
}
