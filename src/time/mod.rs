//! Sleeps, deadlines, intervals and delayed calls.
//!
//! | to                                             | use                                        |
//! |------------------------------------------------|--------------------------------------------|
//! | wait for a while, or until a time              | [`sleep()`], [`sleep_until`]               |
//! | limit the time of a future                     | [`timeout()`], [`timeout_at`]              |
//! | move a deadline while its body runs            | [`timeout_scope`](fn@timeout_scope)        |
//! | do something periodically                      | [`interval`](fn@interval), [`interval_at`] |
//! | call a function later                          | [`call_soon`], [`call_later`], [`call_at`] |
//! | test code that waits for long                  | [`pause`], [`advance`], [`resume`]         |
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
//! Deadlines are kept in a timer wheel in user space: to start or drop a sleep costs no system call
//! and no SQE, and the same however many there are. No timer fires before its deadline. On an idle
//! loop it fires within 0.1 ms after it, if the system's timers are as precise.
//!
//! A test of code that waits for long stops the clock ([`pause`]): the clock then jumps to the next
//! deadline whenever there is nothing else to do.

mod callback;
mod clock;
mod interval;
mod sleep;
mod timeout;
mod timeout_scope;

pub use callback::{CallHandle, call_at, call_later, call_soon};
pub use clock::{advance, now, pause, resume};
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, kernel_sleep, sleep, sleep_until};
pub use timeout::{Elapsed, timeout, timeout_at, wait_for};
pub use timeout_scope::{TimeoutScope, timeout_scope};
