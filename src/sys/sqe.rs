//! A typed view of the 64 bytes of an SQE, for rings that interpret SQEs themselves.
//!
//! Operations write SQEs with the builders of the `io-uring` crate, whose `Entry` tells no more
//! than its opcode and user data. Its memory is `struct io_uring_sqe`, which is ABI. That the
//! builders and the kernel agree on these offsets is tested in `uring-sys-tests` (`sqe_layout`).
//!
//! Most fields share their bytes with others: which of them is meant depends on the opcode. The
//! accessors are named after what the fields mean to the operations that this library submits.

#[cfg(feature = "faults")]
use std::mem;
use std::mem::offset_of;
use std::ptr;

use super::{Submission, SubmissionFlags};

/// `SPLICE_F_FD_IN_FIXED`: a splice reads from a file slot.
const SPLICE_F_FD_IN_FIXED: u32 = 1 << 31;

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    /// `off`, `addr2`, `cmd_op`.
    offset: u64,
    /// `addr`, `splice_off_in`, `level` and `optname`.
    address: u64,
    length: u32,
    /// `msg_flags`, `accept_flags`, `poll32_events`, `cancel_flags`, `timeout_flags`, ...
    op_flags: u32,
    user_data: u64,
    /// `buf_index`, `buf_group`.
    buffer: u16,
    personality: u16,
    /// `file_index`, `splice_fd_in`, `addr_len`, `optlen`.
    file_index: u32,
    /// `addr3`, `optval`.
    address3: u64,
    _reserved: u64,
}

// The kernel's header says where each field is.
const _: () = {
    assert!(size_of::<Sqe>() == 64 && size_of::<Submission>() == 64);
    assert!(align_of::<Sqe>() == align_of::<Submission>());
    assert!(offset_of!(Sqe, opcode) == 0 && offset_of!(Sqe, flags) == 1);
    assert!(offset_of!(Sqe, ioprio) == 2 && offset_of!(Sqe, fd) == 4);
    assert!(offset_of!(Sqe, offset) == 8 && offset_of!(Sqe, address) == 16);
    assert!(offset_of!(Sqe, length) == 24 && offset_of!(Sqe, op_flags) == 28);
    assert!(offset_of!(Sqe, user_data) == 32 && offset_of!(Sqe, buffer) == 40);
    assert!(offset_of!(Sqe, personality) == 42 && offset_of!(Sqe, file_index) == 44);
    assert!(offset_of!(Sqe, address3) == 48);
};

/// What an SQE works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqeFile {
    /// A descriptor of the process; -1 where the operation needs none.
    Fd(i32),
    /// A file slot.
    FileSlot(u32),
}

impl Sqe {
    /// The fields of an SQE that a builder has written.
    pub(crate) fn of(submission: &Submission) -> &Self {
        // SAFETY: an `Entry` is a `struct io_uring_sqe`, which its crate does not promise: so size
        // and alignment are asserted above, and where the builders put each field is tested by the
        // contract test `sqe_layout`. All of its bytes are initialised, and any bytes are a valid
        // `Sqe`.
        unsafe { &*ptr::from_ref(submission).cast() }
    }

    /// As it is submitted.
    #[cfg(feature = "faults")]
    pub(crate) fn to_submission(self) -> Submission {
        // SAFETY: as above; and a `Submission` has no invariant that any SQE would break, as
        // pushing one is what is unsafe.
        unsafe { mem::transmute(self) }
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.opcode
    }

    pub(crate) fn file(&self) -> SqeFile {
        if self.has(SubmissionFlags::FIXED_FILE) {
            SqeFile::FileSlot(self.fd as u32)
        } else {
            SqeFile::Fd(self.fd)
        }
    }

    /// Whether a flag of SQEs (`IOSQE_*`) is set.
    pub(crate) fn has(&self, flag: SubmissionFlags) -> bool {
        self.flags & flag.bits() != 0
    }

    /// Flags of receives, sends and accepts that came after `op_flags` was taken
    /// (`IORING_RECV_MULTISHOT`, `IORING_ACCEPT_MULTISHOT`, ...).
    pub(crate) fn ioprio(&self) -> u16 {
        self.ioprio
    }

