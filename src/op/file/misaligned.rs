//! The error of a direct transfer that is not aligned: the kernel says `EINVAL` and no more.

use std::io;
use std::os::fd::AsFd;

use super::fd::FileFd;
use crate::error::describe;
use crate::sys::direct_io::{alignment, is_direct};
use crate::sys::errno::EINVAL;

impl FileFd {
    /// Describes the error of a transfer of memory, given as addresses and lengths. If the file is
    /// open for direct I/O, and one of them or the offset is not aligned, the error says so. (A
    /// write whose place the kernel chooses has no offset.)
    #[cold]
    pub(super) fn transfer_error(
        &self,
        call: &str,
        error: io::Error,
        offset: Option<u64>,
        parts: impl Iterator<Item = (*const u8, usize)>,
    ) -> io::Error {
        let why = match error.raw_os_error() {
            Some(EINVAL) => self.misalignment(offset, parts),
            _ => None,
        };
        match why {
            Some(why) => describe(call, describe(why, error)),
            None => describe(call, error),
        }
    }

    /// What of a transfer is not aligned as direct I/O asks for.
    fn misalignment(
        &self,
        offset: Option<u64>,
        mut parts: impl Iterator<Item = (*const u8, usize)>,
    ) -> Option<String> {
        let fd = self.fd().ok()?.as_fd();
        let (memory, block) = is_direct(fd).then(|| alignment(fd).ok())??;
        let text = |what: &str, value: String, multiple: usize| {
            format!(
                "{what} {value} is not a multiple of {multiple}, which direct I/O on this file \
                 asks for (`File::direct_io_alignment`)"
            )
        };
        if let Some(offset) = offset.filter(|offset| offset % block as u64 != 0) {
            return Some(text("the offset", offset.to_string(), block));
        }
        parts.find_map(|(start, length)| {
            if length % block != 0 {
                return Some(text("the length", length.to_string(), block));
            }
            let is_aligned = start.addr() % memory == 0;
            (!is_aligned).then(|| text("the buffer's address", format!("{start:p}"), memory))
        })
    }
}
