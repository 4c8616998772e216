//! Files, as far as chains and the file table go; how they are read and written is tested beside
//! that.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use super::{compare, fd};
use crate::sys::types::{DestinationSlot, Fd, Fixed};
use crate::sys::{SubmissionFlags, opcode};

const LINK: SubmissionFlags = SubmissionFlags::IO_LINK;
const HARD: SubmissionFlags = SubmissionFlags::IO_HARDLINK;

#[test]
fn a_chain_opens_into_a_slot_reads_and_closes() {
    compare(|bench| {
        let path = CString::new(std::env::current_exe().unwrap().as_os_str().as_bytes()).unwrap();
        let mut bytes = [0; 4];
        let slot = DestinationSlot::try_from_slot_target(1).unwrap();
        let open = |path: &CString| {
            opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).file_index(Some(slot)).build()
        };
        let mut read = |length| opcode::Read::new(Fixed(1), bytes.as_mut_ptr(), length).build();
        let close = || opcode::Close::new(Fixed(1)).build();
        bench.run([(1, open(&path).flags(LINK)), (2, read(4).flags(HARD)), (3, close())]);
        let missing = CString::new("/nowhere").unwrap();
        bench.run([(4, open(&missing).flags(LINK)), (5, read(4).flags(HARD)), (6, close())]);
        assert_eq!(&bytes, b"\x7fELF");
    });
}

#[test]
fn a_short_read_severs_and_what_is_linked_hard_goes_on() {
    compare(|bench| {
        let file = std::fs::File::open("/proc/self/comm").unwrap();
        let mut bytes = [0; 64];
        let mut read = || opcode::Read::new(fd(&file), bytes.as_mut_ptr(), 64).offset(0).build();
        let nop = || opcode::Nop::new().build();
        bench.run([(1, read().flags(LINK)), (2, nop())]);
        bench.run([(3, read().flags(HARD)), (4, nop())]);
    });
}
