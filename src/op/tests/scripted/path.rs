//! Paths: what an SQE says, what is repeated, and what a dropped operation keeps.

use std::ffi::CStr;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;

use super::*;
use crate::op::{Change, FileFd, OpenWithin, Stat};
use crate::sys::SqeFile;
use crate::sys::errno::{EAGAIN, EEXIST, EINTR, ENOSYS, ENXIO, EXDEV};
use crate::sys::paths::PathAt;
use crate::sys::resolve::{RESOLVE_BENEATH, RESOLVE_CACHED};

const OPEN: u8 = opcode::OpenAt2::CODE;
const STATX: u8 = opcode::Statx::CODE;

fn at(path: &CStr) -> PathAt {
    PathAt::new(path.to_owned())
}

fn open_within(bench: &Bench, resolve: u64) -> Op<OpenWithin> {
    let directory = Arc::new(some_fd());
    let at = PathAt::beneath(directory, c"a/name".to_owned());
    Op::new(&bench.driver, OpenWithin::new(at, 0, 0o600, resolve))
}

/// What an SQE's address points to.
fn path_of(sqe: &Sqe) -> &CStr {
    // SAFETY: the operation that wrote the SQE keeps its path.
    unsafe { CStr::from_ptr(sqe.address() as *const std::ffi::c_char) }
}

#[test]
fn a_change_names_its_paths_and_its_errors_say_what_was_to_be_done() {
    let bench = Bench::new();
    let changes = [
        (Change::CreateDirectory { at: at(c"a"), mode: 0o700 }, "create directory a"),
        (Change::RemoveFile(at(c"a")), "remove file a"),
        (Change::RemoveDirectory(at(c"a")), "remove directory a"),
        (Change::Rename { from: at(c"a"), to: at(c"b"), flags: 1 }, "rename a to b"),
        (Change::HardLink { from: at(c"a"), to: at(c"b") }, "link a to b"),
        (Change::SymbolicLink { target: c"a".into(), at: at(c"b") }, "create symbolic link b"),
    ];
    for (nth, (change, doing)) in changes.into_iter().enumerate() {
        let mut change = Op::new(&bench.driver, change);
        bench.start(&mut change);
        assert_eq!(path_of(&bench.taken(nth)), c"a", "{doing}");
        bench.complete(nth, -EEXIST);
        let error = bench.end(&mut change).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{doing}: ")), "{error}");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }
    assert_eq!(bench.taken(0).length(), 0o700, "the mode");
    assert_eq!(bench.taken(1).op_flags(), 0);
    assert_ne!(bench.taken(2).op_flags(), 0, "of a directory");
    assert_eq!(bench.taken(3).op_flags(), 1, "the flags of the renaming");
}

/// A worker that a signal has interrupted, perhaps that of another operation's cancel.
#[test]
fn an_interrupted_change_is_repeated() {
    let bench = Bench::new();
    let mut change = Op::new(&bench.driver, Change::RemoveFile(at(c"a")));
    bench.start(&mut change);
    bench.advance(&mut change, 0, -EINTR);
    bench.complete(1, 0);
    bench.end(&mut change).unwrap();
}

/// The kernel may write the answer until the completion, and looks names up in the directory.
#[test]
fn a_dropped_operation_keeps_its_directory_until_it_has_completed() {
    let bench = Bench::new();
    let directory = Arc::new(some_fd());
    let below = || PathAt::beneath(Arc::clone(&directory), c"name".to_owned());
    bench.start_and_drop(Op::new(&bench.driver, Stat::of_path(below(), true)));
    bench.start_and_drop(Op::new(&bench.driver, Change::RemoveFile(below())));
    bench.start_and_drop(Op::new(&bench.driver, OpenWithin::new(below(), 0, 0, 0)));
    assert_eq!(Arc::strong_count(&directory), 4);
    assert_eq!(bench.taken(0).file(), SqeFile::Fd(directory.as_raw_fd()));
    // Each is followed by its cancel.
    for nth in [0, 2, 4] {
        bench.complete(nth, -ENOSYS);
    }
    assert_eq!(Arc::strong_count(&directory), 1);
    let file = Rc::new(FileFd::new(&bench.driver, some_fd()));
    bench.start_and_drop(Op::new(&bench.driver, Stat::of_file(&file).unwrap()));
    assert_eq!((Rc::strong_count(&file), bench.opcodes()[6]), (2, STATX));
    bench.complete(6, 0);
    assert_eq!(Rc::strong_count(&file), 1);
}

#[test]
fn an_open_that_directories_on_the_move_have_disturbed_is_repeated_and_not_for_ever() {
    let bench = Bench::new();
    let mut open = open_within(&bench, RESOLVE_BENEATH);
    bench.start(&mut open);
    for nth in 0..127 {
        bench.advance(&mut open, nth, -EAGAIN);
    }
    bench.complete(127, -EAGAIN);
    let error = bench.end(&mut open).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(error.to_string().contains("renamed all the time"), "{error}");
    assert_eq!(bench.opcodes(), [OPEN; 128]);
}

#[test]
fn an_open_of_what_is_not_cached_is_not_repeated_where_it_must_be_cached() {
    let bench = Bench::new();
    let mut open = open_within(&bench, RESOLVE_BENEATH | RESOLVE_CACHED);
    bench.start(&mut open);
    bench.complete(0, -EAGAIN);
    let error = bench.end(&mut open).unwrap_err();
    assert_eq!((error.kind(), bench.opcodes().len()), (ErrorKind::WouldBlock, 1));
    assert!(!error.to_string().contains("renamed"), "{error}");
}

#[test]
fn an_open_that_is_refused_says_by_what() {
    let bench = Bench::new();
    for (nth, (errno, text)) in
        [(EXDEV, "open a/name: "), (ENOSYS, "openat2, which keeps a path inside, is not allowed")]
            .into_iter()
            .enumerate()
    {
        let mut open = open_within(&bench, RESOLVE_BENEATH);
        bench.start(&mut open);
        bench.complete(nth, -errno);
        let error = bench.end(&mut open).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(crate::error::raw_os_error(&error), Some(errno));
    }
}

#[test]
fn an_open_of_a_fifo_without_a_reader_waits_on_a_worker() {
    let bench = Bench::new();
    let mut open = open_within(&bench, RESOLVE_BENEATH);
    bench.start(&mut open);
    bench.advance(&mut open, 0, -ENXIO);
    assert!(bench.taken(1).has(crate::sys::SubmissionFlags::ASYNC));
    bench.complete(1, -ENXIO);
    assert_eq!(errno(bench.end(&mut open)), Some(ENXIO));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn what_was_opened_for_a_dropped_future_is_closed() {
    let bench = Bench::new();
    let (near, mut far) = UnixStream::pair().unwrap();
    bench.start_and_drop(open_within(&bench, RESOLVE_BENEATH));
    bench.complete(0, near.into_raw_fd());
    assert_eq!(far.read(&mut [0]).unwrap(), 0, "it is closed");
}
