//! What this kernel offers beyond Linux 5.13, found by trying, never by its version.
//!
//! Distribution kernels carry backports and lack configuration options, so each feature is probed
//! by the probe registration, by the bits that set-up reports or by a small trial.

use std::fmt;
use std::mem;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::OnceLock;

use io_uring::{IoUring, Parameters, Probe, opcode, types};

use crate::buffer_ring::BufferRing;
use crate::completion::Errno;
use crate::memory::Pages;
use crate::op::Op;
use crate::raw;
use crate::ring::Ring;
use crate::socket;

/// A feature that a test may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Creating directories and links.
    CreatedPaths,
    /// `IORING_SETUP_SUBMIT_ALL`.
    SubmitAll,
    /// Registering the ring's own descriptor.
    RegisteredRing,
    /// Cancelling by descriptor, all that match, or everything.
    CancelFlags,
    /// Multishot accept.
    MultishotAccept,
    /// Tables of files that are registered empty, and slots that the kernel chooses.
    EmptyTables,
    /// Completions of receives that tell of more, and of the part that a cancelled one has taken.
    SocketFlags,
    /// A cancel that waits, by the registration call.
    SyncCancel,
    /// `IORING_SETUP_SINGLE_ISSUER`.
    SingleIssuer,
    /// `IORING_SETUP_DEFER_TASKRUN`.
    DeferTaskrun,
    /// `IORING_SETUP_NO_SQARRAY`.
    NoSqArray,
    /// Rings of provided buffers.
    BufferRings,
    /// Multishot receive.
    MultishotRecv,
    /// A byte cap on a multishot receive.
    ByteCap,
    /// Zero-copy send.
    SendZc,
    /// Messages between rings.
    MsgRing,
    /// Messages to a ring from a thread without one.
    SendMsgRing,
    /// Turning a direct descriptor into one of the process.
    FixedFdInstall,
    /// `IORING_ENTER_NO_IOWAIT`.
    NoIowait,
    /// A wait that takes less when it has lasted for a while.
    MinWait,
    /// A multishot timeout.
    MultishotTimeout,
    /// Receiving into several provided buffers at once.
    Bundles,
    /// Waiting for a child.
    WaitId,
}

/// A feature's name, the version that introduced it, and how it is found.
type Row = (Feature, &'static str, fn(&Probe) -> bool);

const TABLE: &[Row] = &[
    (Feature::CreatedPaths, "mkdirat (5.15)", |p| p.is_supported(opcode::MkDirAt::CODE)),
    // These have no sign of their own: an operation of the same release tells.
    (Feature::RegisteredRing, "registered rings (5.18)", |p| {
        p.is_supported(opcode::MsgRingData::CODE)
    }),
    (Feature::CancelFlags, "cancel flags (5.19)", |p| p.is_supported(opcode::Socket::CODE)),
    (Feature::MultishotAccept, "multishot accept (5.19)", |p| p.is_supported(opcode::Socket::CODE)),
    (Feature::EmptyTables, "empty file tables (5.19)", |p| p.is_supported(opcode::Socket::CODE)),
    (Feature::SocketFlags, "flags of receives (5.19)", |p| p.is_supported(opcode::Socket::CODE)),
    (Feature::SyncCancel, "synchronous cancel (6.0)", |p| p.is_supported(opcode::SendZc::CODE)),
    (Feature::SubmitAll, "submit_all (5.18)", |_| sets_up(|b| b.setup_submit_all())),
    (Feature::SingleIssuer, "single_issuer (6.0)", |_| sets_up(|b| b.setup_single_issuer())),
    (Feature::DeferTaskrun, "defer_taskrun (6.1)", |_| {
        sets_up(|b| b.setup_single_issuer().setup_defer_taskrun())
    }),
    (Feature::NoSqArray, "no_sqarray (6.6)", |_| sets_up(|b| b.setup_no_sqarray())),
    (Feature::BufferRings, "buffer rings (5.19)", |_| buffer_rings()),
    (Feature::MultishotRecv, "multishot recv (6.0)", |_| {
        buffer_rings() && receives(|socket, group| Op::recv_multi(socket, group))
    }),
    (Feature::ByteCap, "multishot recv byte cap (6.17)", |_| {
        buffer_rings()
            && receives(|socket, group| {
                // SAFETY: the cap is a number, no address.
                unsafe { Op::recv_multi(socket, group).with_field(raw::SQE_OPTLEN, 64) }
            })
    }),
    (Feature::SendZc, "send_zc (6.0)", |p| p.is_supported(opcode::SendZc::CODE)),
    (Feature::MsgRing, "msg_ring (5.18)", |p| p.is_supported(opcode::MsgRingData::CODE)),
    (Feature::SendMsgRing, "send_msg_ring (6.13)", |_| send_msg_ring()),
    (Feature::FixedFdInstall, "fixed_fd_install (6.8)", |p| {
        p.is_supported(opcode::FixedFdInstall::CODE)
    }),
    (Feature::NoIowait, "no_iowait (6.15)", |_| reports(Parameters::is_feature_no_iowait)),
    (Feature::MinWait, "min_wait (6.12)", |_| reports(Parameters::is_feature_min_timeout)),
    (Feature::MultishotTimeout, "multishot timeout (6.4)", |_| multishot_timeout()),
    (Feature::Bundles, "recv bundles (6.10)", |_| reports(Parameters::is_feature_recvsend_bundle)),
    (Feature::WaitId, "waitid (6.7)", |p| p.is_supported(opcode::WaitId::CODE)),
];

impl Feature {
    /// Whether this kernel has it. Probed once, at the first question.
    ///
    /// # Panics
    ///
    /// When no ring can be made at all: ask [`why_unavailable`] first.
    pub fn present(self) -> bool {
        static PRESENT: OnceLock<Vec<Feature>> = OnceLock::new();
        let present = PRESENT.get_or_init(|| {
            let mut probe = Probe::new();
            Ring::plain(2).register().register_probe(&mut probe).expect("probe the operations");
            let found = TABLE.iter().filter(|(_, _, found)| found(&probe));
            found.map(|(feature, _, _)| *feature).collect()
        });
        present.contains(&self)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = TABLE.iter().find(|(feature, _, _)| feature == self);
        f.write_str(row.map_or("an unlisted feature", |(_, name, _)| name))
    }
}

/// Why no ring can be made here at all, or `None` when one can.
pub fn why_unavailable() -> Option<String> {
    let error = Ring::try_with(2, |_| {}).err()?;
    let reason = match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel was built without io_uring",
        Some(libc::EPERM) => "forbidden by a seccomp filter or by kernel.io_uring_disabled",
        Some(libc::ENOMEM) => "no locked memory left: raise RLIMIT_MEMLOCK",
        _ => "not for a reason that is known here",
    };
    Some(format!("io_uring is unavailable: {error}: {reason}"))
}

