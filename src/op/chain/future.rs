//! The future of a chain.

use std::array;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::link::Taken;
use super::links::{Links, MOST};
use super::not_run::{NotRun, Reason};
use crate::driver::{Driver, Key};
use crate::error::catch_panic;
use crate::op::check_loop::check_loop;
use crate::sys::errno::ECANCELED;
use crate::sys::severing::failure_severs;
use crate::sys::{Completion, Sqe, Submission, SubmissionFlags, opcode};
use crate::trace::OperationSpan;

/// What becomes of the rest of a chain behind a transfer that was short, and whose caller expects
/// that it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterShort {
    /// It is carried out, in a submission of its own.
    GoesOn,
    /// It is not carried out.
    Ends,
}

/// The future of a chain. It allocates nothing.
pub(crate) struct ChainOp<L: Links> {
    driver: Rc<Driver>,
    /// `None` once it is over.
    links: Option<L>,
    after_short: AfterShort,
    /// The first link that may not be over.
    next: usize,
    /// The links in flight.
    part: Part,
    /// Why the rest is not carried out.
    severed: Option<NotRun>,
    /// The first link that has another step, or is to be repeated.
    again: Option<usize>,
    span: OperationSpan,
}

/// Links that were submitted together.
struct Part {
    /// The first of them, counted from the head of the chain.
    start: usize,
    length: usize,
    /// How many of them have been taken.
    taken: usize,
    keys: [Key; MOST],
    /// The completion of the last, which has been polled first, since the others come before it.
    last: Option<Completion>,
    /// How many of them the kernel has taken at once, if not all.
    split: Option<usize>,
}

impl Part {
    const NONE: Self =
        Self { start: 0, length: 0, taken: 0, keys: [Key::NONE; MOST], last: None, split: None };

    fn is_in_flight(&self) -> bool {
        self.taken < self.length
    }
}

impl<L: Links> ChainOp<L> {
    pub(crate) fn new(driver: &Rc<Driver>, links: L, after_short: AfterShort) -> Self {
        Self {
            driver: Rc::clone(driver),
            links: Some(links),
            after_short,
            next: 0,
            part: Part::NONE,
            severed: None,
            again: None,
            span: OperationSpan::none(),
        }
    }

    fn links(&mut self) -> &mut L {
        self.links.as_mut().expect("a chain was polled after its end")
    }

    /// Moves on to the first link that is not over. Returns whether there is one.
    fn advance(&mut self) -> bool {
        while self.next < L::LENGTH {
            let (next, severed) = (self.next, self.severed);
            let link = self.links().link(next);
            match severed.filter(|severed| severed.link() < next) {
                Some(not_run) if not_run.link() == 0 || !link.ends_chain() => link.skip(not_run),
                _ if link.is_open() => return true,
                _ if link.is_refused() => {
                    self.severed.get_or_insert(NotRun::new(next, Reason::Failed));
                }
                _ => {}
            }
            self.next += 1;
        }
        false
    }

    /// Waits for what must come before any of the links.
    fn poll_ready(&mut self, context: &Context<'_>) -> Poll<()> {
        for at in self.next..L::LENGTH {
            ready!(self.links().link(at).poll_ready(context));
        }
        Poll::Ready(())
    }

    /// Submits as many links as can go together. If the driver is closed, they are cancelled.
    fn submit(&mut self, context: &Context<'_>) {
        let start = self.next;
        let end = L::LENGTH.min(start + self.driver.longest_chain());
        let links = self.links.as_mut().expect("a chain was polled after its end");
        let mut sqes: [Submission; MOST] = array::from_fn(|_| opcode::Nop::new().build());
        let mut length = 0;
        let mut is_last_step = false;
        for at in start..end {
            let link = links.link(at);
            if !link.is_open() {
                break;
            }
            if let Some(before) = sqes[..length].last_mut() {
                let is_hard = is_last_step && link.ends_chain();
                if !is_hard && !failure_severs(Sqe::of(before).opcode()) {
                    break;
                }
                let hard_or_soft = [SubmissionFlags::IO_LINK, SubmissionFlags::IO_HARDLINK];
                *before = before.clone().flags(hard_or_soft[usize::from(is_hard)]);
            }
            (sqes[length], is_last_step) = (link.submission(), link.is_last_step());
            length += 1;
            if link.ends_part() {
                break;
            }
        }
        self.span.begin(sqes[0].get_opcode());
        self.again = None;
        self.part = Part { start, ..Part::NONE };
        let (sqes, keys) = (&mut sqes[..length], &mut self.part.keys[..length]);
        // SAFETY: the links own what the SQEs point to, and the chain owns the links. They are kept
        // here until their completions have been taken, or by the driver (`drop`). The kernel does
        // not access it after that (`uring-sys-tests`, freed_buffer_never_written).
        if unsafe { self.driver.submit_chain(sqes, keys, context.waker()) } {
            self.part.length = length;
            return;
        }
        for at in start..start + length {
            let link = links.link(at);
            match self.severed {
                Some(not_run) => link.skip(not_run),
                None => {
                    link.take(Completion::failed(ECANCELED), false);
                    self.severed = Some(NotRun::new(at, Reason::Failed));
                }
            }
        }
        self.end_part(start + length);
    }

