//! What a ring can do, required and optional.
//!
//! Features are probed and never derived from the kernel version: distributions backport features.
//! A new operation adds a row to [`required_opcodes`], or a field to [`Capabilities`] and a row to
//! [`optional`].

use io_uring::register::Probe as Opcodes;
use io_uring::{IoUring, opcode};

use super::diagnose::diagnose;
use super::errno::EINVAL;
use super::flags::Flag;
use crate::error::{SetupError, describe};

/// The optional abilities of a ring, by which the driver and the operations choose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Capabilities {
    /// One accept SQE serves many connections.
    pub(crate) multishot_accept: bool,
    /// One receive SQE delivers every message on a socket.
    pub(crate) multishot_recv: bool,
    /// Zero-copy sends.
    pub(crate) send_zero_copy: bool,
    /// Direct descriptors can be installed as ordinary ones.
    pub(crate) install_descriptor: bool,
    /// One cancel SQE reaches everything in flight.
    pub(crate) cancel_any: bool,
    /// Directories and links are created on the ring.
    pub(crate) create_paths: bool,
    /// The length of a file is changed on the ring.
    pub(crate) set_len: bool,
    /// The end of a child completes an SQE.
    pub(crate) wait_for_processes: bool,
}

impl Capabilities {
    /// All of them: those of the portable ring.
    pub(crate) const ALL: Self = Self {
        multishot_accept: true,
        multishot_recv: true,
        send_zero_copy: true,
        install_descriptor: true,
        cancel_any: true,
        create_paths: true,
        set_len: true,
        wait_for_processes: true,
    };

    pub(super) fn of(opcodes: &Opcodes) -> Self {
        let linux_5_19 = has_5_19(opcodes);
        Self {
            multishot_accept: linux_5_19,
            multishot_recv: has_6_0(opcodes),
            send_zero_copy: has_6_0(opcodes),
            install_descriptor: opcodes.is_supported(opcode::FixedFdInstall::CODE),
            cancel_any: linux_5_19,
            create_paths: has_create_paths(opcodes),
            set_len: opcodes.is_supported(opcode::Ftruncate::CODE),
            wait_for_processes: opcodes.is_supported(opcode::WaitId::CODE),
        }
    }
}

/// Flags of an opcode cannot be probed. Multishot accept and cancelling by any came with 5.19, and
/// so did the socket opcode, which can be.
fn has_5_19(opcodes: &Opcodes) -> bool {
    opcodes.is_supported(opcode::Socket::CODE)
}

/// Multishot receive came with 6.0, and so did the zero-copy send, which can be probed.
fn has_6_0(opcodes: &Opcodes) -> bool {
    opcodes.is_supported(opcode::SendZc::CODE)
}

/// The three operations came together.
fn has_create_paths(opcodes: &Opcodes) -> bool {
    let all = [opcode::MkDirAt::CODE, opcode::SymlinkAt::CODE, opcode::LinkAt::CODE];
    all.iter().all(|&opcode| opcodes.is_supported(opcode))
}

/// One thing that the library uses of io_uring, and whether it is there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facility {
    /// What it is.
    pub name: &'static str,
    /// The first kernel release that has it.
    pub since: &'static str,
    /// Whether this kernel has it.
    pub supported: bool,
    /// What it means to lack it; `None` if the kernel's ring cannot be used without it.
    pub without: Option<&'static str>,
}

pub(super) fn opcodes(ring: &IoUring) -> Result<Opcodes, SetupError> {
    let mut opcodes = Opcodes::new();
    match ring.submitter().register_probe(&mut opcodes) {
        Ok(()) => Ok(opcodes),
        // The features were there, and they are newer (5.13) than the probe (5.6).
        Err(error) if error.raw_os_error() == Some(EINVAL) => {
            Err(SetupError::Other(describe("probe its operations", error)))
        }
        Err(error) => Err(diagnose(error)),
    }
}

/// Refuses a kernel that lacks a feature which no fallback replaces.
pub(super) fn require_features(ring: &IoUring) -> Result<(), SetupError> {
    require(required_features(ring))
}

/// Refuses a kernel that lacks an operation which no fallback replaces.
pub(super) fn require_opcodes(opcodes: &Opcodes) -> Result<(), SetupError> {
    require(required_opcodes(opcodes))
}

fn require(mut facilities: impl Iterator<Item = Facility>) -> Result<(), SetupError> {
    match facilities.find(|facility| !facility.supported) {
        Some(Facility { name, since, .. }) => Err(SetupError::TooOld { feature: name, since }),
        None => Ok(()),
    }
}

fn must(name: &'static str, since: &'static str, supported: bool) -> Facility {
    Facility { name, since, supported, without: None }
}

