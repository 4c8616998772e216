//! Binding values to the current runtime.

use super::context;
use crate::task::ThreadBound;

impl<T: 'static> ThreadBound<T> {
    /// Binds a value to this thread and to the current runtime.
    ///
    /// By that it comes home if it is dropped elsewhere.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread; [`try_new`](Self::try_new) returns the value instead.
    #[track_caller]
    pub fn new(value: T) -> Self {
        context::current().executor.bind(value)
    }

    /// [`new`](Self::new) that does not panic.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no runtime on this thread.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::task::ThreadBound;
    ///
    /// assert_eq!(ThreadBound::try_new(1).unwrap_err(), 1);
    /// annulus::run(async { assert_eq!(*ThreadBound::try_new(1).unwrap(), 1) })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn try_new(value: T) -> Result<Self, T> {
        match context::try_current() {
            Some(shared) => Ok(shared.executor.bind(value)),
            None => Err(value),
        }
    }
}
