//! What a file holds: in each unit, mostly of 4 KiB, its place, a stamp of who wrote it, and noise.

use std::io;

use crate::load::pattern::Pattern;

/// The bytes that have a place and a stamp, but for those of a log.
pub(crate) const UNIT: usize = 4096;

const HEAD: usize = 16;

/// What is in a file, by place and stamp.
pub(crate) struct Contents {
    unit: usize,
    noise: Pattern,
}

impl Contents {
    pub(crate) fn new() -> Self {
        Self::in_units_of(UNIT)
    }

    pub(super) fn in_units_of(unit: usize) -> Self {
        Self { unit, noise: Pattern::new(unit - HEAD) }
    }

    /// Writes what belongs at an offset into bytes, both a multiple of the unit.
    pub(crate) fn fill(&self, offset: u64, stamp: u64, bytes: &mut [u8]) {
        for (unit, place) in bytes.chunks_exact_mut(self.unit).zip(offset / self.unit as u64..) {
            unit[..8].copy_from_slice(&place.to_le_bytes());
            unit[8..HEAD].copy_from_slice(&stamp.to_le_bytes());
            unit[HEAD..].copy_from_slice(self.noise.message(0, place));
        }
    }

    /// Compares bytes with what belongs at an offset.
    pub(crate) fn check(&self, offset: u64, stamp: u64, bytes: &[u8]) -> io::Result<()> {
        for (unit, place) in bytes.chunks_exact(self.unit).zip(offset / self.unit as u64..) {
            let is_right = unit[..8] == place.to_le_bytes()
                && unit[8..HEAD] == stamp.to_le_bytes()
                && unit[HEAD..] == *self.noise.message(0, place);
            if !is_right {
                let text =
                    format!("what is in the file differs from what was written, unit {place}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_place_or_stamp_is_found() {
        let contents = Contents::new();
        let mut bytes = vec![0; 3 * UNIT];
        contents.fill(UNIT as u64, 7, &mut bytes);
        contents.check(UNIT as u64, 7, &bytes).unwrap();
        assert!(contents.check(0, 7, &bytes).is_err());
        assert!(contents.check(UNIT as u64, 8, &bytes).is_err());
        *bytes.last_mut().unwrap() ^= 1;
        assert!(contents.check(UNIT as u64, 7, &bytes).is_err());
    }
}
