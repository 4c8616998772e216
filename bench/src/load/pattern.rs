//! What is sent, and the comparison with what comes back.
//!
//! One block of noise is the source of all messages: a message is a window into it, at a place that
//! depends on the connection and the message's number. Sending copies nothing, and a byte that is
//! lost, doubled, swapped, or sent to another connection shows as a difference.

use std::io;

/// How many different windows there are. A prime, so that no step repeats early.
const PLACES: usize = 4093;

/// The source of messages of one size.
pub(crate) struct Pattern {
    noise: Vec<u8>,
    size: usize,
}

impl Pattern {
    pub(crate) fn new(size: usize) -> Self {
        // Xorshift: what it makes is not random enough for secrets, but no window equals another.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let noise = (0..PLACES + size).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        });
        Self { noise: noise.collect(), size }
    }

    /// The size of a message.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A message, by its connection and number.
    pub(crate) fn message(&self, connection: usize, number: u64) -> &[u8] {
        let place = (connection * 31 + (number % PLACES as u64) as usize * 17) % PLACES;
        &self.noise[place..place + self.size]
    }
}

/// A place in the endless sequence of a connection's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Messages that are complete.
    pub(crate) message: u64,
    /// Bytes of the next one.
    pub(crate) offset: usize,
}

impl Cursor {
    pub(crate) fn advance(&mut self, bytes: usize, size: usize) {
        let bytes = self.offset + bytes;
        self.message += (bytes / size) as u64;
        self.offset = bytes % size;
    }

    /// Compares bytes with what the connection's messages say at this place, and moves on.
    pub(crate) fn verify(
        &mut self,
        pattern: &Pattern,
        connection: usize,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let rest = &pattern.message(connection, self.message)[self.offset..];
            let (now, later) = bytes.split_at(rest.len().min(bytes.len()));
            if now != &rest[..now.len()] {
                let (message, offset) = (self.message, self.offset);
                let place = format!("message {message} of connection {connection}, from {offset}");
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("what came back differs from what was sent: {place}"),
                ));
            }
            self.advance(now.len(), pattern.size());
            bytes = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pattern: &Pattern, connection: usize, messages: u64) -> Vec<u8> {
        (0..messages).flat_map(|number| pattern.message(connection, number).to_vec()).collect()
    }

    #[test]
    fn a_faithful_echo_passes_in_whatever_pieces_it_comes() {
        let pattern = Pattern::new(100);
        let bytes = sent(&pattern, 5, 20);
        for piece in [1, 7, 99, 100, 101, 2000] {
            let mut cursor = Cursor::default();
            for chunk in bytes.chunks(piece) {
                cursor.verify(&pattern, 5, chunk).unwrap();
            }
            assert_eq!(cursor, Cursor { message: 20, offset: 0 });
        }
    }

    #[test]
    fn a_changed_byte_is_found() {
        let pattern = Pattern::new(64);
        let mut bytes = sent(&pattern, 0, 3);
        bytes[100] ^= 1;
        assert!(Cursor::default().verify(&pattern, 0, &bytes).is_err());
    }

    #[test]
    fn a_lost_message_is_found() {
        let pattern = Pattern::new(64);
        let bytes = sent(&pattern, 0, 3);
        assert!(Cursor::default().verify(&pattern, 0, &bytes[64..]).is_err());
    }

    #[test]
    fn the_message_of_another_connection_is_found() {
        let pattern = Pattern::new(64);
        assert!(Cursor::default().verify(&pattern, 1, pattern.message(2, 0)).is_err());
    }
}
