//! The entries of a directory, as getdents64(2) returns them: a buffer of records at a time.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many bytes of records one call reads: about a thousand entries.
const BYTES: usize = 32 * 1024;

/// Where the fields of `struct linux_dirent64` are.
const INODE: usize = 0;
const LENGTH: usize = 16;
const KIND: usize = 18;
const NAME: usize = 19;

/// Some of the entries of a directory, without `.` and `..`.
pub(crate) struct Entries {
    records: Vec<u8>,
    /// Where the next record begins.
    next: usize,
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) inode: u64,
    /// The type as bits of a mode (`S_IFMT`); zero where the file system does not tell.
    pub(crate) type_bits: u32,
    pub(crate) name: CString,
}

impl Entries {
    /// Reads the next entries of an open directory. `None` at its end. It may wait for a disk.
    pub(crate) fn read(directory: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let mut records = Vec::<u8>::with_capacity(BYTES);
        let (fd, start) = (directory.as_raw_fd(), records.as_mut_ptr());
        // SAFETY: the call writes at most `BYTES` bytes, which are the vector's.
        let count = unsafe { libc::syscall(libc::SYS_getdents64, fd, start, BYTES) };
        match usize::try_from(count) {
            Ok(0) => Ok(None),
            Ok(count) => {
                // SAFETY: the call has written `count` bytes, within the capacity.
                unsafe { records.set_len(count) };
                Ok(Some(Self { records, next: 0 }))
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                // A directory that has been removed has no entries.
                if error.raw_os_error() == Some(libc::ENOENT) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Begins again with the first entry of a directory.
    pub(crate) fn rewind(directory: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the call touches no memory.
        let position = unsafe { libc::lseek(directory.as_raw_fd(), 0, libc::SEEK_SET) };
        if position < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next record; `None` at the end, and if the kernel's records made no sense.
    fn next_record(&mut self) -> Option<Entry> {
        let record = self.records.get(self.next..)?;
        let length = u16::from_ne_bytes(record.get(LENGTH..KIND)?.try_into().ok()?);
        let record = record.get(..usize::from(length))?;
        let name = record.get(NAME..)?;
        let name = &name[..name.iter().position(|&byte| byte == 0)?];
        let inode = u64::from_ne_bytes(record.get(INODE..INODE + 8)?.try_into().ok()?);
        // `DT_*` are these bits, moved.
        let type_bits = u32::from(record[KIND]) << 12;
        self.next += record.len();
        Some(Entry { inode, type_bits, name: CString::new(name).ok()? })
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let entry = self.next_record()?;
            if !matches!(entry.name.to_bytes(), b"." | b"..") {
                return Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(inode: u64, kind: u8, name: &[u8]) -> Vec<u8> {
        let length = (NAME + name.len() + 1).next_multiple_of(8);
        let mut record = inode.to_ne_bytes().to_vec();
        record.extend(0_u64.to_ne_bytes());
        record.extend((length as u16).to_ne_bytes());
        record.push(kind);
        record.extend(name);
        record.resize(length, 0);
        record
    }

    #[test]
    fn records_are_read_one_after_the_other_without_the_directory_itself() {
        let records = [
            record(1, 4, b"."),
            record(7, 8, b"file"),
            record(2, 4, b".."),
            record(9, 4, b"a directory, and its name"),
            record(3, 0, b"\xff"),
        ];
        let entries = Entries { records: records.concat(), next: 0 };
        let entry = |inode, type_bits, name: &[u8]| {
            let name = CString::new(name).unwrap();
            Entry { inode, type_bits, name }
        };
        let expected = [
            entry(7, libc::S_IFREG, b"file"),
            entry(9, libc::S_IFDIR, b"a directory, and its name"),
            entry(3, 0, b"\xff"),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn records_that_make_no_sense_end_the_listing() {
        let mut cut_off = record(7, 8, b"file");
        cut_off.truncate(22);
        let mut endless = record(7, 8, b"file");
        endless[LENGTH..KIND].fill(0);
        for records in [vec![], vec![0], vec![0; 64], cut_off, endless] {
            assert_eq!(Entries { records, next: 0 }.next(), None);
        }
    }
}
