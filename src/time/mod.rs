//! Sleeping, deadlines and intervals.
//!
//! Deadlines are kept in a wheel in user space: starting and dropping a sleep costs no system call
//! and no entry, and the same however many there are. Nothing fires before its deadline; on an idle
//! loop it fires within a tenth of a millisecond after it, as far as the system's timers are
//! precise.
//!
//! A test of what takes long stops the clock ([`pause`]): it then jumps to the next deadline whenever
//! there is nothing else to do.

mod clock;
mod interval;
mod kernel_sleep;
mod sleep;
mod timeout;
mod timeout_scope;

pub use clock::{advance, now, pause, resume};
pub use interval::{Interval, interval, interval_at};
pub use kernel_sleep::kernel_sleep;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, timeout, timeout_at, wait_for};
pub use timeout_scope::{TimeoutScope, timeout_scope};
