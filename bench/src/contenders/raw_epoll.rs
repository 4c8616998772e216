//! Epoll by hand: one thread, non-blocking sockets, edge-triggered. One of the two that say what
//! the machine can do.
//!
//! All connections share one buffer to read into; what a socket does not take at once waits in a
//! buffer of its connection, which is not read from meanwhile.

mod proxy;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::{Contender, GREETING, Memory, Service, own_buffer, source_block};
use crate::os::epoll::{Epoll, Event};
use crate::os::socket;
use crate::server::Calls;

/// The name of the form whose connections have a buffer each.
const OWN_BUFFERS: &str = "raw-epoll-own";

/// The buffer that all connections share.
const SHARED_BUFFER: usize = 64 * 1024;

/// How many events are taken at once.
const BATCH: usize = 512;

/// The token of the listener; connections have their place.
const LISTENER: u64 = u64::MAX;

pub(super) struct RawEpoll {
    /// Whether each connection has a buffer of its own, as most runtimes' connections have.
    own_buffers: bool,
}

pub(super) fn forms() -> [Box<dyn Contender>; 2] {
    [false, true].map(|own_buffers| Box::new(RawEpoll { own_buffers }) as Box<dyn Contender>)
}

impl Contender for RawEpoll {
    fn name(&self) -> &'static str {
        if self.own_buffers { OWN_BUFFERS } else { "raw-epoll" }
    }

    fn form(&self) -> &'static str {
        if self.own_buffers {
            "as raw-epoll, with a buffer for each connection"
        } else {
            "by hand, one thread, edge-triggered epoll"
        }
    }

    fn memory(&self) -> Memory {
        if self.own_buffers { Memory::Own } else { Memory::Shared("64 KiB for all") }
    }

    fn serves(&self, service: Service) -> bool {
        !self.own_buffers || matches!(service, Service::Echo | Service::Sink)
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        if let Service::Proxy(upstream) = service {
            return proxy::serve(upstream, &listener, calls);
        }
        let mut epoll = Epoll::new(BATCH)?;
        epoll.add(&listener, LISTENER)?;
        let mut connections = Connections::default();
        let mut tools =
            Tools { service, calls, buffer: vec![0; SHARED_BUFFER], block: source_block() };
        let own_buffer = || if self.own_buffers { vec![0; own_buffer()] } else { Vec::new() };
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            events.extend(epoll.wait(None)?);
            calls.add(1);
            for event in &events {
                if event.token == LISTENER {
                    accept(&listener, &epoll, &mut connections, &mut tools, own_buffer)?;
                } else {
                    connections.serve(event, &mut tools);
                }
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut Connections,
    tools: &mut Tools,
    own_buffer: impl Fn() -> Vec<u8>,
) -> io::Result<()> {
    accept_all(listener, tools.calls, |stream| {
        tools.calls.add(1);
        let place = connections.vacant_place();
        epoll.add(&stream, place as u64)?;
        let mut connection = Connection::new(stream, own_buffer());
        if let Service::FanOut = tools.service {
            connection.send(&GREETING, tools.calls)?;
        }
        connections.places[place] = Some(connection);
        Ok(())
    })
}

/// Takes all connections that wait. What a new one has sent already is an event of its own.
fn accept_all(
    listener: &TcpListener,
    calls: &Calls,
    mut accepted: impl FnMut(TcpStream) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        calls.add(1);
        match socket::accept(listener) {
            Ok(stream) => accepted(stream)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What serving a connection takes.
struct Tools {
    service: Service,
    calls: &'static Calls,
    buffer: Vec<u8>,
    block: Vec<u8>,
}

#[derive(Default)]
struct Connections {
    places: Vec<Option<Connection>>,
    vacant: Vec<usize>,
}

impl Connections {
    fn vacant_place(&mut self) -> usize {
        self.vacant.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    /// Serves the connection of an event, and closes it if that is its end.
    fn serve(&mut self, event: &Event, tools: &mut Tools) {
        let place = event.token as usize;
        let Some(connection) = &mut self.places[place] else { return };
        let served = match tools.service {
            Service::FanOut => self.fan_out(place, event, tools),
            _ => connection.serve(event, tools),
        };
        // An error is the connection's alone, and ends it.
        if !served.unwrap_or(false) {
            self.close(place, tools);
        }
    }

    fn close(&mut self, place: usize, tools: &Tools) {
        self.places[place] = None;
        self.vacant.push(place);
        tools.calls.add(1);
    }

    /// Hands what has come on a connection to all others; says whether it goes on.
    fn fan_out(&mut self, place: usize, event: &Event, tools: &mut Tools) -> io::Result<bool> {
        let own = self.places[place].as_mut().expect("the event is of an open connection");
        if event.writable && !own.unsent.is_empty() {
            own.send_rest(tools)?;
        }
        if !event.readable {
            return Ok(true);
        }
        loop {
            let own = self.places[place].as_mut().expect("it is open until this returns");
            tools.calls.add(1);
            let count = match own.stream.read(&mut tools.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            self.publish(place, &tools.buffer[..count], tools);
            // A read that does not fill the buffer has emptied the socket, but for an end.
            if count < tools.buffer.len() && !event.ended {
                return Ok(true);
            }
        }
    }

    fn publish(&mut self, from: usize, message: &[u8], tools: &Tools) {
        for place in (0..self.places.len()).filter(|&place| place != from) {
            let Some(connection) = &mut self.places[place] else { continue };
            if connection.send(message, tools.calls).is_err() {
                self.close(place, tools);
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
    /// How much of the source's block the socket has taken.
    offset: usize,
    total: u64,
    /// The peer has sent all.
    ended: bool,
    /// Empty if it reads into the buffer that all share.
    buffer: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, buffer: Vec<u8>) -> Self {
        Self { stream, unsent: Vec::new(), offset: 0, total: 0, ended: false, buffer }
    }

    /// Says whether the connection goes on.
    fn serve(&mut self, event: &Event, tools: &mut Tools) -> io::Result<bool> {
        if let Service::Source = tools.service {
            return self.produce(tools);
        }
        // A socket that was full may hold what has been readable all along.
        let was_full = !self.unsent.is_empty();
        if was_full && event.writable {
            self.send_rest(tools)?;
        }
        if self.unsent.is_empty() && (event.readable || was_full) {
            // A read that does not fill the buffer has emptied the socket, but for an end.
            let to_the_end = event.ended || was_full;
            if self.buffer.is_empty() {
                self.consume(tools, to_the_end)?;
            } else {
                std::mem::swap(&mut self.buffer, &mut tools.buffer);
                let consumed = self.consume(tools, to_the_end);
                std::mem::swap(&mut self.buffer, &mut tools.buffer);
                consumed?;
            }
        }
        Ok(!self.ended || !self.unsent.is_empty())
    }

    /// Reads until there is no more, or until the socket takes no more of the answer.
    fn consume(&mut self, tools: &mut Tools, to_the_end: bool) -> io::Result<()> {
        while self.unsent.is_empty() {
            tools.calls.add(1);
            let count = match self.stream.read(&mut tools.buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.total += count as u64;
            self.ended = count == 0;
            let whole = count < tools.buffer.len() && !to_the_end;
            match tools.service {
                Service::Sink if self.ended => self.send(&self.total.to_le_bytes(), tools.calls)?,
                Service::Echo => self.send(&tools.buffer[..count], tools.calls)?,
                _ => {}
            }
            if self.ended || whole {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what the socket takes, and keeps the rest.
    fn send(&mut self, mut bytes: &[u8], calls: &Calls) -> io::Result<()> {
        if !self.unsent.is_empty() {
            // It waits behind what waits already.
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
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

    fn send_rest(&mut self, tools: &Tools) -> io::Result<()> {
        let rest = std::mem::take(&mut self.unsent);
        self.send(&rest, tools.calls)
    }

    /// Sends the block over and over until the socket is full.
    fn produce(&mut self, tools: &Tools) -> io::Result<bool> {
        loop {
            tools.calls.add(1);
            match self.stream.write(&tools.block[self.offset..]) {
                Ok(count) => self.offset = (self.offset + count) % tools.block.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}
