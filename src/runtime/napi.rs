//! Options of NAPI busy polling.

use std::time::Duration;

/// How the kernel polls the network device; see
/// [`Builder::napi_busy_poll`](crate::Builder::napi_busy_poll).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::{Builder, NapiOptions};
///
/// let napi = NapiOptions::new(Duration::from_micros(50)).prefer(true);
/// let builder = Builder::new().napi_busy_poll(napi);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct NapiOptions {
    pub(super) timeout: Duration,
    pub(super) prefer: bool,
}

impl NapiOptions {
    /// Polls the device for up to `timeout` whenever the event loop waits.
    ///
    /// Rounded up to whole microseconds; at most 71 minutes, beyond which it is cut.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, prefer: false }
    }

    /// Sets whether the device's interrupts stay off. Off by default.
    ///
    /// They stay off for as long as the kernel polls often enough.
    #[doc(alias = "SO_PREFER_BUSY_POLL")]
    pub fn prefer(mut self, prefer: bool) -> Self {
        self.prefer = prefer;
        self
    }
}
