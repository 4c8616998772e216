//! What can go wrong, as types: set-up refused, an operation failed, something nobody would hear of.

mod incident;
mod operation;
mod setup;

pub use incident::Incident;
pub(crate) use incident::{IncidentHook, panic_message};
pub(crate) use operation::{Describe, describe};
pub use operation::{OperationError, os_code};
pub use setup::SetupError;
