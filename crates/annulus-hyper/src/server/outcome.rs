//! How a connection has ended, for the counters of its server and for the runtime's hook.

use std::error::Error;
use std::{io, iter};

use annulus::net::{HandlerFailure, HandlerOutcome};

use super::state::{Cut, State};

/// Why a connection has not ended in order.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The server has ended it.
    Cut(Cut),
    /// It could not be set up by its [`Establish`](super::Establish).
    Establish(io::Error),
    /// There is no service for it.
    Setup(String),
    /// The server has ended before anything arrived.
    Unused,
    /// Reading the beginning of the first request failed.
    Io(io::Error),
    Hyper(hyper::Error),
}

/// How a connection has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome(Option<HandlerFailure>);

impl HandlerOutcome for Outcome {
    fn failure(self) -> Option<HandlerFailure> {
        self.0
    }
}

impl Outcome {
    /// Counts how a connection has ended. What its client has done is no failure of the server.
    pub(super) fn of(ended: Result<(), Stopped>, state: &State) -> Self {
        let failure = ended.err().and_then(|stopped| count(stopped, state));
        let reported = || state.take_failure().map(HandlerFailure::Error);
        Self(match failure {
            Some(HandlerFailure::Error(message)) => Some(HandlerFailure::Error(message)),
            gone_or_none => reported().or(gone_or_none),
        })
    }
}

fn count(stopped: Stopped, state: &State) -> Option<HandlerFailure> {
    let counters = state.server().counters();
    match stopped {
        Stopped::Cut(Cut::HeaderTimeout) => counters.header_timeouts.increment(),
        // Counted when it was asked to end.
        Stopped::Cut(Cut::Stuck) | Stopped::Unused => {}
        // Handshakes fail for what clients do: those of a scanner are no incident.
        Stopped::Establish(error) => {
            counters.setup_failures.increment();
            return Err::<(), _>(error).failure().filter(|how| *how == HandlerFailure::PeerGone);
        }
        Stopped::Setup(message) => {
            counters.setup_failures.increment();
            return Some(HandlerFailure::Error(message));
        }
        Stopped::Io(error) => {
            counters.departed_peers.increment();
            return Err::<(), _>(error).failure();
        }
        Stopped::Hyper(error) => return count_error(error, state),
    }
    None
}

fn count_error(error: hyper::Error, state: &State) -> Option<HandlerFailure> {
    let counters = state.server().counters();
    let is_gone = sources(&error).filter_map(|source| source.downcast_ref()).any(says_gone);
    let has_io = sources(&error).any(<dyn Error>::is::<io::Error>);
    if is_gone || has_io && !error.is_user() {
        counters.departed_peers.increment();
    }
    if is_gone {
        return Some(HandlerFailure::PeerGone);
    }
    if error.is_user() || has_io {
        // This finds out whether an I/O error says that the client is gone.
        let message = with_sources(&error);
        let failure = Err::<(), Box<dyn Error + Send + Sync>>(error.into()).failure();
        let is_other = failure.is_some_and(|failure| failure != HandlerFailure::PeerGone);
        return Some(if is_other {
            HandlerFailure::Error(message)
        } else {
            HandlerFailure::PeerGone
        });
    }
    // A malformed head, or a violation of HTTP/2.
    counters.protocol_errors.increment();
    None
}

/// Whether an error says that the client has left in the middle of a request or a response.
fn says_gone(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_closed() || error.is_canceled()
}

/// An error, what caused it, and so on.
fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// The text of an error with those that caused it.
pub(super) fn with_sources(error: &(dyn Error + 'static)) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
