//! A ring for tests: says what it does in one call, and never waits for ever.

use std::collections::VecDeque;
use std::env;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring};

use crate::completion::Completion;
use crate::op::Op;

/// How much longer than by default everything may take: `ANNULUS_PATIENCE`, for slow machines.
pub fn multiplier() -> u32 {
    static MULTIPLIER: LazyLock<u32> = LazyLock::new(|| {
        env::var("ANNULUS_PATIENCE")
            .map_or(1, |text| text.parse().expect("ANNULUS_PATIENCE is a whole number"))
    });
    *MULTIPLIER
}

/// How long a test waits for what must come: 20 seconds, times [`multiplier`].
/// Only a failing test waits that long.
pub fn patience() -> Duration {
    Duration::from_secs(20) * multiplier()
}

/// How long a test listens for what must not come. A kernel that is wrong is heard with near
/// certainty; a kernel that is right is never accused, however slow the machine.
pub const QUIET: Duration = Duration::from_millis(20);

/// A ring and the completions that were taken from it but not asked for yet.
pub struct Ring {
    uring: IoUring,
    taken: VecDeque<Completion>,
}

impl Ring {
    /// A ring without any set-up flag.
    pub fn plain(entries: u32) -> Ring {
        Ring::with(entries, |_| {})
    }

    /// A ring with the flags that the driver prefers.
    pub fn deferred(entries: u32) -> Ring {
        Ring::with(entries, |builder| {
            builder
                .setup_single_issuer()
                .setup_defer_taskrun()
                .setup_taskrun_flag()
                .setup_submit_all();
        })
    }

    /// A ring with flags of the test's choice.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn with(entries: u32, configure: impl Fn(&mut io_uring::Builder)) -> Ring {
        Ring::try_with(entries, configure).expect("set up a ring")
    }

    /// A ring with flags of the test's choice, or the kernel's refusal.
    ///
    /// Locked memory is charged per user and given back some time after a ring is closed, so
    /// `ENOMEM` is no refusal until [`patience`] is over.
    pub fn try_with(entries: u32, configure: impl Fn(&mut io_uring::Builder)) -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        configure(&mut builder);
        let deadline = Instant::now() + patience();
        loop {
            match builder.build(entries) {
                Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                built => return built.map(|uring| Ring { uring, taken: VecDeque::new() }),
            }
        }
    }

    /// The ring beneath, for what only one test needs.
    pub fn uring(&mut self) -> &mut IoUring {
        &mut self.uring
    }

    /// The ring's registration calls.
    pub fn register(&self) -> io_uring::Submitter<'_> {
        self.uring.submitter()
    }

    /// Queues one submission; the kernel does not see it yet.
    ///
    /// # Panics
    ///
    /// When the queue is full.
    pub fn push(&mut self, op: &Op) {
        assert!(self.try_push(op), "the submission queue is full");
    }

    /// Queues one submission unless the queue is full.
    pub fn try_push(&mut self, op: &Op) -> bool {
        // SAFETY: the memory an `Op` names is valid for as long as the kernel wants; see `Op`.
        unsafe { self.uring.submission().push(op.entry()) }.is_ok()
    }

    /// How many submissions are queued and not taken by the kernel.
    pub fn queued(&mut self) -> u32 {
        u32::try_from(self.uring.submission().len()).expect("a small queue")
    }

    /// Enters the kernel with exactly these arguments.
    pub fn enter(
        &self,
        to_submit: u32,
        min_complete: u32,
        flags: EnterFlags,
        timeout: Option<Duration>,
    ) -> io::Result<u32> {
        let submitter = self.uring.submitter();
        let entered = match timeout.map(Timespec::from) {
            None => {
                let none = None::<&libc::sigset_t>;
                // SAFETY: no argument is passed.
                unsafe { submitter.enter(to_submit, min_complete, flags.bits(), none) }
            }
            Some(timespec) => {
                let arguments = SubmitArgs::new().timespec(&timespec);
                let flags = (flags | EnterFlags::EXT_ARG).bits();
                // SAFETY: EXT_ARG goes with `SubmitArgs`, read before the call returns.
                unsafe { submitter.enter(to_submit, min_complete, flags, Some(&arguments)) }
            }
        };
        entered.map(|count| u32::try_from(count).expect("a small count"))
    }

    /// Submits all that is queued, without asking for completions.
    ///
    /// # Panics
    ///
    /// When the kernel refuses or takes only a part.
    pub fn submit(&mut self) {
        let queued = self.queued();
        let submitted = self.enter(queued, 0, EnterFlags::empty(), None);
        assert_eq!(submitted.expect("submit"), queued, "the kernel takes all that is queued");
    }

    /// Runs deferred work, without waiting.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn get_events(&self) {
        self.enter(0, 0, EnterFlags::GETEVENTS, None).expect("get events");
    }

    /// Takes what is in the completion queue, without a system call.
    pub fn peek(&mut self) -> Vec<Completion> {
        let mut taken: Vec<_> = self.taken.drain(..).collect();
        taken.extend(self.uring.completion().map(Completion::from));
        taken
    }

    /// Runs deferred work, then takes what is in the completion queue.
    pub fn reap(&mut self) -> Vec<Completion> {
        self.get_events();
        self.peek()
    }

    /// Queues and submits `ops` together.
    ///
    /// # Panics
    ///
    /// When they do not fit or are not all taken.
    pub fn start(&mut self, ops: impl IntoIterator<Item = Op>) {
        for op in ops {
            self.push(&op);
        }
        self.submit();
    }

    /// Submits one operation and waits for its first completion.
    pub fn run(&mut self, op: Op) -> Completion {
        let tag = op.get_tag();
        self.start([op]);
        self.next_for(tag)
    }

    /// The next completion, whatever it answers.
    pub fn next_any(&mut self) -> Completion {
        self.next_where(|_| true).unwrap_or_else(|| panic!("no completion within {:?}", patience()))
    }

    /// The next completion with this user data.
    pub fn next_for(&mut self, tag: u64) -> Completion {
        self.next_where(|completion| completion.tag == tag).unwrap_or_else(|| {
            panic!("no completion of #{tag:#x} within {:?}; others: {:?}", patience(), self.taken)
        })
    }

    /// The next `count` completions in the order in which they came.
    pub fn next_all(&mut self, count: usize) -> Vec<Completion> {
        (0..count).map(|_| self.next_any()).collect()
    }

    fn next_where(&mut self, wanted: impl Fn(&Completion) -> bool) -> Option<Completion> {
        let deadline = Instant::now() + patience();
        loop {
            self.taken.extend(self.uring.completion().map(Completion::from));
            if let Some(at) = self.taken.iter().position(&wanted) {
                return self.taken.remove(at);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            self.wait(left);
        }
    }

    /// Waits for one more completion in the queue, at most `limit`.
    fn wait(&self, limit: Duration) {
        match self.enter(0, 1, EnterFlags::GETEVENTS, Some(limit)) {
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR)) => {}
            Err(e) => panic!("wait for a completion: {e}"),
        }
    }

    /// Asserts that nothing completes for [`QUIET`].
    #[track_caller]
    pub fn assert_quiet(&mut self, why: &str) {
        self.wait(QUIET);
        let came = self.peek();
        assert!(came.is_empty(), "{why}: {came:?}");
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }
}
