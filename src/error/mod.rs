//! What can go wrong, as types: set-up refused, an operation failed, something nobody would hear of.

mod incident;
mod operation;
mod catch_panic;
mod reporter;
mod setup;

pub use incident::Incident;
pub(crate) use incident::IncidentHook;
pub(crate) use operation::{Describe, again, describe};
pub use operation::{OperationError, raw_os_error};
pub(crate) use catch_panic::{discard, panic_message, shielded};
pub(crate) use reporter::Reporter;
pub use setup::SetupError;
