//! Whose failure severs a chain: the kernel counts only some operations that fail as failed.
//!
//! An operation that cannot begin, such as one on a descriptor that is not open, severs whatever it
//! is. Here each begins, and fails at its work.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::ptr;

use io_uring::squeue::Entry;
use io_uring::types::{Fd, FsyncFlags, OpenHow};
use io_uring::{Probe, opcode};
use uring_sys_tests::completion::Errno;
use uring_sys_tests::memory::Buffer;
use uring_sys_tests::op::Op;
use uring_sys_tests::ring::Ring;
use uring_sys_tests::socket;

use crate::case::cases;
use crate::files::unnamed_file;

cases![
    failed_sync_keeps_chain,
    failed_changes_keep_chain,
    failed_shutdown_keeps_chain,
    other_failures_sever,
];

const HERE: Fd = Fd(libc::AT_FDCWD);
const MISSING: &CStr = c"/nowhere/at/all";
const WITHIN_MISSING: &CStr = c"/nowhere/at/all/within";

/// An operation that fails with this.
type Failing = (Entry, i32);

/// Runs each in front of a no-op, and compares what becomes of that.
fn each_is_followed_by(failing: impl IntoIterator<Item = Failing>, expected: Result<u32, Errno>) {
    let mut ring = Ring::plain(8);
    let mut probe = Probe::new();
    ring.register().register_probe(&mut probe).expect("probe the operations");
    for (entry, errno) in failing {
        let opcode = entry.get_opcode() as u8;
        if !probe.is_supported(opcode) {
            println!("opcode {opcode}: not in this kernel");
            continue;
        }
        for on_worker in [false, true] {
            // SAFETY: what it points to is leaked or constant.
            let mut op = unsafe { Op::from_entry(entry.clone()) }.tag(1).link();
            if on_worker {
                op = op.forced_async();
            }
            ring.start([op, Op::nop().tag(2)]);
            let outcomes = [1, 2].map(|tag| ring.next_for(tag).outcome());
            assert_eq!(outcomes, [Err(Errno(errno)), expected], "opcode {opcode}, {on_worker}");
        }
    }
}

/// A descriptor that stays open.
fn leaked(owner: impl IntoRawFd) -> Fd {
    Fd(owner.into_raw_fd())
}

fn pipe() -> [Fd; 2] {
    let (read, write) = socket::pipe();
    [leaked(read), leaked(write)]
}

fn read_only() -> Fd {
    leaked(File::open("/").expect("open the root"))
}

/// A synchronisation that fails does not sever its chain.
/// So the driver links nothing behind one but a close, which is carried out in any case.
fn failed_sync_keeps_chain() {
    let [read, _write] = pipe();
    let sync = |flags| opcode::Fsync::new(read).flags(flags).build();
    let failing = [sync(FsyncFlags::empty()), sync(FsyncFlags::DATASYNC)];
    each_is_followed_by(failing.map(|sync| (sync, libc::EINVAL)), Ok(0));
}

/// Nor does a change of a file or a directory that fails, or a look at metadata.
/// The driver links nothing behind these, and the other rings go on there, too.
fn failed_changes_keep_chain() {
    let [missing, within] = [MISSING, WITHIN_MISSING].map(CStr::as_ptr);
    let [read, _write] = pipe();
    let metadata = Buffer::zeroed(256).as_ptr().cast();
    each_is_followed_by(
        [
            (opcode::Fallocate::new(read, 1).build(), libc::EBADF),
            (opcode::Ftruncate::new(read, 1).build(), libc::EINVAL),
            (opcode::Statx::new(HERE, missing, metadata).build(), libc::ENOENT),
            (opcode::UnlinkAt::new(HERE, missing).build(), libc::ENOENT),
            (opcode::RenameAt::new(HERE, missing, HERE, within).build(), libc::ENOENT),
            (opcode::LinkAt::new(HERE, missing, HERE, within).build(), libc::ENOENT),
            (opcode::SymlinkAt::new(HERE, missing, within).build(), libc::ENOENT),
            (opcode::MkDirAt::new(HERE, within).build(), libc::ENOENT),
        ],
        Ok(0),
    );
}

/// Nor does a shutdown of a socket that is not connected.
/// The driver links nothing behind it.
fn failed_shutdown_keeps_chain() {
    let shutdown = opcode::Shutdown::new(leaked(socket::tcp_socket()), libc::SHUT_RDWR);
    each_is_followed_by([(shutdown.build(), libc::ENOTCONN)], Ok(0));
}

/// The other operations of the driver sever their chain when they fail.
/// The driver links synchronisations to writes, and reads to opens, so that none runs in vain.
fn other_failures_sever() {
    let missing = MISSING.as_ptr();
    let how = ptr::from_ref(Box::leak(Box::new(OpenHow::new())));
    let [read, write] = pipe();
    let directory = read_only();
    let file = leaked(unnamed_file());
    let buffer = Buffer::zeroed(8).as_ptr();
    let part = libc::iovec { iov_base: buffer.cast(), iov_len: 8 };
    let parts = ptr::from_ref(Box::leak(Box::new(part)));
    // SAFETY: zeroes are a valid header.
    let message = Box::leak(Box::new(unsafe { std::mem::zeroed::<libc::msghdr>() }));
    let (near, _) = socket::tcp_pair();
    let socket = leaked(OwnedFd::from(near));
    let address =
        Box::leak(Box::new(socket::socket_address(socket::address_of(&socket::listener()))));
    let (name, size) = (ptr::from_ref(address).cast(), size_of_val(address) as u32);
    let [addr, length] = [ptr::null_mut::<()>(); 2];
    each_is_followed_by(
        [
            (opcode::Read::new(directory, buffer, 8).build(), libc::EISDIR),
            (opcode::Write::new(read, buffer, 8).build(), libc::EBADF),
            (opcode::Readv::new(directory, parts, 1).build(), libc::EISDIR),
            (opcode::Writev::new(read, parts, 1).build(), libc::EBADF),
            (opcode::OpenAt::new(HERE, missing).build(), libc::ENOENT),
            (opcode::OpenAt2::new(HERE, missing, how).build(), libc::ENOENT),
            (opcode::Close::new(Fd(i32::MAX)).build(), libc::EBADF),
            (opcode::Fadvise::new(read, 0, libc::POSIX_FADV_NORMAL).build(), libc::ESPIPE),
            (opcode::Splice::new(file, 0, file, 0, 8).build(), libc::EINVAL),
            (opcode::WaitId::new(libc::P_PID, 1, libc::WEXITED).build(), libc::ECHILD),
            (opcode::Accept::new(socket, addr.cast(), length.cast()).build(), libc::EINVAL),
            (opcode::Connect::new(read, name, size).build(), libc::ENOTSOCK),
            (opcode::Recv::new(write, buffer, 8).build(), libc::ENOTSOCK),
            (opcode::RecvMsg::new(write, message).build(), libc::ENOTSOCK),
            (opcode::Send::new(write, buffer, 8).build(), libc::ENOTSOCK),
            (opcode::SendMsg::new(write, message).build(), libc::ENOTSOCK),
            (opcode::Socket::new(-1, 0, 0).build(), libc::EAFNOSUPPORT),
            (opcode::AsyncCancel::new(77).build(), libc::ENOENT),
        ],
        Err(Errno(libc::ECANCELED)),
    );
}
