//! Opens, and what is done to the names of files.

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Bench, chain, compare, portable};
use crate::sys::types::{Fd, OpenHow};
use crate::sys::{Submission, opcode};

const HERE: Fd = Fd(libc::AT_FDCWD);

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// An open of a path, which is leaked.
fn open(path: &Path, flags: i32) -> Submission {
    let path = c_path(path).into_raw();
    opcode::OpenAt::new(HERE, path).flags(flags | libc::O_CLOEXEC).mode(0o640).build()
}

/// Closes what was opened, and returns zero, or the error.
fn opened(result: i32) -> i32 {
    if result >= 0 {
        // SAFETY: the completion has just told of the descriptor.
        drop(unsafe { OwnedFd::from_raw_fd(result) });
    }
    result.min(0)
}

#[test]
fn files_are_opened_or_the_error_is_the_kernels() {
    compare(|bench| {
        let (file, missing) = (bench.path("file"), bench.path("missing/file"));
        let results = [
            (&file, libc::O_RDONLY),
            (&file, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY),
            (&file, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY),
            (&file, libc::O_RDONLY | libc::O_DIRECTORY),
            (&file, libc::O_RDWR),
            (&missing, libc::O_CREAT | libc::O_WRONLY),
        ]
        .map(|(path, flags)| opened(bench.result(open(path, flags))));
        let errors = [libc::ENOENT, 0, libc::EEXIST, libc::ENOTDIR, 0, libc::ENOENT];
        assert_eq!(results, errors.map(|errno| -errno));
        results
    });
}

#[test]
fn openat2_keeps_a_path_inside() {
    compare(|bench| {
        fs::create_dir(bench.path("inside")).unwrap();
        fs::write(bench.path("inside/file"), b"x").unwrap();
        let directory = fs::File::open(bench.path("inside")).unwrap();
        let fd = Fd(std::os::fd::AsRawFd::as_raw_fd(&directory));
        const BENEATH: u64 = 8;
        ["file", "../inside/file", "missing"].map(|path| {
            let path = c_path(Path::new(path));
            let how = OpenHow::new().flags(libc::O_RDONLY as u64).resolve(BENEATH);
            opened(bench.result(opcode::OpenAt2::new(fd, path.as_ptr(), &raw const how).build()))
        })
    });
}

#[test]
fn paths_are_made_linked_renamed_described_and_removed() {
    compare(|bench| {
        let [directory, file, hard, soft, other] =
            ["directory", "file", "hard", "soft", "other"].map(|name| c_path(&bench.path(name)));
        fs::write(bench.path("file"), b"12345").unwrap();
        let mut room = MaybeUninit::<libc::statx>::zeroed();
        let (file, directory) = (file.as_ptr(), directory.as_ptr());
        let stat = |room: &mut MaybeUninit<libc::statx>| {
            opcode::Statx::new(HERE, file, room.as_mut_ptr().cast())
                .mask(libc::STATX_SIZE | libc::STATX_NLINK)
                .build()
        };
        let results = bench.results(&chain([
            opcode::MkDirAt::new(HERE, directory).mode(0o700).build(),
            opcode::LinkAt::new(HERE, file, HERE, hard.as_ptr()).build(),
            opcode::SymlinkAt::new(HERE, file, soft.as_ptr()).build(),
            stat(&mut room),
            opcode::RenameAt::new(HERE, hard.as_ptr(), HERE, other.as_ptr()).build(),
            opcode::UnlinkAt::new(HERE, other.as_ptr()).build(),
            opcode::UnlinkAt::new(HERE, directory).flags(libc::AT_REMOVEDIR).build(),
        ]));
        assert_eq!(results, [0; 7]);
        // SAFETY: all zeroes are valid, and the kernel has written it.
        let stat = unsafe { room.assume_init() };
        assert_eq!((stat.stx_size, stat.stx_nlink), (5, 2));
        assert_eq!(fs::read(bench.path("soft")).unwrap(), b"12345");
        let exclusive = opcode::RenameAt::new(HERE, file, HERE, soft.as_ptr());
        let wrong = [
            opcode::UnlinkAt::new(HERE, other.as_ptr()).build(),
            opcode::MkDirAt::new(HERE, file).build(),
            opcode::LinkAt::new(HERE, other.as_ptr(), HERE, hard.as_ptr()).build(),
            opcode::SymlinkAt::new(HERE, file, soft.as_ptr()).build(),
            exclusive.flags(libc::RENAME_NOREPLACE).build(),
        ]
        .map(|sqe| bench.result(sqe));
        let errors = [libc::ENOENT, libc::EEXIST, libc::ENOENT, libc::EEXIST, libc::EEXIST];
        assert_eq!(wrong, errors.map(|errno| -errno));
        (results, wrong)
    });
}

