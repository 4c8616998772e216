//! The process that hands over to this one, which waits for a word from it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Mutex, PoisonError};

/// The socket on which it waits, until it has been told.
static CHANNEL: Mutex<Option<UnixStream>> = Mutex::new(None);

/// How long the word of a successor may be.
pub(super) const LONGEST_WORD: usize = 32;

/// This process has a predecessor.
pub(super) fn met(channel: UnixStream) {
    *CHANNEL.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel);
}

/// Tells the predecessor that this process is ready. False if there is none, or none any more.
pub(super) fn tell_ready() -> bool {
    let channel = CHANNEL.lock().unwrap_or_else(PoisonError::into_inner).take();
    // The socket has room: this is the first that is written to it.
    channel.is_some_and(|mut channel| channel.write_all(word(process::id()).as_bytes()).is_ok())
}

/// What a successor says when it is ready. With its id, as it may have been started by a script.
fn word(process: u32) -> String {
    format!("ready {process}\n")
}

/// The id of the successor that has said so.
pub(super) fn parse(word: &[u8]) -> Option<u32> {
    std::str::from_utf8(word).ok()?.strip_prefix("ready ")?.strip_suffix('\n')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_successor_survives_the_round_trip() {
        for process in [1, 4242, u32::MAX] {
            let word = word(process);
            assert_eq!(parse(word.as_bytes()), Some(process));
            assert!(word.len() <= LONGEST_WORD);
        }
        for part in ["", "ready 42", "ready \n", "ready me\n", "GET / HTTP/1.1\n"] {
            assert_eq!(parse(part.as_bytes()), None, "{part:?}");
        }
    }
}
