//! Prints incidents to standard error, without ever blocking an event loop.
//!
//! Standard error may be a pipe that is never read, and peers can make handlers fail as often as
//! they like. So a separate thread writes, the queue of lines for it is bounded, and of each kind
//! of incident a limited number is printed a second; the others are counted, and their count is
//! printed. (To make the descriptor non-blocking would change it for every process that shares it,
//! and a poll before the write would race with those.)
//!
//! The thread starts with the first incident. Each runtime has a reporter. In a forked process the
//! inherited reporter does nothing: its thread does not exist there, and its mutex may be locked
//! forever. The parent's runtimes cannot continue there, either; new ones have new reporters.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{process, thread};

use super::Incident;

/// How many incidents of one kind are printed a second.
const MAX_A_SECOND: usize = 10;

const SECOND: Duration = Duration::from_secs(1);

/// How many lines may be queued for the thread.
const MAX_LINES: usize = 100;

/// How many bytes of an incident's text are printed.
const MAX_BYTES: usize = 4096;

/// How long the end of a runtime waits for lines to be written.
const PATIENCE: Duration = Duration::from_millis(500);

const STACK: usize = 128 * 1024;

/// Prints incidents to standard error.
pub(crate) struct Reporter {
    shared: Arc<Shared>,
    /// The process that made it. Only that process may use it.
    process: u32,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when a line is queued, and at the end.
    work: Condvar,
    /// Notified when the thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    kinds: Vec<Kind>,
    has_thread: bool,
    /// No incident is held back any longer, and the thread ends when all lines are written.
    is_ending: bool,
}

/// How much was printed of one kind of incident.
struct Kind {
    name: &'static str,
    /// The start of the second that `printed` counts.
    since: Instant,
    printed: usize,
    /// How many were not printed, and have not been reported as a count.
    held_back: usize,
}

impl Reporter {
    pub(crate) fn new() -> Self {
        let (work, ended) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { state: Mutex::default(), work, ended });
        Self { shared, process: process::id() }
    }

    /// The state shared with the thread; `None` in a process that was forked from the reporter's.
    fn shared(&self) -> Option<&Arc<Shared>> {
        (process::id() == self.process).then_some(&self.shared)
    }

    /// Queues an incident, unless there have been too many of its kind. Never blocks.
    pub(crate) fn report(&self, incident: &Incident) {
        let Some(shared) = self.shared() else { return };
        let mut state = shared.lock();
        state.note(incident, Instant::now());
        shared.start(&mut state);
        shared.work.notify_one();
    }

    /// Waits until all lines have been written, for at most [`PATIENCE`].
    pub(crate) fn finish(&self) {
        let Some(shared) = self.shared() else { return };
        let mut state = shared.lock();
        state.is_ending = true;
        if state.has_output() {
            shared.start(&mut state);
        }
        shared.work.notify_one();
        let has_thread = |state: &mut State| state.has_thread;
        let waited = shared.ended.wait_timeout_while(state, PATIENCE, has_thread);
        drop(waited);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        if let Some(shared) = self.shared() {
            shared.lock().is_ending = true;
            shared.work.notify_one();
        }
    }
}

