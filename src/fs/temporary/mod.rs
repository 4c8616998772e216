//! Files and directories that are removed when they are dropped.
//!
//! A drop must not wait for a disk, so a thread removes them, and a task awaits that
//! (`removal`). The end of the runtime waits for these tasks, as it does for shielded work.

mod dir;
mod file;
mod removal;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, absolute};

pub use dir::TempDir;
pub use file::{PersistError, TempFile};

use self::removal::{Kind, TempPath};
use super::path::on_thread;

/// How many names are tried. Another process would have to know them to take them all.
const TRIES: u32 = 1000;

/// Creates something under a name that does not exist yet, in a directory, on a thread: if no
/// future takes it, it is removed there.
async fn create_new<T: Send + 'static>(
    directory: &Path,
    kind: Kind,
    create: impl Fn(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<(T, TempPath)> {
    let directory_of = directory.to_owned();
    on_thread(format_args!("create a temporary {kind} in {}", directory.display()), move || {
        // It is removed later, when the working directory may be another one.
        let directory = absolute(directory_of)?;
        let mut tries = 0;
        loop {
            tries += 1;
            // Its keys are random, by the kernel's generator, and others each time.
            let random = RandomState::new().build_hasher().finish();
            let path = directory.join(format!(".tmp{random:016x}"));
            match create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
                result => return Ok((result?, TempPath::new(path, kind))),
            }
        }
    })
    .await
}
