//! A ring that does what a test tells it to, behind the same seam as the kernel's.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::{io, slice};

use crate::sys::{BufferRing, Completion, Entered, Full, Ring, Submission, Wait, opcode};

/// What has happened to the ring, and what it is to do next.
#[derive(Default)]
pub(crate) struct Script {
    capacity: usize,
    queue: VecDeque<Submission>,
    /// User data and opcode of the entries taken, in order.
    pub(crate) taken: Vec<(u64, u32)>,
    /// How many entries each enter took; with a thread, how many became visible to it at once.
    pub(crate) batches: Vec<usize>,
    /// What the next reaping finds.
    pub(crate) completions: VecDeque<Completion>,
    /// The waits asked for, one an enter.
    pub(crate) enters: Vec<Wait>,
    /// Errors for the next enters, which then take nothing.
    pub(crate) refusals: VecDeque<i32>,
    pub(crate) overflown: bool,
    pub(crate) deferred: bool,
    /// Whether cancels complete as soon as they are taken.
    pub(crate) answers_cancels: bool,
    /// Whether everything else but polls does.
    pub(crate) completes_at_once: bool,
    /// Whether buffers can be registered. None is ever picked.
    pub(crate) has_buffers: bool,
    /// Whether a kernel thread takes entries as soon as they are visible.
    pub(crate) has_thread: bool,
    /// Whether that thread is busy, and takes them only when an enter waits for room.
    pub(crate) is_thread_busy: bool,
    /// Entries pushed since the last enter, which count as queued though the thread may have them.
    pushed: usize,
}

impl Script {
    /// Entries become visible to the kernel.
    fn publish(&mut self, entries: &[Submission]) -> Result<(), Full> {
        if self.capacity - self.queue.len() < entries.len() {
            return Err(Full);
        }
        self.queue.extend(entries.iter().cloned());
        self.pushed += entries.len();
        if self.has_thread && !self.is_thread_busy {
            self.take();
        }
        Ok(())
    }

    /// The kernel takes all that is queued.
    fn take(&mut self) -> usize {
        let entries: Vec<_> = self.queue.drain(..).collect();
        self.batches.push(entries.len());
        for entry in &entries {
            let (user_data, opcode) = (entry.get_user_data(), entry.get_opcode());
            self.taken.push((user_data, opcode));
            let completes = match opcode as u8 {
                opcode::AsyncCancel::CODE => self.answers_cancels,
                opcode::PollAdd::CODE => false,
                _ => self.completes_at_once,
            };
            if completes {
                self.completions.push_back(Completion::new(user_data, 0, 0));
            }
        }
        entries.len()
    }
}

/// The driver's side; clones are the test's.
#[derive(Clone)]
pub(crate) struct ScriptedRing(Rc<RefCell<Script>>);

impl ScriptedRing {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Rc::new(RefCell::new(Script { capacity, ..Script::default() })))
    }

    pub(crate) fn script(&self) -> RefMut<'_, Script> {
        self.0.borrow_mut()
    }

    /// Lets the nth entry that was taken complete.
    pub(crate) fn complete(&self, nth: usize, result: i32, more: bool) {
        const MORE: u32 = 2;
        let (user_data, _) = self.script().taken[nth];
        let completion = Completion::new(user_data, result, if more { MORE } else { 0 });
        self.script().completions.push_back(completion);
    }
}

impl Ring for ScriptedRing {
    unsafe fn push(&mut self, entry: &Submission) -> Result<(), Full> {
        self.script().publish(slice::from_ref(entry))
    }

    unsafe fn push_all(&mut self, entries: &[Submission]) -> Result<(), Full> {
        self.script().publish(entries)
    }

    fn queued(&mut self) -> usize {
        let script = self.script();
        if script.has_thread { script.pushed } else { script.queue.len() }
    }

    fn has_deferred(&mut self) -> bool {
        self.script().deferred
    }

    fn is_overflown(&mut self) -> bool {
        self.script().overflown
    }

    fn enter(&mut self, wait: Wait) -> Entered {
        let mut script = self.script();
        script.enters.push(wait);
        let refusal = script.refusals.pop_front();
        let outcome = refusal.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)));
        let taken = if script.has_thread {
            if outcome.is_ok() && script.queue.len() == script.capacity {
                script.take();
            }
            script.pushed
        } else if outcome.is_ok() {
            script.take()
        } else {
            0
        };
        script.pushed = 0;
        Entered { taken, outcome }
    }

    unsafe fn register_buffers(&mut self, _buffers: &BufferRing) -> io::Result<()> {
        let has_buffers = self.script().has_buffers;
        has_buffers.then_some(()).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    fn release_buffers(&mut self) {}

    fn register_file_table(&mut self, _places: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn release_file_table(&mut self) {}

    fn reap(&mut self, mut sink: impl FnMut(Completion)) {
        let completions: Vec<_> = self.script().completions.drain(..).collect();
        completions.into_iter().for_each(&mut sink);
    }
}