/// The kernel's ring would open it without a writer, as it tries without waiting first.
#[test]
fn an_open_of_a_fifo_waits_for_its_other_end_and_keeps_no_thread_for_files() {
    let mut bench = portable();
    let (fifo, file) = (bench.path("fifo"), bench.path("file"));
    fs::write(&file, b"x").unwrap();
    // SAFETY: the path ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(c_path(&fifo).as_ptr(), 0o600) }, 0);
    // As many as there are threads for files.
    let opens: Vec<_> = (0..4).map(|_| open(&fifo, libc::O_RDONLY)).collect();
    bench.submit((0..).zip(opens));
    bench.submit([(100, open(&file, libc::O_RDONLY))]);
    let first = bench.outcomes(1);
    assert_eq!((first[0].0, opened(first[0].1)), (100, 0));
    let writer = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    let rest = bench.outcomes(4);
    assert!(rest.iter().all(|&(_, result)| opened(result) == 0), "{rest:?}");
    drop(writer);
}

#[test]
fn a_cancel_ends_an_open_of_a_fifo_that_waits_for_ever() {
    let mut bench = portable();
    let fifo = bench.path("fifo");
    // SAFETY: the path ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(c_path(&fifo).as_ptr(), 0o600) }, 0);
    for round in 0..20 {
        bench.submit([(7, open(&fifo, [libc::O_RDONLY, libc::O_WRONLY][round % 2]))]);
        (0..round * 1000).for_each(|_| std::hint::spin_loop());
        bench.submit([(8, opcode::AsyncCancel::new(7).build())]);
        let results = bench.outcomes(2);
        assert_eq!(results[0], (7, -libc::ECANCELED));
        assert!([0, -libc::EALREADY].contains(&results[1].1), "{results:?}");
    }
}

#[test]
fn of_all_operations_on_paths_only_an_open_that_fails_severs_its_chain() {
    compare(|bench| {
        let made = c_path(&bench.path("made"));
        let (missing, beyond) = (c_path(&bench.path("missing")), c_path(&bench.path("no/where")));
        let [made, missing, beyond] = [&made, &missing, &beyond].map(|path| path.as_ptr());
        let make = || opcode::MkDirAt::new(HERE, made).mode(0o700).build();
        let opened = bench.results(&chain([opcode::OpenAt::new(HERE, missing).build(), make()]));
        assert_eq!((&opened[..], exists(bench)), (&[-libc::ENOENT, -libc::ECANCELED][..], false));
        let failing = [
            opcode::UnlinkAt::new(HERE, missing).build(),
            opcode::RenameAt::new(HERE, missing, HERE, beyond).build(),
            opcode::LinkAt::new(HERE, missing, HERE, beyond).build(),
            opcode::SymlinkAt::new(HERE, missing, beyond).build(),
            opcode::MkDirAt::new(HERE, beyond).build(),
        ];
        for sqe in failing {
            let results = bench.results(&chain([sqe, make()]));
            assert_eq!((&results[..], exists(bench)), (&[-libc::ENOENT, 0][..], true));
            fs::remove_dir(bench.path("made")).unwrap();
        }
    });
}

fn exists(bench: &Bench) -> bool {
    bench.path("made").exists()
}
