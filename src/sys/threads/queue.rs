//! Jobs that wait for a thread, first in, first out; one can be taken out before its time.

use std::collections::VecDeque;

/// How many jobs a queue always has room for.
const KEPT: usize = 256;

/// Names a job of a queue. No two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

pub(super) struct Queue<J> {
    /// In the order of their tickets. `None` where a job was taken out: removing it would move the
    /// others each time.
    jobs: VecDeque<(Ticket, Option<J>)>,
    /// How many have a job.
    waiting: usize,
    next: u64,
}

impl<J> Queue<J> {
    pub(super) const fn new() -> Self {
        Self { jobs: VecDeque::new(), waiting: 0, next: 0 }
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn push(&mut self, job: J) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.jobs.push_back((ticket, Some(job)));
        self.waiting += 1;
        ticket
    }

    /// Takes the first job.
    pub(super) fn pop(&mut self) -> Option<J> {
        let job = loop {
            match self.jobs.pop_front() {
                Some((_, Some(job))) => break job,
                Some((_, None)) => {}
                None => return None,
            }
        };
        self.waiting -= 1;
        self.free_memory();
        Some(job)
    }

    /// Takes a job, if it still waits. A search by halves.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<J> {
        let at = self.jobs.binary_search_by_key(&ticket, |&(ticket, _)| ticket).ok()?;
        let job = self.jobs[at].1.take()?;
        self.waiting -= 1;
        // Each removal pays for the move of one job.
        if self.jobs.len() - self.waiting > self.waiting {
            self.jobs.retain(|(_, job)| job.is_some());
            self.free_memory();
        }
        Some(job)
    }

    /// After a peak, once it is over.
    fn free_memory(&mut self) {
        if self.jobs.is_empty() && self.jobs.capacity() > KEPT {
            self.jobs = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_taken_in_order_and_by_their_tickets_but_only_once() {
        let mut queue = Queue::new();
        let tickets: Vec<_> = (0..10).map(|job| queue.push(job)).collect();
        assert_eq!((queue.take(tickets[3]), queue.take(tickets[0])), (Some(3), Some(0)));
        assert_eq!((queue.take(tickets[3]), queue.len()), (None, 8));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(2), Some(4)));
        assert_eq!((queue.take(tickets[2]), queue.take(tickets[9])), (None, Some(9)));
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!((rest, queue.len()), (vec![5, 6, 7, 8], 0));
    }

    /// All threads are busy for long, and what waits behind them is given up again and again.
    #[test]
    fn jobs_that_were_taken_out_use_no_memory_however_many_they_were() {
        let mut queue = Queue::new();
        queue.push(0);
        let mut last = queue.push(0);
        for job in 1..10_000 {
            let ticket = queue.push(job);
            queue.take(last).unwrap();
            last = ticket;
        }
        assert_eq!(queue.len(), 2);
        assert!(queue.jobs.capacity() <= 16, "{} entries", queue.jobs.capacity());
    }

    #[test]
    fn a_queue_that_was_long_frees_its_memory_when_it_is_empty() {
        let mut queue = Queue::new();
        let tickets: Vec<_> = (0..10_000).map(|job| queue.push(job)).collect();
        assert!(tickets.iter().all(|&ticket| queue.take(ticket).is_some()));
        assert_eq!(queue.jobs.capacity(), 0);
        for job in 0..10_000 {
            queue.push(job);
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.jobs.capacity(), 0);
    }
}