impl Shared {
    /// Starts the thread if there is none. If the system refuses, lines wait for the next incident.
    fn start(self: &Arc<Self>, state: &mut State) {
        if !state.has_thread {
            let shared = Arc::clone(self);
            let thread = thread::Builder::new().name("annulus-incidents".into()).stack_size(STACK);
            state.has_thread = thread.spawn(move || shared.write()).is_ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The main loop of the thread.
    fn write(&self) {
        let mut state = self.lock();
        loop {
            state.queue_counts(Instant::now());
            if let Some(line) = state.lines.pop_front() {
                drop(state);
                // Unlike `eprintln!`, this does not panic when the write fails.
                let _ = io::stderr().write_all(line.as_bytes());
                state = self.lock();
            } else if state.is_ending {
                state.has_thread = false;
                self.ended.notify_all();
                return;
            } else {
                let pause = state.until_next_summary(Instant::now());
                let waited = self.work.wait_timeout(state, pause);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl State {
    fn has_output(&self) -> bool {
        !self.lines.is_empty() || self.kinds.iter().any(|kind| kind.held_back > 0)
    }

    /// Queues an incident, or counts it as held back.
    fn note(&mut self, incident: &Incident, now: Instant) {
        self.queue_counts(now);
        let (name, has_room) = (incident.kind(), self.lines.len() < MAX_LINES);
        let index = self.kinds.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
            self.kinds.push(Kind { name, since: now, printed: 0, held_back: 0 });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[index];
        if kind.is_second_over(now) {
            (kind.since, kind.printed) = (now, 0);
        }
        if has_room && kind.printed < MAX_A_SECOND {
            kind.printed += 1;
            self.lines.push_back(line(incident));
        } else {
            kind.held_back += 1;
        }
    }

    /// Queues the counts of incidents that were held back in past seconds.
    fn queue_counts(&mut self, now: Instant) {
        for kind in &mut self.kinds {
            let is_due = self.is_ending || kind.is_second_over(now);
            if kind.held_back > 0 && is_due && self.lines.len() < MAX_LINES {
                self.lines
                    .push_back(format!("annulus: and {} more {}\n", kind.held_back, kind.name));
                kind.held_back = 0;
                if kind.is_second_over(now) {
                    (kind.since, kind.printed) = (now, 0);
                }
            }
        }
    }

    /// How long the thread may sleep until it has to report a count.
    fn until_next_summary(&self, now: Instant) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        let held_back = self.kinds.iter().filter(|kind| kind.held_back > 0);
        let left = held_back.map(|kind| (kind.since + SECOND).saturating_duration_since(now));
        left.min().unwrap_or(LONG)
    }
}

impl Kind {
    fn is_second_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SECOND
    }
}

/// Formats an incident for printing. A part of its text may come from a peer: no line of it may
/// look like another incident, and no character of it may control a terminal.
fn line(incident: &Incident) -> String {
    let text = incident.to_string();
    let mut line = String::from("annulus: ");
    for character in text.chars() {
        match character {
            '\n' => line.push_str("\n    "),
            '\t' => line.push('\t'),
            control if control.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(line, "{}", control.escape_default());
            }
            other => line.push(other),
        }
        if line.len() >= MAX_BYTES {
            line.push_str("...");
            break;
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: usize) -> Incident {
        let peer = Some("127.0.0.1:80".parse().expect("an address"));
        Incident::HandlerFailed { peer, panicked: false, message: number.to_string() }
    }

    #[test]
    fn ten_incidents_of_one_kind_a_second_are_printed_and_the_others_counted() {
        let (mut state, now) = (State::default(), Instant::now());
        (0..MAX_A_SECOND + 5).for_each(|number| state.note(&failure(number), now));
        state.note(&Incident::CallbackPanicked { message: "of another kind".into() }, now);
        assert_eq!(state.lines.len(), MAX_A_SECOND + 1);
        assert_eq!(state.until_next_summary(now), SECOND);
        state.note(&failure(0), now + SECOND);
        let last: Vec<_> = state.lines.drain(MAX_A_SECOND + 1..).collect();
        let (count, next) = (&last[0], &last[1]);
        assert_eq!(count, "annulus: and 5 more handler failures\n");
        assert!(next.ends_with("127.0.0.1:80 failed: 0\n"), "{next}");
    }

    #[test]
    fn lines_that_are_not_written_are_bounded_and_counted() {
        let (mut state, now) = (State::default(), Instant::now());
        for second in 0..100 {
            let now = now + SECOND * second;
            (0..1000).for_each(|number| state.note(&failure(number), now));
        }
        assert_eq!(state.lines.len(), MAX_LINES);
        assert!(state.has_output());
        state.lines.clear();
        state.is_ending = true;
        state.queue_counts(now);
        assert_eq!(state.lines.len(), 1, "{:?}", state.lines);
        state.lines.clear();
        assert!(!state.has_output());
    }

    #[test]
    fn an_inherited_reporter_waits_for_no_mutex_and_for_no_thread() {
        let mut inherited = Reporter::new();
        inherited.process += 1;
        let shared = Arc::clone(&inherited.shared);
        // As another thread of the parent may have left it at the fork.
        let mut state = shared.lock();
        state.has_thread = true;
        inherited.report(&Incident::CallbackPanicked { message: String::new() });
        inherited.finish();
        drop(inherited);
        assert!(state.lines.is_empty());
    }

    #[test]
    fn a_text_of_several_lines_is_indented_and_controls_are_escaped() {
        let message = "left\nannulus: forged \u{1b}[2J".to_owned();
        let text = line(&Incident::CallbackPanicked { message });
        assert!(text.ends_with("left\n    annulus: forged \\u{1b}[2J\n"), "{text:?}");
        let text = line(&Incident::CallbackPanicked { message: "ä".repeat(10_000) });
        assert!(text.len() <= MAX_BYTES + 8, "{}", text.len());
    }
}
