//! What a receive has met: a message, the end of the connection, or an error.

use std::io;

use crate::buf::Lease;
use crate::net::datagram::core::DatagramCore;
use crate::net::datagram::meta::whole;
use crate::op::Arrived;
use crate::sys::datagram::Envelope;

/// A message that was received, maybe in part; `None` at the end.
pub(super) fn message(
    core: &DatagramCore,
    received: io::Result<Envelope>,
    doing: &str,
) -> io::Result<Option<Envelope>> {
    core.socket().message(received?, doing)
}

/// The length of a message that was received as a whole; `None` at the end.
pub(super) fn length(
    core: &DatagramCore,
    received: io::Result<Envelope>,
) -> io::Result<Option<usize>> {
    let message = message(core, received, "recv")?;
    message.map(|message| whole(message, "recv").map(|it| it.length)).transpose()
}

/// A message on lease; `None` at the end.
pub(super) fn lease(
    core: &DatagramCore,
    arrived: io::Result<Arrived>,
) -> io::Result<Option<Lease>> {
    let Arrived { bytes, envelope } = arrived?;
    Ok(length(core, Ok(envelope))?.map(|_| bytes))
}
