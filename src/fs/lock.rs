//! Locks of files against other open files of the same path: flock(2), as in the standard library.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use super::File;
use super::file_lock::FileLock;
use crate::error::Describe;
use crate::sys::file::{LockKind, try_lock, unlock};

/// Why a file could not be locked at once.
#[derive(Debug)]
pub enum TryLockError {
    /// The lock failed.
    Error(io::Error),
    /// Another open file has a lock that excludes this one.
    WouldBlock,
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::WouldBlock => f.write_str("flock: the file is locked by another open file"),
        }
    }
}

impl Error for TryLockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Error(error) => error.source(),
            Self::WouldBlock => None,
        }
    }
}

impl From<TryLockError> for io::Error {
    fn from(error: TryLockError) -> Self {
        match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, error),
        }
    }
}

impl File {
    /// Locks the file, and waits until no other open file has a lock.
    ///
    /// The lock is that of the standard library: advisory, of the whole file (flock(2)), and of
    /// this open file. It excludes every other open file of the same path, in this process and in
    /// others, but not the clones of this one. It is released by [`unlock`](Self::unlock), or when
    /// the file and its clones are closed. A file that has a shared lock already gets this one
    /// instead, and may have neither meanwhile.
    ///
    /// A thread waits for the lock: the ring has no operation for it. Each file that waits has its
    /// own thread, so that none waits for the lock of another file.
    ///
    /// # Errors
    ///
    /// The kernel's; the system's if it starts no thread.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the file without a lock. The thread cannot be stopped: it releases the
    /// lock as soon as it gets it, unless the next call of this method has taken over its wait.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::{File, TryLockError};
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-lock");
    ///     let file = File::create(&path).await?;
    ///     file.lock().await?;
    ///     let other = File::open(&path).await?;
    ///     assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    ///     file.unlock().await?;
    ///     other.try_lock()?;
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "flock")]
    #[doc(alias = "lock_exclusive")]
    pub async fn lock(&self) -> io::Result<()> {
        self.wait_for_lock(LockKind::Exclusive).await
    }

    /// Locks the file, and waits until no other open file has an exclusive lock.
    ///
    /// Otherwise like [`lock`](Self::lock).
    ///
    /// # Errors
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Panics
    ///
    /// As for [`lock`](Self::lock).
    ///
    /// # Cancel safety
    ///
    /// As for [`lock`](Self::lock).
    pub async fn lock_shared(&self) -> io::Result<()> {
        self.wait_for_lock(LockKind::Shared).await
    }

    async fn wait_for_lock(&self, kind: LockKind) -> io::Result<()> {
        let FileLock { queue, request } = &**self.file_lock();
        let _alone = queue.lock().await;
        poll_fn(|context| request.poll_free(Some(kind), context)).await;
        request.begin(kind, &self.file)?.await.describe("flock")
    }

    /// Locks the file if no other open file has a lock.
    ///
    /// It is a direct call, which does not wait for the lock. (On a network file system it waits
    /// for the answer of the server.)
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if another open file has a lock, or a [`lock`](Self::lock) of
    /// this file waits for one, also a dropped one.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.lock_now(LockKind::Exclusive)
    }

    /// Locks the file if no other open file has an exclusive lock.
    ///
    /// Otherwise like [`try_lock`](Self::try_lock).
    ///
    /// # Errors
    ///
    /// As for [`try_lock`](Self::try_lock).
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.lock_now(LockKind::Shared)
    }

    fn lock_now(&self, kind: LockKind) -> Result<(), TryLockError> {
        if self.file_lock().request.is_pending() {
            return Err(TryLockError::WouldBlock);
        }
        let locked = self.file.fd().and_then(|fd| try_lock(fd, kind));
        locked.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => TryLockError::WouldBlock,
            _ => TryLockError::Error(crate::error::describe("flock", error)),
        })
    }

    /// Releases the lock, once dropped writes are over: who gets the lock next does not meet them.
    ///
    /// It is a direct call, which does not wait for a disk. (On a network file system it waits for
    /// the answer of the server.)
    ///
    /// # Errors
    ///
    /// The kernel's. A file that has no lock is none.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file may be locked still.
    pub async fn unlock(&self) -> io::Result<()> {
        poll_fn(|context| self.file.poll_writes_drained(context)).await;
        unlock(self.file.fd()?).describe("flock")
    }

    /// What this file shares with its clones.
    pub(super) fn file_lock(&self) -> &Rc<FileLock> {
        self.lock.get_or_init(Rc::default)
    }
}
