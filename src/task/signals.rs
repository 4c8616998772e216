//! Which of a thread's peers have put something into their queues to it: a bit for each.
//!
//! The owner of many queues looks at one word for 64 of them. A peer that has filled a queue raises
//! its bit; the first to raise one in an empty word also notifies the owner
//! ([`Notifier`](super::Notifier)), and those that follow leave it to that one. The owner takes the
//! whole word at once, after it was notified and before it looks at the queues.
//!
//! Nothing is lost: a peer that finds the word not empty has raised its bit after the one that
//! notifies, and before the owner takes the word. So the owner, which takes it after that
//! notification, finds both bits, and sees what either peer had put into its queue: each raise
//! continues the release sequence of those before it.

use super::loom::{AtomicU64, Ordering};

/// The bits, which any thread may raise.
pub(crate) struct Signals {
    words: Box<[AtomicU64]>,
}

impl Signals {
    /// For peers 0 to `peers` - 1.
    pub(crate) fn new(peers: usize) -> Self {
        let words = peers.div_ceil(u64::BITS as usize);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Raises a peer's bit. Returns whether the caller must notify the owner.
    #[must_use]
    pub(crate) fn raise(&self, peer: usize) -> bool {
        let (word, bit) = (peer / u64::BITS as usize, peer % u64::BITS as usize);
        // Release: the owner sees what was put into the queue before.
        self.words[word].fetch_or(1 << bit, Ordering::Release) == 0
    }

    /// Takes the bits, and passes the peers that raised them to `sink`.
    pub(crate) fn take(&self, mut sink: impl FnMut(usize)) {
        for (index, word) in self.words.iter().enumerate() {
            // The common case writes nothing, so that the word's cache line stays shared.
            if word.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::Acquire);
            while bits != 0 {
                sink(index * u64::BITS as usize + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

#[cfg(all(test, not(annulus_loom)))]
mod tests {
    use super::*;

    fn taken(signals: &Signals) -> Vec<usize> {
        let mut peers = Vec::new();
        signals.take(|peer| peers.push(peer));
        peers
    }

    #[test]
    fn the_first_to_raise_a_bit_in_an_empty_word_notifies() {
        let signals = Signals::new(130);
        assert_eq!(
            [3, 3, 63, 64, 129].map(|peer| signals.raise(peer)),
            [true, false, false, true, true]
        );
        assert_eq!(taken(&signals), [3, 63, 64, 129]);
        assert!(taken(&signals).is_empty());
        assert!(signals.raise(63));
    }
}

#[cfg(all(test, annulus_loom))]
mod loom_tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use loom::sync::Notify;
    use loom::thread;

    use super::*;
    use crate::task::{Executor, RuntimeId, spsc};
    use crate::trace::SlowPolls;

    /// Two peers fill their queues and raise their bits while the owner goes to sleep. The second
    /// may leave the notification to the first, which has yet to send it. An item that the owner
    /// never looks for shows as a model that never ends.
    #[test]
    fn an_owner_that_sleeps_finds_what_every_peer_has_sent() {
        loom::model(|| {
            let bell = Arc::new(Notify::new());
            let ring = {
                let bell = Arc::clone(&bell);
                move || bell.notify()
            };
            let runtime = RuntimeId::of(&Rc::new(()));
            let executor =
                Executor::new(runtime, Arc::new(ring), Arc::new(|_| {}), SlowPolls::default());
            let signals = Arc::new(Signals::new(2));
            let mut queues = [0, 1].map(|peer| {
                let (mut producer, consumer) = spsc(1);
                let (signals, notifier) = (Arc::clone(&signals), executor.notifier());
                thread::spawn(move || {
                    producer.push(peer).unwrap();
                    producer.publish();
                    if signals.raise(peer) {
                        notifier.notify();
                    }
                });
                consumer
            });
            let mut received = 0;
            while received < 2 {
                if executor.park() {
                    bell.wait();
                }
                if executor.receive() {
                    signals.take(|peer| {
                        while let Some(item) = queues[peer].pop() {
                            assert_eq!(item, peer);
                            received += 1;
                        }
                    });
                }
            }
            executor.close();
        });
    }
}