    /// The position in a file; of an accept and a connect the second address.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The memory that the operation reads or writes; of a cancel the user data of its target.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// The length of that memory; of a poll its own flags (`IORING_POLL_ADD_MULTI`).
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// The flags of the opcode: `MSG_*`, the events of a poll, ...
    pub(crate) fn op_flags(&self) -> u32 {
        self.op_flags
    }

    /// Points it to other memory.
    pub(crate) fn set_address(&mut self, address: u64) {
        self.address = address;
    }

    /// Sets its position, or its second address.
    pub(crate) fn set_offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    pub(crate) fn user_data(&self) -> u64 {
        self.user_data
    }

    /// The group of the provided buffers of which the kernel is to select one, if it is to.
    pub(crate) fn buffer_group(&self) -> Option<u16> {
        self.has(SubmissionFlags::BUFFER_SELECT).then_some(self.buffer)
    }

    /// The slot of registered memory that a fixed read or write uses.
    pub(crate) fn buffer_index(&self) -> u16 {
        self.buffer
    }

    /// What a cancel by file means.
    pub(crate) fn cancelled_file(&self, by_slot: bool) -> SqeFile {
        if by_slot { SqeFile::FileSlot(self.fd as u32) } else { SqeFile::Fd(self.fd) }
    }

    /// The length of the address of a send, if there is one.
    pub(crate) fn address_length(&self) -> u16 {
        self.file_index as u16
    }

    /// The options of a wait for a process.
    pub(crate) fn wait_options(&self) -> i32 {
        self.file_index as i32
    }

    /// The value of a socket's option that is set, as its address and length.
    pub(crate) fn option_value(&self) -> (u64, u32) {
        (self.address3, self.file_index)
    }

    /// What a splice reads from.
    pub(crate) fn splice_source(&self) -> SqeFile {
        if self.op_flags & SPLICE_F_FD_IN_FIXED != 0 {
            SqeFile::FileSlot(self.file_index)
        } else {
            SqeFile::Fd(self.file_index as i32)
        }
    }

    #[cfg(feature = "faults")]
    pub(crate) fn set_user_data(&mut self, user_data: u64) {
        self.user_data = user_data;
    }

    #[cfg(feature = "faults")]
    pub(crate) fn set_length(&mut self, length: u32) {
        self.length = length;
    }

    /// The file slot that the operation puts its new file into, or that a close closes.
    pub(crate) fn file_index(&self) -> Option<u32> {
        self.file_index.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::opcode;
    use crate::sys::types::{DestinationSlot, Fd, Fixed};

    #[test]
    fn a_view_of_an_sqe_says_what_its_builder_was_told() {
        let memory = 0x1234_5678_9abc_u64 as *mut u8;
        let recv = opcode::Recv::new(Fixed(7), memory, 99).flags(0x40).build();
        let recv = *Sqe::of(&recv.user_data(0x0123_4567_89ab_cdef));
        assert_eq!((recv.opcode(), recv.file()), (opcode::Recv::CODE, SqeFile::FileSlot(7)));
        assert_eq!((recv.address(), recv.length(), recv.op_flags()), (memory as u64, 99, 0x40));
        assert_eq!((recv.user_data(), recv.buffer_group()), (0x0123_4567_89ab_cdef, None));
        let select = opcode::Recv::new(Fd(5), memory, 0).buf_group(0xfedc).build();
        let select = *Sqe::of(&select.flags(SubmissionFlags::BUFFER_SELECT));
        assert_eq!((select.file(), select.buffer_group()), (SqeFile::Fd(5), Some(0xfedc)));
        let slot = DestinationSlot::try_from_slot_target(41).unwrap();
        let accept = opcode::Accept::new(Fd(5), memory.cast(), memory.cast());
        let accept = *Sqe::of(&accept.file_index(Some(slot)).build());
        assert_eq!((accept.file_index(), accept.offset()), (Some(41), memory as u64));
        let multishot = *Sqe::of(&opcode::RecvMulti::new(Fd(5), 0).build());
        assert_eq!((multishot.ioprio(), multishot.file_index()), (1 << 1, None));
    }
}