/// Why the driver uses no ring of this kernel, or `None` when it does.
///
/// # Panics
///
/// When no ring can be made at all: ask [`why_unavailable`] first.
pub fn why_too_old() -> Option<String> {
    // The tags of resources came with multishot polls, which no bit tells of.
    let is_old = !reports(Parameters::is_feature_resource_tagging);
    is_old.then(|| "the driver uses no ring of this kernel: its io_uring is older than 5.13".into())
}

fn sets_up(configure: impl Fn(&mut io_uring::Builder) -> &mut io_uring::Builder) -> bool {
    let configure = |builder: &mut io_uring::Builder| {
        configure(builder);
    };
    Ring::try_with(2, configure).is_ok()
}

fn reports(bit: impl Fn(&Parameters) -> bool) -> bool {
    let mut ring = Ring::plain(2);
    let uring: &IoUring = ring.uring();
    bit(uring.params())
}

fn buffer_rings() -> bool {
    let ring = Ring::plain(2);
    let pages = Pages::new(1);
    // SAFETY: the page holds two entries; the ring, which goes first, never picks a buffer.
    let registered =
        unsafe { ring.register().register_buf_ring_with_flags(pages.as_ptr() as u64, 2, 0, 0) };
    let registered = registered.is_ok();
    drop(ring);
    mem::forget(pages);
    registered
}

/// Whether a multishot receive of this form is accepted.
fn receives(form: impl Fn(&UnixStream, u16) -> Op) -> bool {
    let mut ring = Ring::plain(2);
    let _buffers = BufferRing::full(&ring, 0, 2, 8);
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    socket::write_all(&far, b"x");
    ring.run(form(&near, 0)).outcome() == Ok(1)
}

fn send_msg_ring() -> bool {
    let target = Ring::plain(2);
    let message = Op::message(&target, 0, 0);
    // SAFETY: the call reads one entry, which lives for the call.
    let sent = unsafe {
        raw::register(-1, raw::REGISTER_SEND_MSG_RING, ptr::from_ref(message.entry()).cast(), 1)
    };
    sent.is_ok()
}

fn multishot_timeout() -> bool {
    let timespec = types::Timespec::new().nsec(1000);
    let mut ring = Ring::plain(2);
    let timeout = opcode::Timeout::new(&timespec).flags(types::TimeoutFlags::MULTISHOT).count(1);
    // SAFETY: the kernel reads the timespec while it takes the submission.
    let timeout = unsafe { Op::from_entry(timeout.build()) };
    ring.run(timeout).outcome() == Err(Errno(libc::ETIME))
}
