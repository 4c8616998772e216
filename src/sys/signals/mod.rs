//! Listeners for signals.
//!
//! A signal handler may do next to nothing, so it counts the signal and rings a bell (an eventfd)
//! of each listener ([`bell`]). Those eventfds are kept for good and used again, so that the
//! handler can never ring a descriptor that was closed meanwhile, or has become something else.
//!
//! A [`SignalListener`] wants a number of signals: one, or two if the second means more than the
//! first, or all. The [`handler`] is installed while there is a listener. A signal that none of
//! them wants any more does what it would have done without, which is to kill the process. A signal
//! that was ignored, as ctrl-c is for what a shell starts in the background, stays so, unless a
//! listener wants all.
//!
//! Listeners begin and end on other threads while the handler runs. Each of them has a place in the
//! order of their beginnings, so that a signal is not told to one that has begun because another
//! had heard it. The handler stays installed when all listeners have heard what they want: were it
//! taken away by a handler that is preempted in the middle, the next signal would kill the process
//! although a listener had begun meanwhile.
//!
//! # Others' handlers
//! The action for a signal belongs to the process, and any code may change it at any time. So the
//! action from before is restored only where the handler is installed. A handler that was installed
//! over it stays; if that calls the one it found, as most do, both hear. One that was there before
//! is not called while there is a listener: it may be one that calls this. Code that replaces the
//! handler for a time, as `system` does, may put it back when no listener is left: then the signal
//! does what it does by default.
//!
//! A child that was forked, and has not become another program, has the handler and the eventfds,
//! but no listener. There the signal does what it does by default.

mod action;
mod bell;
mod handler;
mod listener;
mod number;

pub(crate) use action::kill_self_with_sigint;
pub(in crate::sys) use action::{get_action, set_action};
pub(crate) use listener::SignalListener;
pub(crate) use number::*;
