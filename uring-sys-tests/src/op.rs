//! Submissions, ready to be pushed to a [`Ring`](crate::ring::Ring).
//!
//! Everything an [`Op`] built here points to is a leaked [`Buffer`] or leaked besides, so pushing
//! one is sound whatever happens after. An operation on other memory is made with the unsafe
//! [`Op::from_entry`], whose caller says why that memory lives long enough.

use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Timespec};

use crate::memory::Buffer;
use crate::socket::socket_address;

/// A slot of a ring's table of direct descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u32);

/// What an operation works on: a descriptor of the process or a direct one of the ring.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    fd: Fd,
    flags: Flags,
}

impl<T: AsRawFd> From<&T> for Target {
    fn from(owner: &T) -> Self {
        Target { fd: Fd(owner.as_raw_fd()), flags: Flags::empty() }
    }
}

impl From<Slot> for Target {
    fn from(slot: Slot) -> Self {
        let fd = RawFd::try_from(slot.0).expect("a slot number fits the entry");
        Target { fd: Fd(fd), flags: Flags::FIXED_FILE }
    }
}

/// One submission.
#[derive(Clone, Debug)]
pub struct Op(Entry);

impl Op {
    /// Any SQE.
    ///
    /// # Safety
    ///
    /// All memory that the SQE names must stay valid until the kernel is done with it.
    pub unsafe fn from_entry(entry: Entry) -> Op {
        Op(entry)
    }

    fn on(target: Target, entry: Entry) -> Op {
        Op(entry.flags(target.flags))
    }

    /// The SQE itself.
    pub fn entry(&self) -> &Entry {
        &self.0
    }

    /// The user data that its completions carry.
    pub fn tag(self, tag: u64) -> Op {
        Op(self.0.user_data(tag))
    }

    /// The user data set by [`Op::tag`].
    pub fn get_tag(&self) -> u64 {
        self.0.get_user_data()
    }

    /// Links the next submission to this one; a failure severs the chain.
    pub fn link(self) -> Op {
        Op(self.0.flags(Flags::IO_LINK))
    }

    /// Links the next submission to this one; a failure does not sever the chain.
    pub fn hardlink(self) -> Op {
        Op(self.0.flags(Flags::IO_HARDLINK))
    }

    /// Sends it to a kernel worker at once.
    pub fn forced_async(self) -> Op {
        Op(self.0.flags(Flags::ASYNC))
    }

    /// Overwrites a 32-bit field for which the typed form has no setter.
    ///
    /// # Panics
    ///
    /// When the field does not lie in the SQE.
    ///
    /// # Safety
    ///
    /// The SQE that results must satisfy [`Op::from_entry`].
    pub unsafe fn with_field(mut self, offset: usize, value: u32) -> Op {
        assert!(offset % 4 == 0 && offset + 4 <= size_of::<Entry>(), "no field at {offset}");
        // SAFETY: inside the SQE, aligned; `Entry` is `repr(C)` and made of plain integers.
        unsafe { ptr::from_mut(&mut self.0).cast::<u8>().add(offset).cast::<u32>().write(value) };
        self
    }

    /// Does nothing and completes at once.
    pub fn nop() -> Op {
        Op(opcode::Nop::new().build())
    }

    /// One receive into `buffer`.
    pub fn recv(from: impl Into<Target>, buffer: Buffer) -> Op {
        Op::recv_with(from, buffer, 0)
    }

    /// One receive with `MSG_*` flags.
    pub fn recv_with(from: impl Into<Target>, buffer: Buffer, flags: i32) -> Op {
        let from = from.into();
        let recv = opcode::Recv::new(from.fd, buffer.as_ptr(), length(buffer)).flags(flags);
        Op::on(from, recv.build())
    }

    /// One receive into a buffer that the kernel selects from a buffer group.
    pub fn recv_picked(from: impl Into<Target>, group: u16) -> Op {
        let from = from.into();
        let recv = opcode::Recv::new(from.fd, ptr::null_mut(), 0).buf_group(group);
        Op::on(from, recv.build().flags(Flags::BUFFER_SELECT))
    }

    /// One receive into as many buffers of a buffer group as there are bytes for.
    pub fn recv_bundle(from: impl Into<Target>, group: u16) -> Op {
        let from = from.into();
        Op::on(from, opcode::RecvBundle::new(from.fd, group).build())
    }

    /// A multishot receive from a buffer group.
    pub fn recv_multi(from: impl Into<Target>, group: u16) -> Op {
        let from = from.into();
        Op::on(from, opcode::RecvMulti::new(from.fd, group).build())
    }

    /// One send of all of `buffer`, never with a signal.
    pub fn send(to: impl Into<Target>, buffer: Buffer) -> Op {
        Op::send_with(to, buffer, libc::MSG_NOSIGNAL)
    }

    /// One send with exactly these `MSG_*` flags.
    pub fn send_with(to: impl Into<Target>, buffer: Buffer, flags: i32) -> Op {
        let to = to.into();
        let send = opcode::Send::new(to.fd, buffer.as_ptr(), length(buffer)).flags(flags);
        Op::on(to, send.build())
    }

    /// A zero-copy send of all of `buffer`.
    pub fn send_zero_copy(to: impl Into<Target>, buffer: Buffer) -> Op {
        Op::send_zero_copy_with(to, buffer, libc::MSG_NOSIGNAL)
    }

