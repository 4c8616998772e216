//! The proxy: pairs of connections, each of which gets what comes on the other.
//!
//! What a socket does not take at once waits beside it, and its partner is not read from meanwhile.
//! When one side has sent all, the other is told so, and a pair ends when both have.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};

use slab::Slab;

use super::{BATCH, LISTENER, SHARED_BUFFER, accept_all};
use crate::os::epoll::{Epoll, Event};
use crate::os::socket;
use crate::server::Calls;

/// Serves for ever.
pub(super) fn serve(
    upstream: SocketAddrV4,
    listener: &TcpListener,
    calls: &Calls,
) -> io::Result<()> {
    let mut epoll = Epoll::new(BATCH)?;
    epoll.add(listener, LISTENER)?;
    let mut pairs = Slab::new();
    let mut buffer = vec![0; SHARED_BUFFER];
    let mut events = Vec::with_capacity(BATCH);
    loop {
        events.clear();
        events.extend(epoll.wait(None)?);
        calls.add(1);
        for event in &events {
            if event.token == LISTENER {
                accept_all(listener, calls, |client| open(client, upstream, &epoll, &mut pairs))?;
                continue;
            }
            let (place, side) = (event.token as usize / 2, event.token as usize % 2);
            let Some(pair) = pairs.get_mut(place) else { continue };
            // An error is the pair's alone, and ends it.
            if !pair.serve(side, event, &mut buffer, calls).unwrap_or(false) {
                pairs.remove(place);
                calls.add(2);
            }
        }
    }
}

/// Connects to the other server. Until that is done, the socket takes nothing.
fn open(
    client: TcpStream,
    upstream: SocketAddrV4,
    epoll: &Epoll,
    pairs: &mut Slab<Pair>,
) -> io::Result<()> {
    let upstream = socket::start_connect(Ipv4Addr::LOCALHOST, upstream)?;
    let place = pairs.vacant_key() as u64;
    epoll.add(&client, place * 2)?;
    epoll.add(&upstream, place * 2 + 1)?;
    pairs.insert(Pair { sides: [Side::new(client), Side::new(upstream)] });
    Ok(())
}

struct Pair {
    sides: [Side; 2],
}

struct Side {
    stream: TcpStream,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
    /// Its peer has sent all.
    ended: bool,
    /// Its peer was told that there is no more.
    told: bool,
}

impl Side {
    fn new(stream: TcpStream) -> Self {
        Self { stream, unsent: Vec::new(), ended: false, told: false }
    }

    /// Sends what the socket takes, and keeps the rest.
    fn send(&mut self, mut bytes: &[u8], calls: &Calls) -> io::Result<()> {
        while !bytes.is_empty() {
            calls.add(1);
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(bytes);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Pair {
    /// Says whether the pair goes on.
    fn serve(
        &mut self,
        side: usize,
        event: &Event,
        buffer: &mut [u8],
        calls: &Calls,
    ) -> io::Result<bool> {
        let was_full = !self.sides[side].unsent.is_empty();
        if was_full && event.writable {
            let rest = std::mem::take(&mut self.sides[side].unsent);
            self.sides[side].send(&rest, calls)?;
            // Its partner may hold what has been readable all along.
            self.pass(1 - side, true, buffer, calls)?;
        }
        if event.readable {
            self.pass(side, event.ended, buffer, calls)?;
        }
        Ok(!self.sides.iter().all(|side| side.told))
    }

    /// Reads from a side until there is no more, or until the other takes no more.
    fn pass(
        &mut self,
        from: usize,
        to_the_end: bool,
        buffer: &mut [u8],
        calls: &Calls,
    ) -> io::Result<()> {
        let (first, second) = self.sides.split_at_mut(1);
        let (first, second) = (&mut first[0], &mut second[0]);
        let (from, to) = if from == 0 { (first, second) } else { (second, first) };
        while to.unsent.is_empty() && !from.ended {
            calls.add(1);
            let count = match from.stream.read(buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            from.ended = count == 0;
            to.send(&buffer[..count], calls)?;
            // A read that does not fill the buffer has emptied the socket, but for an end.
            if count < buffer.len() && !to_the_end {
                break;
            }
        }
        if from.ended && to.unsent.is_empty() && !to.told {
            to.told = true;
            calls.add(1);
            to.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}
