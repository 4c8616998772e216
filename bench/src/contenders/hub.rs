//! Who is served by a fan-out.

use std::cell::RefCell;

use slab::Slab;

/// The members of a fan-out on one thread, each by what a message is handed to it with.
pub(super) struct Hub<T> {
    members: RefCell<Slab<T>>,
}

impl<T> Hub<T> {
    pub(super) fn new() -> Self {
        Self { members: RefCell::new(Slab::new()) }
    }

    /// Takes on a member, and says its place.
    pub(super) fn join(&self, member: T) -> usize {
        self.members.borrow_mut().insert(member)
    }

    pub(super) fn leave(&self, place: usize) {
        self.members.borrow_mut().remove(place);
    }

    /// Calls `hand` with each member but the one that publishes.
    pub(super) fn publish(&self, from: usize, mut hand: impl FnMut(&T)) {
        let members = self.members.borrow();
        members.iter().filter(|&(place, _)| place != from).for_each(|(_, member)| hand(member));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_all_but_its_author() {
        let hub = Hub::new();
        let places = ["a", "b", "c"].map(|name| hub.join(name));
        hub.leave(places[1]);
        let last = hub.join("d");
        let mut reached = Vec::new();
        hub.publish(places[0], |name| reached.push(*name));
        reached.sort_unstable();
        assert_eq!(reached, ["c", "d"]);
        reached.clear();
        hub.publish(last, |name| reached.push(*name));
        reached.sort_unstable();
        assert_eq!(reached, ["a", "c"]);
    }
}
