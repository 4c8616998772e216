//! A channel for one value, from any thread to any other.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::sync::oneshot::shared::{self, Shared, oneshot_channel};
use crate::sync::oneshot::{RecvError, TryRecvError};
use crate::sync::state_cell::StateCell;

oneshot_channel! {
    /// Creates a channel for one value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    /// use annulus::sync::remote::oneshot;
    ///
    /// annulus::run(async {
    ///     let (sender, receiver) = oneshot::channel();
    ///     let computing = thread::spawn(move || sender.send(6 * 7));
    ///     assert_eq!(receiver.await, Ok(42));
    ///     computing.join().unwrap().unwrap();
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    in Arc<Mutex>
}
