//! A subscriber that records what it is told.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Fields as text, by name.
pub(crate) type Fields = HashMap<&'static str, String>;

/// A span or an event.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) target: &'static str,
    pub(crate) fields: Fields,
    /// The innermost span that was entered.
    pub(crate) inside_of: Option<u64>,
    pub(crate) entered: usize,
    pub(crate) is_closed: bool,
}

#[derive(Default)]
struct State {
    spans: Vec<Recorded>,
    events: Vec<Recorded>,
    references: HashMap<u64, usize>,
    stack: Vec<u64>,
}

#[derive(Clone, Default)]
pub(crate) struct Recorder {
    state: Arc<Mutex<State>>,
    last: Arc<AtomicU64>,
}

struct Visitor(Fields);

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.0.insert(field.name(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no recording panics")
    }

    /// The spans of this name, in the order in which they were made.
    pub(crate) fn spans(&self, name: &str) -> Vec<Recorded> {
        self.state().spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// The events of this target, in their order.
    pub(crate) fn events(&self, target: &str) -> Vec<Recorded> {
        self.state().events.iter().filter(|event| event.target == target).cloned().collect()
    }

    /// Runs a future on a new runtime of this thread, and records it.
    pub(crate) fn watch<F: Future>(&self, future: F) -> F::Output {
        tracing::subscriber::with_default(self.clone(), || crate::common::watchdog::run(future))
    }

    fn record(&self, metadata: &'static Metadata<'static>, fields: Fields) -> Recorded {
        Recorded {
            id: 0,
            name: metadata.name(),
            target: metadata.target(),
            fields,
            inside_of: self.state().stack.last().copied(),
            entered: 0,
            is_closed: false,
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut visitor = Visitor(Fields::new());
        attributes.record(&mut visitor);
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let span = Recorded { id, ..self.record(attributes.metadata(), visitor.0) };
        let mut state = self.state();
        state.spans.push(span);
        state.references.insert(id, 1);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut visitor = Visitor(Fields::new());
        event.record(&mut visitor);
        let event = self.record(event.metadata(), visitor.0);
        self.state().events.push(event);
    }

    fn enter(&self, id: &Id) {
        let (id, mut state) = (id.into_u64(), self.state());
        state.stack.push(id);
        let span = state.spans.iter_mut().find(|span| span.id == id).expect("it was made");
        assert!(!span.is_closed, "a closed span is entered: {span:?}");
        span.entered += 1;
    }

    fn exit(&self, id: &Id) {
        assert_eq!(self.state().stack.pop(), Some(id.into_u64()), "spans are left in disorder");
    }

    fn clone_span(&self, id: &Id) -> Id {
        *self.state().references.get_mut(&id.into_u64()).expect("it is open") += 1;
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut state = self.state();
        let references = state.references.get_mut(&id.into_u64()).expect("it is open");
        *references -= 1;
        let is_last = *references == 0;
        if is_last {
            let closed = state.spans.iter_mut().find(|span| span.id == id.into_u64());
            closed.expect("it was made").is_closed = true;
        }
        is_last
    }
}
