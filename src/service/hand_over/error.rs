//! Why a process could not hand over.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a process could not hand over to a successor. It goes on as before.
///
/// # Example
///
/// ```
/// use std::process::Command;
/// use std::time::Duration;
/// use annulus::service::{self, HandOverError, ListeningSockets};
///
/// annulus::run(async {
///     let (none, program) = (ListeningSockets::default(), Command::new("next-version"));
///     match service::hand_over(&none, program, Duration::from_secs(30)).await {
///         Ok(id) => println!("process {id} has taken over"),
///         Err(HandOverError::NoSockets) => println!("nothing listens"),
///         Err(error) => eprintln!("{error}; going on"),
///     }
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HandOverError {
    /// None of the sockets is open.
    NoSockets,
    /// Another task or thread of this process is handing over.
    InProgress,
    /// This process has handed over before.
    HandedOver,
    /// The service manager could not be told: it would take the end of this process for that of the
    /// service.
    ServiceManager(io::Error),
    /// The successor could not be started.
    NotStarted {
        /// What was to be run.
        program: OsString,
        /// The kernel's error.
        cause: io::Error,
    },
    /// The successor has ended before it was ready.
    Ended {
        /// How it has ended.
        status: ExitStatus,
    },
    /// The successor has closed the socket on which it was to report, or sent something else. It
    /// was killed.
    NoReport,
    /// The successor was not ready in time. It was killed.
    NotReady {
        /// How long it had.
        after: Duration,
    },
}

impl fmt::Display for HandOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSockets => f.write_str("nothing to hand over: no listening socket is open"),
            Self::InProgress => f.write_str("this process is handing over already"),
            Self::HandedOver => f.write_str("this process has handed over to a successor before"),
            Self::ServiceManager(error) => {
                write!(f, "cannot hand over without the service manager: {error}")
            }
            Self::NotStarted { program, cause } => {
                write!(f, "cannot start the successor {}: {cause}", Path::new(program).display())
            }
            Self::Ended { status } => {
                write!(f, "the successor has ended before it was ready ({status})")
            }
            Self::NoReport => f.write_str(
                "the successor did not report that it is ready, and was killed: have it call \
                 `service::listeners` and `service::ready`",
            ),
            Self::NotReady { after } => {
                write!(f, "the successor was not ready after {after:?}, and was killed")
            }
        }
    }
}

impl Error for HandOverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ServiceManager(cause) | Self::NotStarted { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<HandOverError> for io::Error {
    fn from(error: HandOverError) -> Self {
        let kind = match &error {
            HandOverError::ServiceManager(cause) | HandOverError::NotStarted { cause, .. } => {
                cause.kind()
            }
            HandOverError::NotReady { .. } => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
