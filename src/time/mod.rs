//! Sleeping, deadlines and intervals.
//!
//! | to                                             | use                                        |
//! |------------------------------------------------|--------------------------------------------|
//! | wait for a while, or until then                | [`sleep()`], [`sleep_until`]               |
//! | give a future so long, or until then           | [`timeout()`], [`timeout_at`]              |
//! | move a deadline while its body runs            | [`timeout_scope`](fn@timeout_scope)        |
//! | do something again and again                   | [`interval`](fn@interval), [`interval_at`] |
//! | call a function later                          | [`call_soon`], [`call_later`], [`call_at`] |
//! | test what takes long                           | [`pause`], [`advance`], [`resume`]         |
//!
//! ```
//! use std::time::Duration;
//! use annulus::time::{interval, sleep, timeout};
//!
//! annulus::run(async {
//!     let limit = Duration::from_millis(5);
//!     assert!(timeout(limit, sleep(Duration::from_secs(60))).await.is_err());
//!
//!     let mut ticks = interval(Duration::from_millis(1));
//!     for _ in 0..3 {
//!         ticks.tick().await;
//!     }
//! })?;
//! # Ok::<(), annulus::SetupError>(())
//! ```
//!
//! Deadlines are kept in a wheel in user space: starting and dropping a sleep costs no system call
//! and no entry, and the same however many there are. Nothing fires before its deadline; on an idle
//! loop it fires within a tenth of a millisecond after it, as far as the system's timers are
//! precise.
//!
//! A test of what takes long stops the clock ([`pause`]): it then jumps to the next deadline whenever
//! there is nothing else to do.

mod callback;
mod clock;
mod interval;
mod kernel_sleep;
mod sleep;
mod timeout;
mod timeout_scope;

pub use callback::{CallHandle, call_at, call_later, call_soon};
pub use clock::{advance, now, pause, resume};
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use kernel_sleep::kernel_sleep;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, timeout, timeout_at, wait_for};
pub use timeout_scope::{TimeoutScope, timeout_scope};
