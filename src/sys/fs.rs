//! What open(2) is told.

pub(crate) use libc::{
    AT_FDCWD as CURRENT_DIRECTORY, O_CLOEXEC, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY,
};
