//! Telling the service manager about this process (sd_notify).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::{inherited, predecessor, role};
use crate::error::Describe;
use crate::sys::clock::monotonic_micros;

/// The variable that has the address of the service manager.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Tells the service manager something, such as `EXTEND_TIMEOUT_USEC=5000000`.
///
/// The text is one or more lines `NAME=VALUE`, as in sd_notify(3); for the most common there are
/// functions. Returns false if there is no service manager that wants to be told (`NOTIFY_SOCKET`
/// is not set), or if a successor has [taken over](fn@super::hand_over): the service is its now.
///
/// The call never waits.
///
/// # Errors
///
/// `WouldBlock` if the service manager has too many messages to read: try again later.
/// `InvalidData` if `NOTIFY_SOCKET` is neither a path nor an abstract name. Otherwise the kernel's,
/// such as
/// `NotFound`.
///
/// # Example
///
/// ```
/// // `cargo test` is not run by a service manager.
/// assert!(!annulus::service::notify("STATUS=testing")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "sd_notify")]
pub fn notify(text: &str) -> io::Result<bool> {
    if role::has_handed_over() {
        return Ok(false);
    }
    send(text)
}

/// Tells the service manager, and a predecessor that waits for it, that this process is ready.
///
/// Call it when this process accepts connections. In a process that another one has [handed
/// over](fn@super::hand_over) to, it tells that one, which then tells the service manager that the
/// service has a new main process: the service manager believes only the main process. Otherwise it
/// sends `READY=1`, which also says that a [reload](reloading) is over.
///
/// Returns false if there is none to be told.
///
/// # Errors
///
/// As for [`notify`]. In a successor that has not taken its sockets, `NotConnected`.
///
/// # Example
///
/// ```
/// use annulus::net::TcpListener;
/// use annulus::service;
///
/// annulus::run(async {
///     let _listener = TcpListener::bind("127.0.0.1:0").await?;
///     service::ready()?;
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "READY=1")]
pub fn ready() -> io::Result<bool> {
    if inherited::are_left()? {
        return Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "`service::ready` was called before `service::listeners`: the sockets of the \
             predecessor would be lost with it; take them first",
        ));
    }
    if predecessor::tell_ready() { Ok(true) } else { notify("READY=1") }
}

/// Tells the service manager that this process begins to shut down (`STOPPING=1`).
///
/// Has no effect, and returns false, if this process ends because a successor has taken over.
///
/// # Errors
///
/// As for [`notify`].
///
/// # Example
///
/// ```no_run
/// use annulus::{Shutdown, service};
///
/// annulus::run(async {
///     Shutdown::on_signals()?.requested().await;
///     service::stopping()?;
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "STOPPING=1")]
pub fn stopping() -> io::Result<bool> {
    notify("STOPPING=1")
}

/// Tells the service manager that this process begins to reload (`RELOADING=1`).
///
/// With the time, as `Type=notify-reload` demands it. [`ready`] ends it, or a successor that takes
/// over.
///
/// # Errors
///
/// As for [`notify`].
///
/// # Example
///
/// ```
/// use annulus::service;
///
/// service::reloading()?;
/// // ... reads its configuration
/// service::ready()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "RELOADING=1")]
#[doc(alias = "MONOTONIC_USEC")]
pub fn reloading() -> io::Result<bool> {
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()))
}

/// Tells the service manager the status that `systemctl status` shows.
///
/// Line ends in it become spaces: each line of a message is an assignment of its own.
///
/// # Errors
///
/// As for [`notify`].
///
/// # Example
///
/// ```
/// annulus::service::status("serving 42 connections")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "STATUS=")]
pub fn status(text: &str) -> io::Result<bool> {
    notify(&format!("STATUS={}", text.replace(['\n', '\0'], " ")))
}

/// [`notify`], also if a successor has taken over.
pub(super) fn send(text: &str) -> io::Result<bool> {
    let Some(address) = env::var_os(SOCKET) else { return Ok(false) };
    let doing = "notify the service manager";
    let address = address_of(&address)?;
    let socket = UnixDatagram::unbound().describe(doing)?;
    socket.set_nonblocking(true).describe(doing)?;
    socket.send_to_addr(text.as_bytes(), &address).describe(doing)?;
    Ok(true)
}

fn address_of(text: &OsStr) -> io::Result<SocketAddr> {
    let address = match text.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(text),
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "that is neither a path nor an abstract name, which begins with @",
        )),
    };
    address.map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{SOCKET} is {text:?}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        let path = address_of(OsStr::new("/run/notify")).unwrap();
        assert_eq!(path.as_pathname(), Some("/run/notify".as_ref()));
        let name = address_of(OsStr::new("@notify")).unwrap();
        assert_eq!(name.as_abstract_name(), Some(&b"notify"[..]));
    }

    #[test]
    fn a_wrong_address_is_named() {
        for text in ["", "notify", "vsock:2:1234", &format!("/{}", "p".repeat(108))] {
            let error = address_of(OsStr::new(text)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().starts_with("NOTIFY_SOCKET is "), "{error}");
        }
    }
}
