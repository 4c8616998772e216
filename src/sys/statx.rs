//! What statx(2) tells of a file.

use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

use super::types;

/// What is asked for: what stat(2) tells, and the time of creation.
pub(crate) const BASIC: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

pub(crate) use libc::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK};

/// The kernel's answer.
#[derive(Clone, Copy)]
pub(crate) struct Statx(libc::statx);

impl Statx {
    /// Room for an answer, where an SQE can point to.
    pub(crate) fn room() -> Box<Self> {
        // SAFETY: all fields are integers.
        Box::new(unsafe { MaybeUninit::zeroed().assume_init() })
    }

    /// The room as an SQE carries it.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut types::statx {
        (&raw mut self.0).cast()
    }

    pub(crate) fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(crate) fn inode(&self) -> u64 {
        self.0.stx_ino
    }

    /// The number of the device, from its major and minor.
    pub(crate) fn device(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The number of the device that the file is.
    pub(crate) fn special_device(&self) -> u64 {
        libc::makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }

    pub(crate) fn links(&self) -> u32 {
        self.0.stx_nlink
    }

    pub(crate) fn user(&self) -> u32 {
        self.0.stx_uid
    }

    pub(crate) fn group(&self) -> u32 {
        self.0.stx_gid
    }

    /// The unit of transfers that serves best, in bytes.
    pub(crate) fn block_size(&self) -> u32 {
        self.0.stx_blksize
    }

    /// How many blocks of 512 bytes the file occupies.
    pub(crate) fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }

    pub(crate) fn accessed(&self) -> Timestamp {
        Timestamp::of(&self.0.stx_atime)
    }

    pub(crate) fn modified(&self) -> Timestamp {
        Timestamp::of(&self.0.stx_mtime)
    }

    pub(crate) fn changed(&self) -> Timestamp {
        Timestamp::of(&self.0.stx_ctime)
    }

    /// `None` if the file system does not tell.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        (self.0.stx_mask & libc::STATX_BTIME != 0).then(|| Timestamp::of(&self.0.stx_btime))
    }
}

/// A time since 1970, which may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Timestamp {
    fn of(timestamp: &libc::statx_timestamp) -> Self {
        Self { seconds: timestamp.tv_sec, nanoseconds: timestamp.tv_nsec }
    }

    /// `None` if this machine's clock cannot say it.
    pub(crate) fn system_time(self) -> Option<SystemTime> {
        let whole = Duration::from_secs(self.seconds.unsigned_abs());
        let second = match self.seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(whole),
            false => SystemTime::UNIX_EPOCH.checked_add(whole),
        };
        second?.checked_add(Duration::from_nanos(self.nanoseconds.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_counts_its_nanoseconds_forwards() {
        let time = Timestamp { seconds: -2, nanoseconds: 500_000_000 };
        let expected = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(time.system_time(), Some(expected));
        let time = Timestamp { seconds: 3, nanoseconds: 5 };
        let expected = SystemTime::UNIX_EPOCH + Duration::new(3, 5);
        assert_eq!(time.system_time(), Some(expected));
    }
}
