//! The form of a record in the file, and where the records of a file end.

use std::io::{self, BufRead, Read};

/// What is in front of the bytes of a record: their number, and a checksum.
const HEADER: usize = 4 + CHECKSUM;
const CHECKSUM: usize = 12;

/// The largest record, in bytes.
pub(crate) const MAX_RECORD: usize = 16 << 20;

/// Appends a record that begins at an offset of the file.
pub(crate) fn encode(offset: u64, payload: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    into.extend_from_slice(&checksum(offset, payload));
    into.extend_from_slice(payload);
}

/// Of the record's place, too: bytes of an older log do not pass for a record.
fn checksum(offset: u64, payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&offset.to_le_bytes()).update(payload);
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    checksum
}

/// The records of a file that are whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) records: u64,
    /// Where the last of them ends, in bytes.
    pub(crate) end: u64,
}

/// Reads records until the end of the file, or until the first that is torn or damaged.
pub(crate) fn scan(mut log: impl BufRead) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut payload = Vec::new();
    while let Some(length) = next(&mut log, whole.end, &mut payload)? {
        whole.records += 1;
        whole.end += (HEADER + length) as u64;
    }
    Ok(whole)
}

/// Reads the record at an offset, and returns its length, if it is whole.
fn next(log: &mut impl Read, offset: u64, payload: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut header = Vec::with_capacity(HEADER);
    log.take(HEADER as u64).read_to_end(&mut header)?;
    let Some((length, sum)) = header.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if sum.len() < CHECKSUM || length > MAX_RECORD {
        return Ok(None);
    }
    payload.clear();
    log.take(length as u64).read_to_end(payload)?;
    let is_whole = payload.len() == length && checksum(offset, payload) == *sum;
    Ok(is_whole.then_some(length))
}
