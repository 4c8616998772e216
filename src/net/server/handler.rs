//! What a handler may return.

use std::any::Any;
use std::error::Error;
use std::fmt::Display;
use std::io;

use crate::error::raw_os_error;
use crate::io::ReadError;

/// What a handler of a server may return: `()`, or `Result<(), E>` where `E` is `Display`.
#[diagnostic::on_unimplemented(
    message = "a handler of a server cannot return `{Self}`",
    label = "returns `()`, or `Result<(), E>` with an error that can be shown",
    note = "end the handler with `Ok(())` or a semicolon; `std::io::Result<()>` and \
            `Result<(), Box<dyn std::error::Error>>` will do"
)]
pub trait HandlerOutcome {
    /// Why the handler failed, if it did.
    fn failure(self) -> Option<HandlerFailure>;
}

/// Why a handler failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerFailure {
    /// The peer is gone, which is no fault of the server. It is counted in
    /// [`Metrics::peer_disconnects`](crate::Metrics::peer_disconnects).
    PeerGone,
    /// Something else, which becomes an
    /// [`Incident::HandlerFailed`](crate::Incident::HandlerFailed) with this message.
    Error(String),
}

impl HandlerOutcome for () {
    fn failure(self) -> Option<HandlerFailure> {
        None
    }
}

/// An [`io::Error`] or a [`ReadError`], even in a box or as the source of another error, is
/// [`PeerGone`](HandlerFailure::PeerGone) if its kind is `ConnectionReset`, `ConnectionAborted`,
/// `BrokenPipe`, `NotConnected` or `UnexpectedEof`, or `TimedOut` by the kernel. A deadline of the
/// handler itself ([`Elapsed`](crate::time::Elapsed)) is reported like any other error.
impl<E: Display + 'static> HandlerOutcome for Result<(), E> {
    fn failure(self) -> Option<HandlerFailure> {
        let error = self.err()?;
        Some(if peer_is_gone(&error) {
            HandlerFailure::PeerGone
        } else {
            HandlerFailure::Error(error.to_string())
        })
    }
}

/// Whether an error says no more than that the peer is gone.
fn peer_is_gone(error: &dyn Any) -> bool {
    type Dynamic = dyn Error + 'static;
    let boxed = error.downcast_ref::<Box<Dynamic>>().map(|error| &**error);
    let sent = error.downcast_ref::<Box<dyn Error + Send + Sync>>().map(|error| &**error);
    let plain = error.downcast_ref::<io::Error>().map(|error| error as &Dynamic);
    let read = error.downcast_ref::<ReadError>().map(|error| error as &Dynamic);
    let mut next = boxed.or(sent.map(|error| error as &Dynamic)).or(plain).or(read);
    while let Some(error) = next {
        if means_peer_is_gone(error) {
            return true;
        }
        next = error.source();
    }
    false
}

fn means_peer_is_gone(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof,
    };
    let is_such = |error: &io::Error| match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof => true,
        TimedOut => raw_os_error(error).is_some(),
        _ => false,
    };
    match error.downcast_ref::<ReadError>() {
        Some(ReadError::Io(error)) => is_such(error),
        Some(ReadError::Incomplete { .. }) => true,
        Some(_) => false,
        None => error.downcast_ref::<io::Error>().is_some_and(is_such),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::describe;

    fn reset() -> io::Error {
        describe("recv", io::ErrorKind::ConnectionReset.into())
    }

    #[test]
    fn a_peer_that_is_gone_is_found_in_every_form_of_error() {
        let gone = Some(HandlerFailure::PeerGone);
        assert_eq!(Err::<(), _>(reset()).failure(), gone);
        assert_eq!(Err::<(), Box<dyn Error>>(reset().into()).failure(), gone);
        assert_eq!(Err::<(), Box<dyn Error + Send + Sync>>(reset().into()).failure(), gone);
        assert_eq!(Err::<(), _>(ReadError::Io(reset())).failure(), gone);
        assert_eq!(Err::<(), _>(io::Error::from(io::ErrorKind::UnexpectedEof)).failure(), gone);
        let boxed: Box<dyn Error> = Box::new(ReadError::Io(reset()));
        assert_eq!(Err::<(), _>(boxed).failure(), gone);
    }

    #[test]
    fn a_deadline_of_the_handler_is_reported_and_one_of_the_kernel_is_not() {
        let elapsed = io::Error::new(io::ErrorKind::TimedOut, "deadline elapsed");
        let told = Some(HandlerFailure::Error("deadline elapsed".to_owned()));
        assert_eq!(Err::<(), _>(elapsed).failure(), told);
        // ETIMEDOUT: the peer has not acknowledged what was sent.
        let unanswered = describe("recv", io::Error::from_raw_os_error(110));
        assert_eq!(Err::<(), _>(unanswered).failure(), Some(HandlerFailure::PeerGone));
    }

    #[test]
    fn other_errors_are_reported_and_success_is_not() {
        let told = |message: &str| Some(HandlerFailure::Error(message.to_owned()));
        assert_eq!(Err::<(), _>("as text").failure(), told("as text"));
        assert_eq!(Err::<(), _>(io::Error::other("its own")).failure(), told("its own"));
        let boxed: Box<dyn Error> = "boxed".into();
        assert_eq!(Err::<(), _>(boxed).failure(), told("boxed"));
        assert_eq!(Ok::<(), io::Error>(()).failure(), None);
        assert_eq!(().failure(), None);
    }
}
