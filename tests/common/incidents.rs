//! A runtime whose incidents are kept instead of printed.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annulus::{Incident, Runtime};

/// The incidents of one or more runtimes.
#[derive(Clone, Default)]
pub(crate) struct Incidents(Arc<Mutex<Vec<Incident>>>);

impl Incidents {
    /// A runtime that reports to this.
    pub(crate) fn runtime(&self) -> Runtime {
        let its = self.clone();
        let hook = move |incident: &Incident| its.report(incident);
        Runtime::builder().on_incident(hook).build().expect("io_uring works here")
    }

    pub(crate) fn report(&self, incident: &Incident) {
        self.list().push(incident.clone());
    }

    pub(crate) fn count(&self) -> usize {
        self.list().len()
    }

    /// All that have been reported since the last call.
    pub(crate) fn take(&self) -> Vec<Incident> {
        mem::take(&mut *self.list())
    }

    /// The messages of [`take`](Self::take).
    pub(crate) fn take_messages(&self) -> Vec<String> {
        let message = |incident| match incident {
            Incident::TaskPanicked { message, .. } => format!("task: {message}"),
            Incident::CallbackPanicked { message } => format!("callback: {message}"),
            other => other.to_string(),
        };
        self.take().into_iter().map(message).collect()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Incident>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
