//! What a task knows of its beginning, all its life.

use std::panic::Location;
use std::sync::Arc;

use super::id::TaskId;

pub(crate) struct Origin {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) parent: Option<TaskId>,
    pub(crate) spawned_at: &'static Location<'static>,
}
