//! By hand: one thread, non-blocking sockets, edge-triggered epoll, and httparse.
//!
//! What was read at once is answered at once. The clients here never let a socket fill up, so a
//! connection that does is closed.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::Task;
use crate::os::epoll::Epoll;
use crate::os::socket;
use crate::web::answers::{Date, Requests};

/// How many events are taken at once.
const BATCH: usize = 512;

/// The token of the listener; connections have their place.
const LISTENER: u64 = u64::MAX;

/// What a connection's requests are read into, by all connections.
const BUFFER: usize = 64 * 1024;

pub(super) fn serve(task: Task<'_>) -> io::Result<()> {
    let Task { listener, announce, .. } = task;
    listener.set_nonblocking(true)?;
    let mut epoll = Epoll::new(BATCH)?;
    epoll.add(&listener, LISTENER)?;
    announce(listener.local_addr()?)?;
    let mut connections = slab::Slab::new();
    let mut tools = Tools { buffer: vec![0; BUFFER], out: Vec::new(), date: Date::new() };
    let mut events = Vec::with_capacity(BATCH);
    loop {
        events.clear();
        events.extend(epoll.wait(None)?.map(|event| event.token));
        tools.date.refresh();
        for &token in &events {
            if token != LISTENER {
                // The last event of a connection may be told after it has been closed.
                let place = token as usize;
                let is_over = connections
                    .get_mut(place)
                    .is_some_and(|connection: &mut Connection| !connection.serve(&mut tools));
                if is_over {
                    connections.remove(place);
                }
                continue;
            }
            loop {
                match socket::accept(&listener) {
                    Ok(stream) => {
                        let place = connections.vacant_entry();
                        epoll.add(&stream, place.key() as u64)?;
                        place.insert(Connection { stream, requests: Requests::default() });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    requests: Requests,
}

/// What all connections share.
struct Tools {
    buffer: Vec<u8>,
    out: Vec<u8>,
    date: Date,
}

impl Connection {
    /// Answers what has come. Returns whether the connection goes on.
    fn serve(&mut self, tools: &mut Tools) -> bool {
        loop {
            let count = match self.stream.read(&mut tools.buffer) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            };
            tools.out.clear();
            let bytes = &tools.buffer[..count];
            let answered = self.requests.answer(bytes, &mut tools.date, &mut tools.out);
            if answered.is_err() || self.stream.write_all(&tools.out).is_err() {
                return false;
            }
            if self.requests.closes {
                return false;
            }
            // A read that does not fill the buffer has emptied the socket.
            if count < tools.buffer.len() {
                return true;
            }
        }
    }
}
