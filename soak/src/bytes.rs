//! Bytes that tell where they belong: each is a function of a seed and of its offset, so that lost,
//! repeated, moved and foreign bytes all show.

use crate::failure::Failure;

/// A stream of bytes, without end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    pub(crate) seed: u64,
}

impl Bytes {
    /// The bytes from `offset` on.
    pub(crate) fn at(self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        let skipped = (offset % 8) as usize;
        let mut word = offset / 8;
        while bytes.len() < length + skipped {
            bytes.extend_from_slice(&mix(self.seed ^ mix(word)).to_le_bytes());
            word += 1;
        }
        bytes.drain(..skipped);
        bytes.truncate(length);
        bytes
    }

    /// Fails unless these are the bytes from `offset` on.
    pub(crate) fn check(self, offset: u64, bytes: &[u8], what: &str) -> Result<(), Failure> {
        let expected = self.at(offset, bytes.len());
        match expected.iter().zip(bytes).position(|(expected, byte)| expected != byte) {
            None => Ok(()),
            Some(place) => Err(Failure::Corruption(format!(
                "{what}: of {} bytes from offset {offset} on, number {place} is {:#04x} instead of {:#04x}",
                bytes.len(),
                bytes[place],
                expected[place],
            ))),
        }
    }
}

/// The finalizer of SplitMix64.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_their_offset_however_they_are_cut() {
        let stream = Bytes { seed: 7 };
        let whole = stream.at(0, 100);
        for start in 0..40 {
            for end in start..60 {
                assert_eq!(stream.at(start as u64, end - start), whole[start..end]);
            }
        }
    }

    #[test]
    fn a_lost_byte_a_moved_one_and_one_of_another_stream_are_corruption() {
        let stream = Bytes { seed: 7 };
        let mut bytes = stream.at(10, 50);
        assert!(stream.check(10, &bytes, "").is_ok());
        assert!(stream.check(11, &bytes, "").is_err());
        assert!(Bytes { seed: 8 }.check(10, &bytes, "").is_err());
        bytes.remove(30);
        assert!(stream.check(10, &bytes, "").is_err());
    }
}
