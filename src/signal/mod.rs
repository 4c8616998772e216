//! Signals.
//!
//! [`signal`] listens for every signal that can be caught, as a [`Stream`](futures_util::Stream).
//! [`ctrl_c`], [`terminate`] and [`hangup`] wait for one signal each, and then leave its default
//! effect in place: the next ctrl-c kills a program that does not end. A server that is to end in
//! order has [`Shutdown`](crate::Shutdown), which listens for both that ask a process to end.
//!
//! # What a handler does here
//!
//! The signal handler counts the signal for each listener and makes an eventfd readable, which the
//! listener's runtime polls. Nothing else runs in the handler, and no thread is needed. System
//! calls that it interrupts continue (`SA_RESTART`), where the kernel can do that.
//!
//! # Blocked signals
//!
//! A signal for the process is delivered on any of its threads that does not block it, and is then
//! reported to the listeners of all threads. One that all threads block stays pending until a
//! thread unblocks it; one that was sent to a single thread (`pthread_kill`) waits for that thread.

mod kind;
mod listener;
mod once;

pub use kind::SignalKind;
pub use listener::{Signal, signal};
pub use once::{ctrl_c, hangup, terminate};
