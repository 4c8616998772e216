//! What can go wrong, as types: set-up refused, an operation failed, something nobody would hear of.

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
