//! What the kernel is told of a file that it opens, and of a transfer.

pub(crate) use libc::{
    AT_FDCWD as CURRENT_DIRECTORY, O_ACCMODE, O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECT, O_DIRECTORY,
    O_DSYNC, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_SYNC, O_TMPFILE, O_TRUNC,
    O_WRONLY, RWF_APPEND,
};
