//! Completions that the kernel has posted, on their way to the driver.
//!
//! Each has a step (a reaping) at which it is due. The order within a *group*, which is a multishot
//! operation, a chain, or the transfers of a socket, is kept, as it is by the kernel.
//! Nothing is held for ever: the driver is not let wait while anything is held, so the next step
//! comes soon.

use std::collections::HashMap;

use super::dice::Dice;
use super::faults::FaultKind;
use crate::sys::Completion;

#[derive(Default)]
pub(super) struct Held {
    /// In the order in which the kernel has posted them.
    completions: Vec<HeldCompletion>,
    /// When the last completion of a group is due, and how many it has here.
    groups: HashMap<u64, (u64, usize)>,
    /// Those that have found no room in the completion queue.
    overflown: Vec<Completion>,
    /// Whether an enter has made room for them.
    is_flushed: bool,
}

struct HeldCompletion {
    completion: Completion,
    group: u64,
    due: u64,
    /// Where it comes among those that are due at the same step.
    rank: u64,
}

impl Held {
    /// Holds a completion until a step, and behind those of its group.
    pub(super) fn add(&mut self, completion: Completion, group: u64, due: u64, rank: u64) {
        let (last, count) = self.groups.entry(group).or_default();
        *last = due.max(*last);
        *count += 1;
        self.completions.push(HeldCompletion { completion, group, due: *last, rank });
    }

    /// A step that is not before `due`, and after all that a group has here.
    pub(super) fn after(&self, group: u64, due: u64) -> u64 {
        self.groups.get(&group).map_or(due, |&(last, _)| due.max(last + 1))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.completions.is_empty() && self.overflown.is_empty()
    }

    /// Whether the last completion of the SQE with this user data is here.
    pub(super) fn has_last(&self, user_data: u64) -> bool {
        let held = self.completions.iter().map(|held| &held.completion);
        let is_last =
            |completion: &Completion| completion.user_data == user_data && !completion.more();
        held.chain(&self.overflown).any(is_last)
    }

    pub(super) fn is_overflown(&self) -> bool {
        !self.overflown.is_empty() && !self.is_flushed
    }

    /// An enter makes room.
    pub(super) fn flush(&mut self) {
        self.is_flushed = true;
    }

    /// Takes what is due at a step. Returns how many found no room, for the log.
    pub(super) fn take_due(&mut self, step: u64, dice: &Dice, due: &mut Vec<Completion>) -> usize {
        if self.is_flushed {
            due.append(&mut self.overflown);
        }
        self.is_flushed = false;
        let (mut now, later): (Vec<_>, Vec<_>) =
            self.completions.drain(..).partition(|held| held.due <= step);
        self.completions = later;
        if now.is_empty() {
            return 0;
        }
        self.forget_groups(&now);
        if dice.falls(FaultKind::Reordering, step) {
            put_in_order(&mut now);
        }
        let completions = now.iter().map(|held| held.completion);
        if !self.overflown.is_empty() || dice.falls(FaultKind::Overflows, step) {
            self.overflown.extend(completions);
            return now.len();
        }
        due.extend(completions);
        0
    }

    /// These are no longer here.
    fn forget_groups(&mut self, completions: &[HeldCompletion]) {
        for held in completions {
            if let Some((_, count)) = self.groups.get_mut(&held.group) {
                *count -= 1;
                if *count == 0 {
                    self.groups.remove(&held.group);
                }
            }
        }
    }
}

/// Puts completions into the order of their ranks, but those of a group into their own.
fn put_in_order(completions: &mut [HeldCompletion]) {
    let mut ranks: HashMap<u64, Vec<u64>> = HashMap::new();
    for held in &*completions {
        ranks.entry(held.group).or_default().push(held.rank);
    }
    for ranks in ranks.values_mut() {
        // The last is taken first.
        ranks.sort_unstable_by(|one, other| other.cmp(one));
    }
    for held in &mut *completions {
        held.rank = ranks.get_mut(&held.group).and_then(Vec::pop).unwrap_or(held.rank);
    }
    completions.sort_by_key(|held| held.rank);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Faults;

    /// A seed that reorders at the steps that the tests use, and does nothing else.
    fn dice() -> Dice {
        let reordering = |seed| Dice::new(Faults::from_seed(seed).only(&[FaultKind::Reordering]));
        let reorders =
            |dice: &Dice| [1, 5].iter().all(|&step| dice.falls(FaultKind::Reordering, step));
        (0..).map(reordering).find(reorders).expect("some seed does")
    }

    fn user_data(completions: &[Completion]) -> Vec<u64> {
        completions.iter().map(|completion| completion.user_data).collect()
    }

    #[test]
    fn completions_of_a_group_keep_their_order_whatever_their_ranks_and_steps() {
        let mut held = Held::default();
        for (number, group, due, rank) in [(1, 7, 5, 9), (2, 7, 1, 8), (3, 8, 1, 4), (4, 7, 5, 2)] {
            held.add(Completion::new(number, 0, 0), group, due, rank);
        }
        let mut due = Vec::new();
        held.take_due(1, &dice(), &mut due);
        assert_eq!(user_data(&due), [3]);
        assert!(held.has_last(1) && !held.has_last(3));
        held.take_due(5, &dice(), &mut due);
        assert_eq!(user_data(&due), [3, 1, 2, 4]);
        assert!(held.is_empty() && held.groups.is_empty());
    }

    #[test]
    fn completions_of_different_groups_come_in_the_order_of_their_ranks() {
        let mut held = Held::default();
        for (number, rank) in [(1, 3), (2, 1), (3, 2)] {
            held.add(Completion::new(number, 0, 0), number, 0, rank);
        }
        let mut due = Vec::new();
        held.take_due(1, &dice(), &mut due);
        assert_eq!(user_data(&due), [2, 3, 1]);
    }
}
