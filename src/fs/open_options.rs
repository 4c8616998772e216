//! How a file is opened.

use std::ffi::CString;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::File;
use crate::driver::FileSlot;
use crate::error::describe;
use crate::op::{Op, Open, OpenDirect};
use crate::runtime::context;
use crate::sys::fs::{
    O_ACCMODE, O_APPEND, O_CREAT, O_DIRECT, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR, O_SYNC, O_TMPFILE,
    O_TRUNC, O_WRONLY,
};

/// How a file is opened: the options of the standard library, and those of Linux.
///
/// The methods that both have mean the same, and the same combinations are refused. Files are not
/// inherited by other programs (`O_CLOEXEC`).
///
/// # Example
///
/// ```
/// use annulus::fs::{File, OpenOptions};
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-open-options");
///     let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
///     file.write_all_at("text", 0).await.0?;
///     let again = OpenOptions::new().write(true).create_new(true).open(&path).await;
///     assert_eq!(again.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
///     std::fs::remove_file(path)
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    temporary: bool,
    direct: bool,
    sync: bool,
    data_sync: bool,
    direct_descriptor: bool,
    /// Flags that are given to the kernel as they are.
    custom_flags: i32,
    mode: u32,
}

impl OpenOptions {
    /// Creates options with which nothing is allowed yet: at least one of [`read`](Self::read),
    /// [`write`](Self::write) and [`append`](Self::append) must be set.
    #[expect(clippy::new_without_default, reason = "as in the standard library")]
    pub fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            temporary: false,
            direct: false,
            sync: false,
            data_sync: false,
            direct_descriptor: false,
            custom_flags: 0,
            mode: 0o666,
        }
    }

    /// Sets whether the file can be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Sets whether the file can be written to.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Sets whether every write goes to the end of the file (`O_APPEND`).
    ///
    /// The kernel finds the end anew for each write, so that writes of several processes do not
    /// overwrite each other. **An offset is ignored then:** [`File::write_at`] appends, too. A file
    /// without this option can append by [`File::append`].
    #[doc(alias = "O_APPEND")]
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Sets whether an existing file is made empty. It must be writable.
    #[doc(alias = "O_TRUNC")]
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Sets whether a file that does not exist is created. It must be writable.
    #[doc(alias = "O_CREAT")]
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Sets whether the file must be created by this call: one that exists, also as a symbolic link
    /// to nowhere, is an error. [`create`](Self::create) and [`truncate`](Self::truncate) are
    /// ignored then.
    #[doc(alias = "O_EXCL")]
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Sets the permissions of a file that is created, by default `0o666`. The process's umask is
    /// taken off them.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Sets further flags of open(2), such as `libc::O_NOFOLLOW`.
    ///
    /// They replace those of an earlier call. The access mode (`O_RDONLY` and its kin) is ignored.
    ///
    /// With `O_NONBLOCK`, a read that would have to wait fails with `WouldBlock`.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags & !O_ACCMODE;
        self
    }

    /// Sets whether transfers go past the page cache (`O_DIRECT`).
    ///
    /// Offsets, lengths and the addresses of buffers must then be multiples of what the file system
    /// and the device need, usually of 512 or 4096 bytes; others fail with `InvalidInput`. File
    /// systems that have no such transfers fail to open the file, with `InvalidInput`.
    #[doc(alias = "O_DIRECT")]
    pub fn direct(&mut self, direct: bool) -> &mut Self {
        self.direct = direct;
        self
    }

    /// Sets whether a write returns only when data and metadata are durable (`O_SYNC`).
    ///
    /// It is as if [`File::sync_all`] followed each write.
    #[doc(alias = "O_SYNC")]
    pub fn sync(&mut self, sync: bool) -> &mut Self {
        self.sync = sync;
        self
    }

    /// Sets whether a write returns only when its data is durable (`O_DSYNC`).
    ///
    /// It is as if [`File::sync_data`] followed each write.
    #[doc(alias = "O_DSYNC")]
    pub fn data_sync(&mut self, data_sync: bool) -> &mut Self {
        self.data_sync = data_sync;
        self
    }

    /// Sets whether the file becomes a direct descriptor: a slot of the ring's file table, of which
    /// [`Builder::direct_descriptors`](crate::Builder::direct_descriptors) sets the number.
    ///
    /// The kernel looks it up faster than a descriptor of the process, most of all in a process
    /// with several threads, and it counts neither against the limit of descriptors nor takes a
    /// number that is found by others. Where no slot is free, or the ring has none, the file gets
    /// an ordinary descriptor
    /// ([`Metrics::direct_descriptor_misses`](crate::Metrics::direct_descriptor_misses)).
    ///
    /// What has no ring operation makes a descriptor of the process for it, once, which is then
    /// kept beside the slot: [`as_fd`](std::os::fd::AsFd::as_fd), and the methods whose
    /// documentation calls them direct or on a thread. Beyond its runtime such a file is closed.
    #[doc(alias = "IORING_FILE_INDEX_ALLOC")]
    pub fn direct_descriptor(&mut self, direct_descriptor: bool) -> &mut Self {
        self.direct_descriptor = direct_descriptor;
        self
    }

    /// Sets whether a file without a name is created (`O_TMPFILE`): the path that is opened is the
    /// directory whose file system holds it.
    ///
    /// The file is gone when it is closed, also by a crash, unless it has been given a name
    /// ([`File::link_at`]). It must be writable. [`create`](Self::create),
    /// [`create_new`](Self::create_new) and [`truncate`](Self::truncate) are refused together with
    /// it. File systems that have no such files fail with `Unsupported`.
    #[doc(alias = "O_TMPFILE")]
    pub fn temporary(&mut self, temporary: bool) -> &mut Self {
        self.temporary = temporary;
        self
    }

    /// Opens a file.
    ///
    /// The kernel opens a file whose directories are cached at once, and else on a worker, as it
    /// does whenever a file is created or truncated.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `NotFound`, `PermissionDenied` or `IsADirectory`; `InvalidInput` for
    /// a path with a zero byte, and for options that contradict each other.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what has been opened is closed. A file may have been created or emptied, or may be
    /// so a little later.
    pub fn open<P: AsRef<Path>>(&self, path: P) -> impl Future<Output = io::Result<File>> + use<P> {
        let (arguments, is_direct) = (self.kernel_arguments(), self.direct_descriptor);
        async move {
            let path = path.as_ref();
            // Not before an error: the text is allocated.
            let failed = |error| describe(format!("open {}", path.display()), error);
            let (flags, mode) = arguments.map_err(failed)?;
            let driver = context::driver();
            let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
            let open = Open::new(name.map_err(failed)?, flags, mode);
            let slot = if is_direct { FileSlot::alloc(&driver) } else { None };
            if let Some(slot) = slot {
                let opened = Op::new(&driver, OpenDirect::new(open, slot)).await;
                return Ok(File::opened(&driver, opened.map_err(failed)?, flags));
            }
            let fd = Op::new(&driver, open).await.map_err(failed)?;
            Ok(File::opened(&driver, fd, flags))
        }
    }

    /// The flags and the mode of open(2), without `O_CLOEXEC`, which the operation adds.
    pub(super) fn kernel_arguments(&self) -> io::Result<(i32, u32)> {
        let refused = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        let access = match (self.read, self.write, self.append) {
            (true, false, false) => O_RDONLY,
            (false, true, false) => O_WRONLY,
            (true, true, false) => O_RDWR,
            (false, _, true) => O_WRONLY | O_APPEND,
            (true, _, true) => O_RDWR | O_APPEND,
            (false, false, false) => {
                return refused("the file is neither to be read nor to be written to; set one");
            }
        };
        let is_created = self.create || self.create_new;
        if access == O_RDONLY && (is_created || self.truncate || self.temporary) {
            return refused("a file that is created or truncated must be writable; set `write`");
        }
        if self.append && self.truncate && !self.create_new {
            return refused("a file to append to cannot be truncated; truncate it, then append");
        }
        let creation = match (self.create, self.truncate, self.create_new) {
            _ if self.temporary && (is_created || self.truncate) => {
                return refused("a temporary file is always new; remove `create` and `truncate`");
            }
            _ if self.temporary => O_TMPFILE,
            (false, false, false) => 0,
            (true, false, false) => O_CREAT,
            (false, true, false) => O_TRUNC,
            (true, true, false) => O_CREAT | O_TRUNC,
            (_, _, true) => O_CREAT | O_EXCL,
        };
        let named = [(self.direct, O_DIRECT), (self.sync, O_SYNC), (self.data_sync, O_DSYNC)];
        let named = named.into_iter().filter(|&(is_set, _)| is_set);
        let flags = named.fold(self.custom_flags, |flags, (_, flag)| flags | flag);
        Ok((access | creation | flags, self.mode))
    }
}
