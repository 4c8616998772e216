//! The service manager's watchdog, which restarts a service that has stopped to answer.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process;
use std::time::Duration;

use super::environment::wrong;
use super::notify::notify;
use crate::time::interval;

/// Returns how often the service manager expects a ping, at least (`WatchdogSec=`).
///
/// `None` if this service has no watchdog, or if another process is to answer it.
///
/// # Errors
///
/// `InvalidData` if `WATCHDOG_USEC` or `WATCHDOG_PID` is not a positive number.
///
/// # Example
///
/// ```
/// // `cargo test` has no watchdog.
/// assert_eq!(annulus::service::watchdog_interval()?, None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "sd_watchdog_enabled")]
#[doc(alias = "WATCHDOG_USEC")]
pub fn watchdog_interval() -> io::Result<Option<Duration>> {
    wanted(process::id(), |name| env::var_os(name))
}

/// Pings the service manager's watchdog at half the interval that it expects.
///
/// Spawn it in the runtime whose loop shows that the service is alive. It returns if this service
/// has no watchdog, or when a successor has [taken over](fn@super::hand_over). A ping that finds
/// the service manager too busy is left out.
///
/// # Errors
///
/// As for [`watchdog_interval`] and [`notify`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it pings no more, and the service manager restarts the service.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     annulus::spawn(annulus::service::answer_watchdog());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "WATCHDOG=1")]
pub async fn answer_watchdog() -> io::Result<()> {
    let Some(expected) = watchdog_interval()? else { return Ok(()) };
    // Of an interval that is too short to be meant, the loop is not to be busy.
    let mut pings = interval((expected / 2).max(Duration::from_millis(1)));
    loop {
        pings.tick().await;
        match notify("WATCHDOG=1") {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn wanted(
    this_process: u32,
    variable: impl Fn(&str) -> Option<OsString>,
) -> io::Result<Option<Duration>> {
    let number = |name: &str, what: &str| -> io::Result<Option<u64>> {
        let Some(text) = variable(name) else { return Ok(None) };
        let number = text.to_str().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
        number.map(Some).ok_or_else(|| wrong(format!("{name} is {text:?}, which is not {what}")))
    };
    let process = number("WATCHDOG_PID", "the id of a process")?;
    if process.is_some_and(|process| process != this_process.into()) {
        return Ok(None);
    }
    let micros = number("WATCHDOG_USEC", "a number of microseconds")?;
    Ok(micros.map(Duration::from_micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THIS: u32 = 4242;

    fn given(variables: &[(&str, &str)]) -> io::Result<Option<Duration>> {
        wanted(THIS, |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_watchdog_is_that_of_the_process_that_it_names_or_of_any() {
        let second = ("WATCHDOG_USEC", "1000000");
        assert_eq!(given(&[]).unwrap(), None);
        assert_eq!(given(&[second]).unwrap(), Some(Duration::from_secs(1)));
        assert_eq!(
            given(&[second, ("WATCHDOG_PID", "4242")]).unwrap(),
            Some(Duration::from_secs(1))
        );
        assert_eq!(given(&[second, ("WATCHDOG_PID", "4241")]).unwrap(), None);
    }

    #[test]
    fn a_wrong_interval_is_named_with_its_value() {
        for (name, value) in
            [("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "soon"), ("WATCHDOG_PID", "me")]
        {
            let error = given(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is {value:?}, ")), "{error}");
        }
    }
}
