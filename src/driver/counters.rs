//! Counters of a driver, and what users see of them.
//!
//! To add a counter, add a line to the list below, and count where it happens:
//! `driver.counters().name.increment()`.
//!
//! Only the driver's thread writes. [`Counter`] alone knows how a count is stored, so that other
//! threads can be let read one day: then it is an atomic that is loaded and stored, relaxed, which
//! costs no more.

use std::cell::Cell;
use std::iter::Sum;
use std::ops::Add;

use crate::sys::RingKind;

/// A count that only grows.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.set(self.0.get() + count);
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

macro_rules! metrics {
    (
        counters { $($(#[$counter_doc:meta])* $counter:ident,)* }
        gauges { $($(#[$gauge_doc:meta])* $gauge:ident: $type:ty,)* }
    ) => {
        /// What a runtime's ring has done so far, and what it holds now.
        ///
        /// See [`Runtime::metrics`](crate::Runtime::metrics) and [`metrics`](crate::metrics()).
        /// Those of several runtimes are added, number by number.
        ///
        /// # Example
        ///
        /// ```
        /// use annulus::{Metrics, Shards};
        ///
        /// Shards::builder().count(2).run(async |shard| {
        ///     let each = shard.run_on_all(|_| annulus::metrics()).await.unwrap();
        ///     println!("SQEs of all: {}", each.into_iter().sum::<Metrics>().submitted);
        /// })?;
        /// # Ok::<(), annulus::shards::ShardsError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            /// Which ring the runtime is on: [`Kernel`](RingKind::Kernel) or
            /// [`Portable`](RingKind::Portable).
            ///
            /// Of a sum: the portable one if any of the runtimes is on it. Only
            /// `Metrics::default()` has [`Auto`](RingKind::Auto).
            pub ring: RingKind,
            $($(#[$counter_doc])* pub $counter: u64,)*
            $($(#[$gauge_doc])* pub $gauge: $type,)*
        }

        impl Add for Metrics {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self {
                    ring: self.ring.max(other.ring),
                    $($counter: self.$counter + other.$counter,)*
                    $($gauge: self.$gauge + other.$gauge,)*
                }
            }
        }

        /// What only grows.
        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $counter: Counter,)*
        }

        #[cfg(feature = "metrics")]
        impl Metrics {
            /// What only grows, with the names under which it is published.
            pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((concat!("annulus_", stringify!($counter), "_total"), self.$counter),)*].into_iter()
            }

            /// The rest, with the names under which it is published.
            pub(super) fn gauges(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
                let is_portable = f64::from(u8::from(self.ring == RingKind::Portable));
                [
                    ("annulus_portable_ring", is_portable),
                    $((concat!("annulus_", stringify!($gauge)), self.$gauge as f64),)*
                ]
                .into_iter()
            }
        }

        impl Counters {
            /// The counts as they are; the rest is zero.
            pub(super) fn read(&self) -> Metrics {
                Metrics { $($counter: self.$counter.get(),)* ..Metrics::default() }
            }
        }
    };
}

metrics! {
    counters {
        /// SQEs that the kernel has taken.
        submitted,
        /// SQEs that the kernel has completed for the last time.
        completed,
        /// Times the completion queue was found overflown.
        ///
        /// Nothing is lost, but it costs time: make the queue larger with
        /// [`Builder::cq_entries`](crate::Builder::cq_entries).
        cq_overflows,
        /// Times the kernel was entered (`io_uring_enter`).
        enter_calls,
        /// Times the kernel refused to be entered, for lack of memory or of room for completions.
        ///
        /// Nothing is lost, but nothing is begun either. After a second of it there is an
        /// [`Incident::EnterRefused`](crate::Incident::EnterRefused).
        refused_enter_calls,
        /// Sends and receives that were done by a system call of their own, without an SQE, because
        /// they could be expected to complete at once.
        inline_calls,
        /// Receives that found all runtime-owned buffers lent out, and allocated memory.
        ///
        /// Provide more with [`Builder::large_buffers`](crate::Builder::large_buffers).
        buffer_misses,
        /// Direct descriptors that were made or prepared for.
        ///
        /// See [`Builder::direct_descriptors`](crate::Builder::direct_descriptors).
        direct_descriptors,
        /// Times there was no file slot for a direct descriptor, so that an ordinary one was made.
        direct_descriptor_misses,
        /// Multishot receives that were started.
        ///
        /// Connections with frequent small messages receive so; see
        /// [`TcpStream::recv`](crate::net::TcpStream::recv).
        multishot_receives,
        /// Zero-copy sends.
        ///
        /// See [`TcpStream::write_all_zero_copy`](crate::net::TcpStream::write_all_zero_copy).
        zero_copy_sends,
        /// Times a send had to wait for room in its connection, because the peer read too slowly.
        send_stalls,
        /// Times an accept had to wait because descriptors or memory had run out.
        accept_stalls,
        /// Accepts that failed for another reason; they were tried again.
        accept_errors,
        /// Server handlers that ended with an error which only means that the peer is gone: a
        /// reset, a broken pipe, EOF in the middle of a record.
        peer_disconnects,
        /// Connections that a server reset at once because it served
        /// [`max_connections`](crate::net::ServerOptions::max_connections) already, and was told
        /// [not to let them wait](crate::net::WhenFull::Reset).
        refused_connections,
        /// Connections that a server reset at once because it served
        /// [`max_connections_per_peer`](crate::net::ServerOptions::max_connections_per_peer) of
        /// their peer already.
        refused_peer_connections,
        /// Connections of a server that were ended by its
        /// [`idle_timeout`](crate::net::ServerOptions::idle_timeout).
        idle_timeouts,
        /// Connections of a server that were reset because their peers took what was sent too
        /// slowly, by its [`send_timeout`](crate::net::ServerOptions::send_timeout) or
        /// [`min_send_rate`](crate::net::ServerOptions::min_send_rate).
        send_timeouts,
    }
    gauges {
        /// Calls of [`Handle`](crate::Handle)s that have become tasks. Only grows.
        remote_calls: u64,
        /// SQEs that the kernel has taken and not completed: submitted less completed.
        in_kernel: u64,
        /// SQEs that wait to be submitted.
        queued: u64,
        /// How many provided buffers are in use: lent, or free for the kernel to fill.
        ///
        /// As many as were needed at the same time lately, at most
        /// [`Builder::small_buffers`](crate::Builder::small_buffers).
        provided_buffers_in_use: usize,
        /// How many provided buffers for datagrams are in use: lent, or free for the kernel to
        /// fill.
        ///
        /// As many as were needed at the same time lately, at most
        /// [`Builder::datagram_buffers`](crate::Builder::datagram_buffers).
        datagram_buffers_in_use: usize,
        /// Bytes of memory that receives which found no buffer have allocated, and that are still
        /// held.
        ///
        /// See [`Builder::max_fallback_bytes`](crate::Builder::max_fallback_bytes).
        fallback_buffer_bytes: usize,
        /// Timers that are running, or have fired and were not polled since.
        timers: usize,
    }
}

impl Sum for Metrics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_added_number_by_number() {
        let one = Metrics { submitted: 2, in_kernel: 3, timers: 4, ..Metrics::default() };
        let sum = Metrics { submitted: 6, in_kernel: 9, timers: 12, ..Metrics::default() };
        assert_eq!([one; 3].into_iter().sum::<Metrics>(), sum);
        let on = |ring| Metrics { ring, ..one };
        let sum = |kinds: &[RingKind]| kinds.iter().copied().map(on).sum::<Metrics>().ring;
        assert_eq!(sum(&[RingKind::Kernel, RingKind::Kernel]), RingKind::Kernel);
        assert_eq!(
            sum(&[RingKind::Kernel, RingKind::Portable, RingKind::Kernel]),
            RingKind::Portable
        );
        assert_eq!(sum(&[]), RingKind::Auto);
    }
}
