//! The cursor of a scan: where to go on, on which shard. It is a number, so the server keeps
//! nothing of a scan.

/// How many of a cursor's 64 bits are the place on the shard.
const PLACE_BITS: u32 = 48;
const END: u64 = (1 << PLACE_BITS) - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) shard: usize,
    /// The scan goes on below this place, which may be behind the last key.
    pub(crate) below: u64,
}

impl Cursor {
    /// A cursor as a client sends it, which is zero at the start.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        if number == 0 {
            return Some(Self { shard: 0, below: END });
        }
        Some(Self { shard: (number >> PLACE_BITS) as usize, below: number & END })
    }

    /// The number to go on with, after a step that ended at a place. It is zero at the end.
    pub(crate) fn then(self, below: u64, is_last_shard: bool) -> u64 {
        match below {
            0 if is_last_shard => 0,
            0 => ((self.shard as u64 + 1) << PLACE_BITS) | END,
            _ => ((self.shard as u64) << PLACE_BITS) | below.min(END),
        }
    }
}
