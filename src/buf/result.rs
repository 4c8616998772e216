//! What an operation returns: its result, and beside it the buffer that it used.

use std::io;

/// The result of an operation, and the buffer that it used.
///
/// The buffer comes back on errors too, so both parts are public. A pattern takes them apart:
///
/// ```no_run
/// use annulus::buf::BufResult;
///
/// # async fn f(mut stream: annulus::net::TcpStream) -> std::io::Result<()> {
/// let mut buffer = Vec::with_capacity(4096);
/// loop {
///     let BufResult(result, filled) = stream.read(buffer).await;
///     match result {
///         Ok(0) => return Ok(()),
///         Ok(_) => println!("{filled:?}"),
///         Err(error) => eprintln!("{error}"),
///     }
///     buffer = filled;
/// }
/// # }
/// ```
///
/// Where an error ends the function anyway, [`into_result`](Self::into_result) is shorter, and `.0`
/// where the buffer is not needed again:
///
/// ```no_run
/// # async fn f(mut stream: annulus::net::TcpStream) -> std::io::Result<()> {
/// let (count, buffer) = stream.read(Vec::with_capacity(4096)).await.into_result()?;
/// assert_eq!(buffer.len(), count);
/// stream.write_all("thanks\r\n").await.0?;
/// # Ok(()) }
/// ```
#[must_use = "the operation may have failed: look at the result, `.0`"]
#[derive(Debug)]
pub struct BufResult<T, B>(
    /// The result.
    pub io::Result<T>,
    /// The buffer.
    pub B,
);

impl<T, B> BufResult<T, B> {
    /// Returns the value and the buffer, or the error.
    ///
    /// # Errors
    ///
    /// That of the operation; the buffer is dropped then.
    pub fn into_result(self) -> io::Result<(T, B)> {
        match self.0 {
            Ok(value) => Ok((value, self.1)),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the operation succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.0.is_ok()
    }

    /// Returns whether the operation failed.
    #[must_use]
    pub fn is_err(&self) -> bool {
        self.0.is_err()
    }

    /// Converts the value; an error and the buffer stay what they are.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> BufResult<U, B> {
        BufResult(self.0.map(convert), self.1)
    }

    /// Converts the buffer, whether the operation succeeded or not.
    ///
    /// `map_buf(Slice::into_inner)` returns the whole of a buffer of which a range was used.
    pub fn map_buf<C>(self, convert: impl FnOnce(B) -> C) -> BufResult<T, C> {
        BufResult(self.0, convert(self.1))
    }

    /// Returns the value and the buffer.
    ///
    /// # Panics
    ///
    /// Panics with the error's text if the operation failed.
    #[track_caller]
    pub fn unwrap(self) -> (T, B) {
        (self.0.unwrap(), self.1)
    }

    /// Returns the value and the buffer.
    ///
    /// # Panics
    ///
    /// Panics with `message` and the error's text if the operation failed.
    #[track_caller]
    pub fn expect(self, message: &str) -> (T, B) {
        (self.0.expect(message), self.1)
    }
}

impl<T, B> From<(io::Result<T>, B)> for BufResult<T, B> {
    fn from((result, buffer): (io::Result<T>, B)) -> Self {
        Self(result, buffer)
    }
}

impl<T, B> From<BufResult<T, B>> for (io::Result<T>, B) {
    fn from(both: BufResult<T, B>) -> Self {
        (both.0, both.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> BufResult<usize, Vec<u8>> {
        BufResult(Err(io::ErrorKind::ConnectionReset.into()), vec![1, 2])
    }

    #[test]
    fn a_result_and_its_buffer_become_one_result() {
        let done = BufResult(Ok(3), "abc").into_result();
        assert_eq!(done.expect("a success"), (3, "abc"));
        let error = failed().into_result().expect_err("a failure");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_buffer_is_converted_also_beside_an_error() {
        let BufResult(result, buffer) =
            failed().map(|count| count + 1).map_buf(|buffer| buffer.len());
        assert!(result.is_err());
        assert_eq!(buffer, 2);
        assert_eq!(BufResult(Ok(1), ()).map(|count| count + 1).unwrap().0, 2);
    }

    #[test]
    #[should_panic(expected = "receive the header: Kind(ConnectionReset)")]
    fn an_expected_success_panics_with_its_text() {
        let _ = failed().expect("receive the header");
    }
}
