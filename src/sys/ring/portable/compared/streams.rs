//! Pipes, terminals and sockets, by the opcodes of files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::{chain, compare, portable};
use crate::sys::types::Fd;
use crate::sys::{Submission, opcode, pipe};

const AT_POSITION: u64 = u64::MAX;

fn read(fd: RawFd, target: &mut [u8]) -> Submission {
    let (start, length) = (target.as_mut_ptr(), target.len() as u32);
    opcode::Read::new(Fd(fd), start, length).offset(AT_POSITION).build()
}

fn write(fd: RawFd, bytes: &[u8]) -> Submission {
    let (start, length) = (bytes.as_ptr(), bytes.len() as u32);
    opcode::Write::new(Fd(fd), start, length).offset(AT_POSITION).build()
}

#[test]
fn a_read_of_a_pipe_waits_for_bytes_and_ends_at_eof() {
    compare(|bench| {
        [pipe::Waits::Yes, pipe::Waits::No].map(|waits| {
            let (reader, writer) = pipe::pair(waits).unwrap();
            let mut writer = File::from(writer);
            let (mut first, mut second) = ([0_u8; 8], [0_u8; 8]);
            bench.submit([(0, read(reader.as_raw_fd(), &mut first))]);
            writer.write_all(b"hello").unwrap();
            let waited = bench.outcomes(1);
            // The offset of what has no positions is ignored.
            let at_zero = read(reader.as_raw_fd(), &mut second);
            drop(writer);
            let ended = bench.result(at_zero);
            assert_eq!((waited[0].1, ended, &first), (5, 0, b"hello\0\0\0"));
            (waited, ended)
        })
    });
}

#[test]
fn a_position_in_what_has_none_is_ignored() {
    compare(|bench| {
        let (reader, writer) = io::pipe().unwrap();
        let mut target = [0_u8; 8];
        let fds = (Fd(reader.as_raw_fd()), Fd(writer.as_raw_fd()));
        let written =
            bench.result(opcode::Write::new(fds.1, b"abc".as_ptr(), 3).offset(77).build());
        let target = target.as_mut_ptr();
        (written, bench.result(opcode::Read::new(fds.0, target, 8).offset(5).build()))
    });
}

#[test]
fn a_read_for_more_than_a_pipe_has_severs_its_chain() {
    compare(|bench| {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"hello").unwrap();
        let mut target = [0_u8; 8];
        let read = read(reader.as_raw_fd(), &mut target);
        let results = bench.results(&chain([read, opcode::Nop::new().build()]));
        assert_eq!(results, [5, -libc::ECANCELED]);
        results
    });
}

#[test]
fn bytes_of_a_socket_are_read_and_written_by_the_opcodes_of_files() {
    compare(|bench| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut target = [0_u8; 8];
        bench.submit([(0, read(ours.as_raw_fd(), &mut target))]);
        theirs.write_all(b"hi").unwrap();
        let received = bench.outcomes(1);
        let sent = bench.result(write(ours.as_raw_fd(), b"there"));
        let mut answer = [0_u8; 5];
        theirs.read_exact(&mut answer).unwrap();
        assert_eq!((received[0].1, sent, &answer), (2, 5, b"there"));
        (received, sent)
    });
}

/// The kernel's ring raises it here, as a write(2) does.
#[test]
fn a_write_to_a_broken_pipe_fails_without_a_signal() {
    let mut before = std::mem::MaybeUninit::uninit();
    // SAFETY: the calls read and write one action each.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGPIPE, &raw const action, before.as_mut_ptr());
    }
    let mut bench = portable();
    for waits in [pipe::Waits::Yes, pipe::Waits::No] {
        let (reader, writer) = pipe::pair(waits).unwrap();
        drop(reader);
        assert_eq!(bench.result(write(writer.as_raw_fd(), b"x")), -libc::EPIPE);
    }
    // SAFETY: as above.
    unsafe { libc::sigaction(libc::SIGPIPE, before.as_ptr(), std::ptr::null_mut()) };
}

#[test]
fn a_write_to_a_full_pipe_waits_for_room_and_writes_what_fits() {
    compare(|bench| {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = File::from(OwnedFd::from(writer));
        let bytes = vec![7; 200_000];
        let first = bench.result(write(writer.as_raw_fd(), &bytes));
        bench.submit([(0, write(writer.as_raw_fd(), &bytes))]);
        let mut part = vec![0; 8192];
        reader.read_exact(&mut part).unwrap();
        let second = bench.outcomes(1);
        assert!(second[0].1 > 0 && second[0].1 <= 8192, "{second:?}");
        (first, second)
    });
}

/// A pseudoterminal: the kernel has no reads of it that do not wait.
#[test]
fn a_read_of_a_terminal_waits_for_a_line() {
    compare(|bench| {
        let (mut master, terminal) = terminal();
        let mut target = [0_u8; 16];
        bench.submit([(0, read(terminal.as_raw_fd(), &mut target))]);
        master.write_all(b"a line\n").unwrap();
        let results = bench.outcomes(1);
        assert_eq!((results[0].1, &target[..7]), (7, &b"a line\n"[..]));
        results
    });
}

fn terminal() -> (File, OwnedFd) {
    use std::os::fd::FromRawFd;
    let (mut master, mut terminal) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: the call writes two descriptors, which nothing else owns.
    unsafe {
        let result =
            libc::openpty(&raw mut master, &raw mut terminal, none, none.cast(), none.cast());
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        (File::from(OwnedFd::from_raw_fd(master)), OwnedFd::from_raw_fd(terminal))
    }
}