    /// Takes the completions of the links in flight.
    fn poll_part(&mut self, context: &Context<'_>) -> Poll<()> {
        let last = self.part.length - 1;
        if self.part.last.is_none() {
            // The others come before it, but for those of a chain that was taken apart.
            let completion = ready!(self.driver.poll(self.part.keys[last], context.waker()));
            self.part.last = Some(completion);
            self.part.split = self.driver.take_split(self.part.keys[0]);
            self.span.end();
        }
        while self.part.is_in_flight() {
            let position = self.part.taken;
            let completion = if position == last {
                self.part.last.take().expect("it has been polled")
            } else {
                ready!(self.driver.poll(self.part.keys[position], context.waker()))
            };
            // Its slot is free. What follows runs foreign code.
            self.part.taken += 1;
            self.take(self.part.start + position, completion);
        }
        self.end_part(self.part.start + self.part.length);
        Poll::Ready(())
    }

    /// Takes the completion of a link.
    fn take(&mut self, at: usize, completion: Completion) {
        let ends_chain = self.links().link(at).ends_chain();
        if self.is_unordered(at) && !ends_chain {
            return self.take_unordered(at);
        }
        let was_canceled = completion.failed_with(ECANCELED);
        let end = self.part.start + self.part.length;
        let links = self.links.as_mut().expect("a chain was polled after its end");
        match self.severed {
            Some(not_run) if was_canceled && ends_chain && not_run.link() > 0 => {
                self.again.get_or_insert(at);
                return;
            }
            Some(not_run) if was_canceled => return links.link(at).skip(not_run),
            // It is submitted again, behind the one that is.
            None if was_canceled && self.again.is_some() => return,
            _ => {}
        }
        let is_before_end = at + 1 < end && links.link(at + 1).ends_chain();
        let was_hard = is_before_end && links.link(at).is_last_step();
        let again = match links.link(at).take(completion, was_hard) {
            Taken::Done => return,
            Taken::Again => at,
            Taken::Severs(Reason::Short) if self.after_short == AfterShort::GoesOn => at + 1,
            Taken::Severs(reason) => {
                self.severed.get_or_insert(NotRun::new(at, reason));
                return;
            }
        };
        self.again.get_or_insert(again);
    }

    /// Whether a link was taken apart from the ones before it, none of which has severed the chain:
    /// it may have been carried out before they were.
    fn is_unordered(&self, at: usize) -> bool {
        let is_apart = self.part.split.is_some_and(|split| at >= self.part.start + split);
        is_apart && self.severed.is_none_or(|severed| severed.reason() == Reason::Split)
    }

    /// Takes a link whose completion says nothing of its order.
    fn take_unordered(&mut self, at: usize) {
        let end = self.part.start + self.part.length;
        let links = self.links.as_mut().expect("a chain was polled after its end");
        if self.severed.is_none() && (at..end).all(|at| links.link(at).is_repeatable()) {
            self.again.get_or_insert(at);
            return;
        }
        let not_run = *self.severed.get_or_insert(NotRun::new(at - 1, Reason::Split));
        links.link(at).skip(not_run);
    }

    /// All links of a part have been taken.
    fn end_part(&mut self, end: usize) {
        self.part = Part::NONE;
        self.next = self.again.unwrap_or(end);
    }
}

impl<L: Links> Unpin for ChainOp<L> {}

impl<L: Links> Future for ChainOp<L> {
    type Output = L::Outputs;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<L::Outputs> {
        check_loop(&self.driver);
        loop {
            if self.part.is_in_flight() {
                ready!(self.poll_part(context));
            }
            if !self.advance() {
                let links = self.links.take().expect("a chain was polled after its end");
                return Poll::Ready(links.into_outputs());
            }
            ready!(self.poll_ready(context));
            self.submit(context);
            if self.part.is_in_flight() {
                return Poll::Pending;
            }
        }
    }
}

impl<L: Links> Drop for ChainOp<L> {
    fn drop(&mut self) {
        let Self { driver, links: Some(links), part, .. } = self else { return };
        if !part.is_in_flight() {
            return;
        }
        driver.take_split(part.keys[0]);
        let mut is_first = true;
        for position in part.taken..part.length {
            let next = part.keys[..part.length].get(position + 1).copied();
            let next = next.filter(|_| !links.link(part.start + position + 1).ends_chain());
            let link = links.link(part.start + position);
            let taken = if position + 1 == part.length { part.last.take() } else { None };
            // Whatever foreign code does, the memory of the other links must be kept.
            driver.report_panic(catch_panic(|| match taken {
                Some(completion) => link.settle(completion),
                None => is_first &= !link.orphan(driver, part.keys[position], next, is_first),
            }));
        }
    }
}
