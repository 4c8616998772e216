//! Completions that have not been taken yet.

use std::collections::VecDeque;

use crate::sys::Completion;

/// Completions in order. The first is stored in place, as mostly there is no other: so a slot that
/// has just one needs no other memory.
#[derive(Default)]
pub(super) struct CompletionList {
    first: Option<Completion>,
    /// Empty if there is no first.
    #[expect(clippy::box_collection, reason = "slots stay small, and this is seldom made")]
    rest: Option<Box<VecDeque<Completion>>>,
}

impl CompletionList {
    #[inline]
    pub(super) fn push(&mut self, completion: Completion) {
        if self.first.is_none() {
            self.first = Some(completion);
        } else {
            self.rest.get_or_insert_default().push_back(completion);
        }
    }

    /// Takes the oldest.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Completion> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl From<Completion> for CompletionList {
    fn from(completion: Completion) -> Self {
        Self { first: Some(completion), rest: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_are_taken_in_order_whatever_was_taken_between() {
        let mut untaken = CompletionList::default();
        let (mut pushed, mut popped) = (0, 0);
        for step in [1, 2, 3, 1, 4, 7, 2] {
            for _ in 0..step {
                untaken.push(Completion::new(pushed, 0, 0));
                pushed += 1;
            }
            while untaken.len() > step as usize / 2 {
                assert_eq!(untaken.pop(), Some(Completion::new(popped, 0, 0)));
                popped += 1;
            }
            assert_eq!(untaken.len() as u64, pushed - popped);
            assert_eq!(untaken.is_empty(), pushed == popped);
        }
        assert_eq!(CompletionList::default().pop(), None);
    }
}
