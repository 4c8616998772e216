//! The links between all shards of a run: who is there, and who is offered a link to whom.
//!
//! A shard that joins gets a link to and from each shard that is there, and each of those is
//! offered its ends. This takes a lock, and happens once in a shard's life.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::incarnation::Incarnation;
use super::link::{Incoming, Outgoing, link};
use crate::task::Notifier;

pub(crate) struct Mesh {
    /// How many requests of one shard to another may be under way.
    capacity: usize,
    seats: Mutex<Vec<Seat>>,
}

#[derive(Default)]
struct Seat {
    present: Option<Arc<Incarnation>>,
    offers: Vec<Offer>,
}

/// A shard's ends of the two links with a peer.
pub(super) struct Offer {
    pub(super) peer: usize,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

impl Mesh {
    pub(crate) fn new(count: usize, capacity: usize) -> Self {
        let seats = (0..count).map(|_| Seat::default()).collect();
        Self { capacity, seats: Mutex::new(seats) }
    }

    /// How many shards there are.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Links a shard with all that are there.
    pub(super) fn join(&self, index: usize, notifier: Notifier) -> Arc<Incarnation> {
        let mut seats = self.lock();
        let joining = Arc::new(Incarnation::new(index, seats.len(), notifier));
        for peer in 0..seats.len() {
            let Some(present) = seats[peer].present.clone() else { continue };
            let (here, there) = ((index, &joining), (peer, &present));
            let (outgoing, their_incoming) = link(here, there, self.capacity);
            let (their_outgoing, incoming) = link(there, here, self.capacity);
            seats[index].offers.push(Offer { peer, outgoing, incoming });
            let offer = Offer { peer: index, outgoing: their_outgoing, incoming: their_incoming };
            seats[peer].offers.push(offer);
            joining.offer(peer);
            present.offer(index);
        }
        seats[index].present = Some(Arc::clone(&joining));
        joining
    }

    /// Takes what a shard is offered.
    pub(super) fn take_offers(&self, index: usize) -> Vec<Offer> {
        mem::take(&mut self.lock()[index].offers)
    }

    /// From here on no link leads to this shard until it joins again. Returns the offers that it
    /// has not taken: dropping them tells the peers.
    pub(super) fn leave(&self, index: usize) -> Vec<Offer> {
        let seat = &mut self.lock()[index];
        seat.present = None;
        mem::take(&mut seat.offers)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
