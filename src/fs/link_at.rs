//! Giving an open file a name.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::File;
use super::off_loop::change_off_loop;
use crate::error::Describe;
use crate::sys::file::link;

impl File {
    /// Gives the file a name more: one that was opened without
    /// ([`OpenOptions::temporary`](super::OpenOptions::temporary)) stays then.
    ///
    /// So a file appears under its name complete, and at once. To replace a file that exists, link
    /// to another name, and [`rename`](super::rename()). Waits for dropped writes first. A thread
    /// makes the call, which needs `/proc`.
    ///
    /// # Errors
    ///
    /// The kernel's: `AlreadyExists`, `CrossesDevices` for another file system, `NotFound` if the
    /// directory does not exist, or if the file had a name that has been removed. `InvalidInput`
    /// for a path with a zero byte.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may happen or not. Later operations of this file
    /// [wait for it](Self#dropped-writes).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::OpenOptions;
    ///
    /// annulus::run(async {
    ///     let directory = std::env::temp_dir();
    ///     let path = directory.join("annulus-link-at");
    ///     let file = OpenOptions::new().write(true).temporary(true).open(&directory).await?;
    ///     file.write_all_at("complete", 0).await.0?;
    ///     file.sync_all().await?;
    ///     file.link_at(&path).await?;
    ///     assert_eq!(std::fs::read(&path)?, b"complete");
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "linkat")]
    pub async fn link_at(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let linked = match CString::new(path.as_os_str().as_bytes()) {
            Ok(name) => change_off_loop(&self.file, move |fd| link(fd, &name)).await,
            Err(error) => Err(error.into()),
        };
        linked.describe(format_args!("link to {}", path.display()))
    }
}