pub(super) fn required_features(ring: &IoUring) -> impl Iterator<Item = Facility> {
    let parameters = ring.params();
    [
        must("completions that are never dropped", "5.5", parameters.is_feature_nodrop()),
        must("SQEs stable once submitted", "5.5", parameters.is_feature_submit_stable()),
        must("waiting for sockets without a thread", "5.7", parameters.is_feature_fast_poll()),
        must("waiting with a timeout", "5.11", parameters.is_feature_ext_arg()),
        // Multishot poll, by which other threads wake this one, cannot be probed; resource tags
        // came with the same release.
        must("multishot poll", "5.13", parameters.is_feature_resource_tagging()),
    ]
    .into_iter()
}

pub(super) fn required_opcodes(opcodes: &Opcodes) -> impl Iterator<Item = Facility> {
    [
        must("accept", "5.5", opcodes.is_supported(opcode::Accept::CODE)),
        must("connect", "5.5", opcodes.is_supported(opcode::Connect::CODE)),
        must("recv", "5.6", opcodes.is_supported(opcode::Recv::CODE)),
        must("send", "5.6", opcodes.is_supported(opcode::Send::CODE)),
        must("recvmsg", "5.3", opcodes.is_supported(opcode::RecvMsg::CODE)),
        must("sendmsg", "5.3", opcodes.is_supported(opcode::SendMsg::CODE)),
        must("close", "5.6", opcodes.is_supported(opcode::Close::CODE)),
        must("poll", "5.1", opcodes.is_supported(opcode::PollAdd::CODE)),
        must("timeout", "5.4", opcodes.is_supported(opcode::Timeout::CODE)),
        must("link timeout", "5.5", opcodes.is_supported(opcode::LinkTimeout::CODE)),
        must("cancel", "5.5", opcodes.is_supported(opcode::AsyncCancel::CODE)),
        must("open", "5.6", opcodes.is_supported(opcode::OpenAt::CODE)),
        must("read", "5.6", opcodes.is_supported(opcode::Read::CODE)),
        must("write", "5.6", opcodes.is_supported(opcode::Write::CODE)),
        must("fsync", "5.1", opcodes.is_supported(opcode::Fsync::CODE)),
        must("fallocate", "5.6", opcodes.is_supported(opcode::Fallocate::CODE)),
        must("fadvise", "5.6", opcodes.is_supported(opcode::Fadvise::CODE)),
        must("statx", "5.6", opcodes.is_supported(opcode::Statx::CODE)),
        must("openat2", "5.6", opcodes.is_supported(opcode::OpenAt2::CODE)),
        must("rename", "5.11", opcodes.is_supported(opcode::RenameAt::CODE)),
        must("unlink", "5.11", opcodes.is_supported(opcode::UnlinkAt::CODE)),
    ]
    .into_iter()
}

pub(super) fn optional(
    ring: &IoUring,
    flags: &[Flag],
    opcodes: &Opcodes,
) -> impl Iterator<Item = Facility> {
    let parameters = ring.params();
    let may = |name, since, supported, without| Facility {
        name,
        since,
        supported,
        without: Some(without),
    };
    let flag = |wanted| flags.contains(&wanted);
    [
        may(
            "submission without an array",
            "6.6",
            flag(Flag::NoSubmissionArray),
            "slower submission",
        ),
        may(
            "deferred task-run",
            "6.1",
            flag(Flag::DeferTaskrun),
            "completions interrupt the tasks",
        ),
        may("single issuer", "6.0", flag(Flag::SingleIssuer), "the kernel takes more locks"),
        may("task-run flag", "5.19", flag(Flag::ShowTaskrun), "completions interrupt the tasks"),
        may(
            "creating directories and links",
            "5.15",
            has_create_paths(opcodes),
            "a thread creates them",
        ),
        may("submit all", "5.18", flag(Flag::SubmitAll), "a bad SQE delays the ones behind it"),
        may("multishot accept", "5.19", has_5_19(opcodes), "an SQE for each connection"),
        may("cancel everything at once", "5.19", has_5_19(opcodes), "an SQE for each cancel"),
        may("provided buffers", "5.19", has_5_19(opcodes), "a lease receive takes two SQEs"),
        may("zero-copy send", "6.0", has_6_0(opcodes), "falls back to copying"),
        may("multishot receive", "6.0", has_6_0(opcodes), "an SQE for each receive"),
        may(
            "installing direct descriptors",
            "6.8",
            opcodes.is_supported(opcode::FixedFdInstall::CODE),
            "no direct descriptors",
        ),
        may(
            "setting the length of a file",
            "6.9",
            opcodes.is_supported(opcode::Ftruncate::CODE),
            "it is set on a thread",
        ),
        may(
            "waiting for processes",
            "6.7",
            opcodes.is_supported(opcode::WaitId::CODE),
            "a poll of a pidfd",
        ),
        may(
            "no I/O-wait accounting",
            "6.15",
            parameters.is_feature_no_iowait(),
            "idle time is reported as I/O wait",
        ),
    ]
    .into_iter()
}
