//! Paths on their way to the kernel, and the two ways there: the ring, or a thread.

use std::ffi::CString;
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::blocking::to_thread;
use crate::error::Describe;
use crate::op::{Change, Op};
use crate::runtime::context;
use crate::sys::paths::PathAt;

/// The bytes of a path, with the zero byte that ends it. Fails if there is one inside; the error
/// says what was to be done.
pub(super) fn c_path(path: &Path, doing: &str) -> io::Result<CString> {
    let bytes = path.as_os_str().as_bytes();
    let describe = |error: io::Error| Err(error).describe(format_args!("{doing} {path:?}"));
    CString::new(bytes).map_err(io::Error::from).or_else(describe)
}

/// A path of the process, absolute or relative to the working directory.
pub(super) fn path_at(path: &Path, doing: &str) -> io::Result<PathAt> {
    c_path(path, doing).map(PathAt::new)
}

/// Changes a directory.
pub(super) async fn change(change: Change) -> io::Result<()> {
    let driver = context::driver();
    if change.is_on_ring(&driver) {
        Op::new(&driver, change).await
    } else {
        to_thread(move || change.run()).await?
    }
}

/// Does on a thread what the ring has no operation for.
pub(super) async fn on_thread<T: Send + 'static>(
    doing: impl Display,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    to_thread(work).await?.describe(doing)
}
