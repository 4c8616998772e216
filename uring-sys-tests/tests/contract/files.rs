//! Files for tests that need one; they leave nothing behind.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use uring_sys_tests::raw::{checked, owned};

/// A path in the directory for temporary files that no other test uses.
pub(crate) fn unused_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("uring-contract-{}-{number}", process::id()))
}

/// An empty file without a name.
pub(crate) fn unnamed_file() -> File {
    let path = unused_path();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = options.open(&path).expect("make a file");
    std::fs::remove_file(&path).expect("remove the file's name");
    file
}

/// An empty file that lives in memory alone.
pub(crate) fn memory_file() -> File {
    // SAFETY: the name is a C string, read before the call returns.
    let fd = unsafe { libc::memfd_create(c"contract".as_ptr(), libc::MFD_CLOEXEC) };
    File::from(owned(checked(fd.into()).expect("make a file in memory")))
}
