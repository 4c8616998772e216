//! Copies of what an SQE points to and the kernel copies at submission.
//!
//! From then on the operation may free or change it (`uring-sys-tests`, path_read_at_submit,
//! iovec_array_read_at_submit, sendmsg_header_read_at_submit, socket_address_read_at_submit). An
//! SQE that waits, behind a link or for its descriptor, is pointed to copies.

use std::ffi::{CStr, CString, c_char};
use std::mem;
use std::ptr;

use super::call::Call;
use crate::sys::opcode;

/// What a waiting SQE points to.
#[derive(Default)]
pub(super) struct Kept {
    paths: [Option<CString>; 2],
    segments: Vec<libc::iovec>,
    /// An address, `struct open_how`, or the control messages of a send.
    bytes: Vec<u64>,
    name: Vec<u64>,
    header: Option<Box<libc::msghdr>>,
}

/// Copies what a call points to, and points it to the copies. `None` where it points to nothing
/// that the operation may free.
pub(super) fn keep(call: &mut Call) -> Option<Box<Kept>> {
    if !points_to_passing_memory(call.sqe.opcode()) {
        return None;
    }
    let mut kept = Box::<Kept>::default();
    // SAFETY: the SQE has not been attempted or was just now, in the enter that took it: the
    // operation keeps all that it points to until that returns.
    unsafe {
        match call.sqe.opcode() {
            opcode::OpenAt::CODE | opcode::UnlinkAt::CODE | opcode::MkDirAt::CODE => {
                kept.first_path(call);
            }
            // Its second address is that of the result.
            opcode::Statx::CODE => kept.first_path(call),
            opcode::OpenAt2::CODE => {
                kept.first_path(call);
                kept.bytes = words(call.second_memory::<u8>(), call.sqe.length() as usize);
                call.sqe.set_offset(kept.bytes.as_ptr().expose_provenance() as u64);
            }
            opcode::RenameAt::CODE | opcode::LinkAt::CODE | opcode::SymlinkAt::CODE => {
                kept.first_path(call);
                let path = CStr::from_ptr(call.second_memory::<c_char>()).to_owned();
                call.sqe.set_offset(path.as_ptr().expose_provenance() as u64);
                kept.paths[1] = Some(path);
            }
            opcode::Readv::CODE | opcode::Writev::CODE => {
                let segments = call.memory::<libc::iovec>();
                kept.segments = copied(segments, call.sqe.length() as usize);
                call.sqe.set_address(kept.segments.as_ptr().expose_provenance() as u64);
            }
            opcode::Connect::CODE => {
                kept.bytes = words(call.memory::<u8>(), call.sqe.offset() as usize);
                call.sqe.set_address(kept.bytes.as_ptr().expose_provenance() as u64);
            }
            opcode::SendMsg::CODE => kept.message(call),
            _ => {}
        }
    }
    Some(kept)
}

fn points_to_passing_memory(code: u8) -> bool {
    // Not a list that is searched: each SQE that waits is asked for.
    matches!(
        code,
        opcode::OpenAt::CODE
            | opcode::UnlinkAt::CODE
            | opcode::MkDirAt::CODE
            | opcode::Statx::CODE
            | opcode::OpenAt2::CODE
            | opcode::RenameAt::CODE
            | opcode::LinkAt::CODE
            | opcode::SymlinkAt::CODE
            | opcode::Readv::CODE
            | opcode::Writev::CODE
            | opcode::Connect::CODE
            | opcode::SendMsg::CODE
    )
}

impl Kept {
    /// # Safety
    ///
    /// The call's memory is a path.
    unsafe fn first_path(&mut self, call: &mut Call) {
        // SAFETY: the caller's promise.
        let path = unsafe { CStr::from_ptr(call.memory::<c_char>()) }.to_owned();
        call.sqe.set_address(path.as_ptr().expose_provenance() as u64);
        self.paths[0] = Some(path);
    }

    /// # Safety
    ///
    /// The call's memory is a message header, whose parts are valid.
    unsafe fn message(&mut self, call: &mut Call) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut header = *call.memory::<libc::msghdr>();
            #[allow(clippy::unnecessary_cast, reason = "integers of 32 bits in some C libraries")]
            let (count, control) = (header.msg_iovlen as usize, header.msg_controllen as usize);
            self.segments = copied(header.msg_iov, count);
            self.name = words(header.msg_name.cast(), header.msg_namelen as usize);
            self.bytes = words(header.msg_control.cast(), control);
            header.msg_iov = self.segments.as_mut_ptr();
            if !header.msg_name.is_null() {
                header.msg_name = self.name.as_mut_ptr().cast();
            }
            if !header.msg_control.is_null() {
                header.msg_control = self.bytes.as_mut_ptr().cast();
            }
            let header = self.header.insert(Box::new(header));
            call.sqe.set_address(ptr::from_ref::<libc::msghdr>(header).expose_provenance() as u64);
        }
    }
}

/// A copy of an array.
///
/// # Safety
///
/// `start` points to `count` of them.
unsafe fn copied<T: Copy>(start: *const T, count: usize) -> Vec<T> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(start, count) }.to_vec()
}

/// A copy of bytes, aligned as the largest of what the kernel reads so.
///
/// # Safety
///
/// `start` points to `length` bytes.
unsafe fn words(start: *const u8, length: usize) -> Vec<u64> {
    let mut words = vec![0; length.div_ceil(mem::size_of::<u64>())];
    if length > 0 {
        // SAFETY: the caller's promise, and there is room for them.
        unsafe { words.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(start, length) };
    }
    words
}
