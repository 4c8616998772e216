//! Making a ring: the flags that make it fast, given up one by one where a kernel lacks them, and
//! a diagnosis where the kernel refuses every ring.

use std::os::fd::AsRawFd;
use std::time::Duration;
use std::{io, thread};

use io_uring::{Builder, EnterFlags, IoUring};

use super::capabilities::{self, Capabilities};
use super::diagnose::diagnose;
use super::duration::millis;
use super::enter::{Until, enter};
use super::errno::{EAGAIN, EBUSY, EINTR, EINVAL, ENOMEM};
use super::flags::{Flag, STEPS, STEPS_WITH_THREAD};
use super::{KernelRing, PortableRing, WorkerLimits};
use crate::error::SetupError;

/// The smallest submission queue, in SQEs, that is tried when locked memory is short.
const SMALLEST: u32 = 8;

/// The largest submission queue, in SQEs, that the kernel gives; larger ones are cut down to it.
pub(crate) const MOST_SUBMISSIONS: u32 = 32_768;

/// How large a ring to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// The submission queue, in SQEs; rounded up to a power of two.
    pub(crate) submissions: u32,
    /// The completion queue, in CQEs; rounded up to a power of two, at least as many as
    /// submissions.
    pub(crate) completions: u32,
}

/// A ring, and what is known of it.
pub(crate) struct NewRing {
    pub(crate) ring: KernelRing,
    pub(crate) capabilities: Capabilities,
    /// The submission queue, in SQEs; smaller than was asked for if locked memory is short.
    pub(crate) submissions: u32,
}

/// Makes a ring for the calling thread. If a `submission_thread` is asked for, a kernel
/// thread (SQPOLL) takes what is queued, and sleeps when the queue has been empty for so long.
///
/// # Errors
///
/// The diagnosis of why the kernel refuses.
pub(crate) fn kernel_ring(
    size: Size,
    submission_thread: Option<Duration>,
) -> Result<NewRing, SetupError> {
    let (ring, _) = raw_ring(size, submission_thread)?;
    capabilities::require_features(&ring)?;
    let opcodes = capabilities::opcodes(&ring)?;
    capabilities::require_opcodes(&opcodes)?;
    let mut capabilities = Capabilities::of(&opcodes);
    // While a peer does not take the bytes of a zero-copy send, the kernel does not let its SQPOLL
    // thread end, and so not its process, which then not even SIGKILL ends.
    capabilities.send_zero_copy &= submission_thread.is_none();
    let submissions = ring.params().sq_entries();
    Ok(NewRing { ring: KernelRing::new(ring), capabilities, submissions })
}

/// Makes a portable ring for the calling thread. It can do all that the kernel's can.
///
/// # Errors
///
/// If the process has no descriptors left.
pub(crate) fn portable_ring(
    size: Size,
    limits: WorkerLimits,
) -> Result<(PortableRing, Capabilities), SetupError> {
    let capacity = size.submissions.clamp(1, MOST_SUBMISSIONS).next_power_of_two();
    Ok((PortableRing::new(capacity, limits)?, Capabilities::ALL))
}

/// Makes a ring with the best flags that the kernel takes, and returns both.
pub(super) fn raw_ring(
    size: Size,
    submission_thread: Option<Duration>,
) -> Result<(IoUring, &'static [Flag]), SetupError> {
    let mut last = None;
    for flags in if submission_thread.is_some() { STEPS_WITH_THREAD } else { STEPS } {
        match fitting_ring(size, submission_thread, flags) {
            Ok(ring) => {
                // A seccomp filter may allow the set-up and forbid the rest: that is found out now.
                let nothing = Until { completions: 0, patience: 0, timeout: None };
                match enter(ring.as_raw_fd(), 0, nothing, EnterFlags::empty()) {
                    Err(error) if !is_passing(&error) => return Err(diagnose(error)),
                    _ => return Ok((ring, flags)),
                }
            }
            Err(error) if error.raw_os_error() == Some(EINVAL) => last = Some(error),
            Err(error) => return Err(diagnose(error)),
        }
    }
    Err(diagnose(last.expect("there is at least one step")))
}

/// Whether an enter has failed as one may at any time, which the loop repeats.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EINTR | EAGAIN | EBUSY | ENOMEM))
}

/// Tries smaller rings while locked memory is short. Kernels that charge it give it back some time
/// after a ring was closed, so each size is tried again before it is halved.
fn fitting_ring(
    size: Size,
    submission_thread: Option<Duration>,
    flags: &[Flag],
) -> io::Result<IoUring> {
    const PATIENCE: [Duration; 3] =
        [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(5)];
    let mut size = size;
    loop {
        for pause in PATIENCE {
            thread::sleep(pause);
            match builder(size, submission_thread, flags).build(size.submissions) {
                Err(error) if error.raw_os_error() == Some(ENOMEM) => {}
                outcome => return outcome,
            }
        }
        if size.submissions <= SMALLEST {
            return Err(io::Error::from_raw_os_error(ENOMEM));
        }
        size.submissions = (size.submissions / 2).max(SMALLEST);
        size.completions = (size.completions / 2).max(2 * SMALLEST);
    }
}

fn builder(size: Size, submission_thread: Option<Duration>, flags: &[Flag]) -> Builder {
    let mut builder = IoUring::builder();
    if let Some(idle) = submission_thread {
        builder.setup_sqpoll(millis(idle));
    }
    builder.dontfork().setup_clamp().setup_cqsize(size.completions.max(size.submissions));
    for flag in flags {
        match flag {
            Flag::NoSubmissionArray => builder.setup_no_sqarray(),
            Flag::DeferTaskrun => builder.setup_defer_taskrun(),
            Flag::SingleIssuer => builder.setup_single_issuer(),
            Flag::CoopTaskrun => builder.setup_coop_taskrun(),
            Flag::ShowTaskrun => builder.setup_taskrun_flag(),
            Flag::SubmitAll => builder.setup_submit_all(),
        };
    }
    builder
}
