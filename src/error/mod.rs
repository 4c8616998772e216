//! What can go wrong, as types.
//!
//! - [`SetupError`]: a ring could not be created.
//! - [`OperationError`]: an operation failed; it is inside the [`std::io::Error`]s of this crate.
//! - [`Incident`]: something failed that no caller awaits. A hook receives it, by default
//!   `reporter`, which prints it.
//! - `catch_panic` contains the panics of foreign code.

mod catch_panic;
mod incident;
mod operation;
mod reporter;
mod setup;

pub(crate) use catch_panic::{catch_panic, discard, panic_message};
pub use incident::Incident;
pub(crate) use incident::IncidentHook;
pub(crate) use operation::{Describe, again, describe};
pub use operation::{OperationError, raw_os_error};
pub(crate) use reporter::Reporter;
pub use setup::SetupError;