    /// A zero-copy send with exactly these `MSG_*` flags.
    pub fn send_zero_copy_with(to: impl Into<Target>, buffer: Buffer, flags: i32) -> Op {
        let to = to.into();
        let send = opcode::SendZc::new(to.fd, buffer.as_ptr(), length(buffer));
        Op::on(to, send.flags(flags).build())
    }

    /// One read at the current position.
    pub fn read(from: impl Into<Target>, buffer: Buffer) -> Op {
        Op::read_at(from, buffer, u64::MAX)
    }

    /// One read at `offset`.
    pub fn read_at(from: impl Into<Target>, buffer: Buffer, offset: u64) -> Op {
        let from = from.into();
        let read = opcode::Read::new(from.fd, buffer.as_ptr(), length(buffer)).offset(offset);
        Op::on(from, read.build())
    }

    /// One write at the current position.
    pub fn write(to: impl Into<Target>, buffer: Buffer) -> Op {
        let to = to.into();
        let write = opcode::Write::new(to.fd, buffer.as_ptr(), length(buffer)).offset(u64::MAX);
        Op::on(to, write.build())
    }

    /// One accept into the process's table, close-on-exec.
    pub fn accept(listener: impl Into<Target>) -> Op {
        let listener = listener.into();
        let accept = opcode::Accept::new(listener.fd, ptr::null_mut(), ptr::null_mut());
        Op::on(listener, accept.flags(libc::SOCK_CLOEXEC).build())
    }

    /// A multishot accept into the process's table, close-on-exec.
    pub fn accept_multi(listener: impl Into<Target>) -> Op {
        let listener = listener.into();
        let accept = opcode::AcceptMulti::new(listener.fd).flags(libc::SOCK_CLOEXEC);
        Op::on(listener, accept.build())
    }

    /// A multishot accept into free slots of the ring's table.
    pub fn accept_multi_direct(listener: impl Into<Target>) -> Op {
        let listener = listener.into();
        let accept = opcode::AcceptMulti::new(listener.fd).allocate_file_index(true);
        Op::on(listener, accept.build())
    }

    /// One accept into a free slot of the ring's table.
    pub fn accept_direct(listener: impl Into<Target>) -> Op {
        let listener = listener.into();
        let accept = opcode::Accept::new(listener.fd, ptr::null_mut(), ptr::null_mut())
            .file_index(Some(DestinationSlot::auto_target()));
        Op::on(listener, accept.build())
    }

    /// Connects to `address`.
    pub fn connect(socket: impl Into<Target>, address: SocketAddrV4) -> Op {
        let socket = socket.into();
        let address = Box::leak(Box::new(socket_address(address)));
        let connect = opcode::Connect::new(
            socket.fd,
            ptr::from_ref(address).cast(),
            libc::socklen_t::try_from(size_of_val(address)).expect("a small length"),
        );
        Op::on(socket, connect.build())
    }

    /// Waits once for any of `events`.
    pub fn poll(target: impl Into<Target>, events: libc::c_short) -> Op {
        let target = target.into();
        Op::on(target, opcode::PollAdd::new(target.fd, mask(events)).build())
    }

    /// Completes each time one of `events` is signalled.
    pub fn poll_multi(target: impl Into<Target>, events: libc::c_short) -> Op {
        let target = target.into();
        Op::on(target, opcode::PollAdd::new(target.fd, mask(events)).multi(true).build())
    }

    /// Closes a descriptor of the process.
    pub fn close(fd: OwnedFd) -> Op {
        Op(opcode::Close::new(Fd(fd.into_raw_fd())).build())
    }

    /// Empties a slot of the ring's table.
    pub fn close_slot(slot: Slot) -> Op {
        Op(opcode::Close::new(io_uring::types::Fixed(slot.0)).build())
    }

    /// Cancels the first submission with this user data.
    pub fn cancel(tag: u64) -> Op {
        Op(opcode::AsyncCancel::new(tag).build())
    }

    /// Cancels what `which` selects.
    pub fn cancel_matching(which: CancelBuilder) -> Op {
        Op(opcode::AsyncCancel2::new(which).build())
    }

    /// Cancels everything on the ring.
    pub fn cancel_everything() -> Op {
        Op::cancel_matching(CancelBuilder::any().all())
    }

    /// Completes after `after` with `ETIME`.
    pub fn timeout(after: Duration) -> Op {
        Op(opcode::Timeout::new(leaked(after)).build())
    }

    /// Removes a timeout.
    pub fn timeout_remove(tag: u64) -> Op {
        Op(opcode::TimeoutRemove::new(tag).build())
    }

    /// Moves a timeout to `after` from now.
    pub fn timeout_update(tag: u64, after: Duration) -> Op {
        Op(opcode::TimeoutUpdate::new(tag, leaked(after)).build())
    }

    /// Bounds the submission linked before it.
    pub fn link_timeout(after: Duration) -> Op {
        Op(opcode::LinkTimeout::new(leaked(after)).build())
    }

    /// Posts a completion with `tag` and `result` to another ring.
    pub fn message(ring: &impl AsRawFd, tag: u64, result: i32) -> Op {
        let ring = Fd(ring.as_raw_fd());
        Op(opcode::MsgRingData::new(ring, result, tag, None).build())
    }
}

fn length(buffer: Buffer) -> u32 {
    u32::try_from(buffer.size()).expect("a length fits the entry")
}

fn mask(events: libc::c_short) -> u32 {
    u32::from(events.unsigned_abs())
}

fn leaked(duration: Duration) -> *const Timespec {
    Box::leak(Box::new(Timespec::from(duration)))
}
