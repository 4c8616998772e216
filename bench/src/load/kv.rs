//! Requests to a store with the protocol of Redis: each connection sends some at once, waits for
//! all replies, compares them, and sends the next.
//!
//! A key is a number of six digits, and its value follows from it, so that every reply is known.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::watch::{Watch, Window};
use super::{BATCH, PATIENCE, histogram, hung_up, record, stuck};
use crate::os::epoll::Epoll;
use crate::server::Server;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Request {
    Get,
    Set,
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// Requests that are sent at once.
    pub(crate) pipeline: usize,
    pub(crate) request: Request,
    /// How many keys there are, all of which are set before.
    pub(crate) keys: usize,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What was measured.
pub(crate) struct Outcome {
    /// Requests that were answered within the window.
    pub(crate) requests: u64,
    /// Of each pipeline, from the send to the last reply.
    pub(crate) latency: Histogram<u64>,
    pub(crate) window: Window,
}

/// Runs the plan.
///
/// # Errors
///
/// If a connection fails, a reply differs from what it has to be, or the server is stuck.
pub(crate) fn run(plan: &Plan, server: &Server) -> io::Result<Outcome> {
    fill(server.address(), plan.keys)?;
    let mut clients = Clients::connect(plan, server.address())?;
    let mut latency = histogram();
    for client in 0..clients.connections.len() {
        clients.send(client)?;
    }
    clients.turn_for(plan.warm_up, &mut latency)?;
    latency.reset();
    let before = clients.answered;
    let watch = Watch::begin(server)?;
    clients.turn_for(plan.window, &mut latency)?;
    let window = watch.end()?;
    let requests = clients.answered - before;
    if requests == 0 {
        return Err(stuck());
    }
    Ok(Outcome { requests, latency, window })
}

const DIGITS: usize = 6;
/// How many keys there can be.
pub(crate) const MAX_KEYS: usize = 10_usize.pow(DIGITS as u32);

/// A text with the key's digits in some places.
struct Template {
    text: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// `#` stands for the digits.
    fn new(text: &str) -> Self {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        for byte in text.bytes() {
            if byte == b'#' {
                places.push(bytes.len());
                bytes.extend([b'0'; DIGITS]);
            } else {
                bytes.push(byte);
            }
        }
        Self { text: bytes, places }
    }

    fn write(&self, key: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.text);
        let mut digits = [b'0'; DIGITS];
        let mut rest = key;
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        for place in &self.places {
            out[start + place..start + place + DIGITS].copy_from_slice(&digits);
        }
    }
}

/// What is sent and what is to come back, for a key. Keys have 16 bytes and values 32.
fn templates(request: Request) -> (Template, Template) {
    let key = "$16\r\nkey:0000::#\r\n";
    let value = "$32\r\n#:#:#:#:....\r\n";
    let get = format!("*2\r\n$3\r\nGET\r\n{key}");
    let set = format!("*3\r\n$3\r\nSET\r\n{key}{value}");
    match request {
        Request::Get => (Template::new(&get), Template::new(value)),
        Request::Set => (Template::new(&set), Template::new("+OK\r\n")),
    }
}

/// Sets all keys. A server that is slow to start is given time to listen.
fn fill(address: SocketAddrV4, keys: usize) -> io::Result<()> {
    let began = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let (set, ok) = templates(Request::Set);
    let (mut requests, mut replies, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    let all: Vec<_> = (0..keys).collect();
    for some in all.chunks(256) {
        requests.clear();
        expected.clear();
        for &key in some {
            set.write(key, &mut requests);
            ok.write(key, &mut expected);
        }
        stream.write_all(&requests)?;
        replies.resize(expected.len(), 0);
        stream.read_exact(&mut replies)?;
        if replies != expected {
            return Err(differs(&replies));
        }
    }
    Ok(())
}

fn differs(reply: &[u8]) -> io::Error {
    let text = format!("a reply is not what it has to be: {}", reply.escape_ascii());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

struct Connection {
    stream: TcpStream,
    /// The key of the first request of the next pipeline.
    next: usize,
    /// The replies that are to come, and how much of them has.
    expected: Vec<u8>,
    received: usize,
    sent: Instant,
}

struct Clients {
    epoll: Epoll,
    connections: Vec<Connection>,
    request: Template,
    reply: Template,
    pipeline: usize,
    keys: usize,
    scratch: Vec<u8>,
    answered: u64,
}

/// What the numbers of following keys differ by: a prime, so that all keys are asked for.
const STRIDE: usize = 7919;

impl Clients {
    fn connect(plan: &Plan, address: SocketAddrV4) -> io::Result<Self> {
        let epoll = Epoll::new(BATCH)?;
        let open = |number: usize| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, number as u64)?;
            let next = number * 104_729 % plan.keys;
            let expected = Vec::new();
            io::Result::Ok(Connection { stream, next, expected, received: 0, sent: Instant::now() })
        };
        let connections = (0..plan.connections).map(open).collect::<io::Result<_>>()?;
        let (request, reply) = templates(plan.request);
        let Plan { pipeline, keys, .. } = *plan;
        let scratch = vec![0; 64 * 1024];
        Ok(Self { epoll, connections, request, reply, pipeline, keys, scratch, answered: 0 })
    }

    /// Sends the next pipeline of a connection. There is room for it, as nothing else is under way.
    fn send(&mut self, number: usize) -> io::Result<()> {
        let connection = &mut self.connections[number];
        let mut requests = std::mem::take(&mut self.scratch);
        requests.clear();
        connection.expected.clear();
        connection.received = 0;
        for _ in 0..self.pipeline {
            self.request.write(connection.next, &mut requests);
            self.reply.write(connection.next, &mut connection.expected);
            connection.next = (connection.next + STRIDE) % self.keys;
        }
        connection.sent = Instant::now();
        let written = connection.stream.write(&requests)?;
        let is_all = written == requests.len();
        requests.resize(64 * 1024, 0);
        self.scratch = requests;
        if is_all { Ok(()) } else { Err(io::Error::other("the socket has taken a part only")) }
    }

    /// Takes in what has come; returns whether all replies are there.
    fn receive(&mut self, number: usize) -> io::Result<bool> {
        let connection = &mut self.connections[number];
        loop {
            let count = match connection.stream.read(&mut self.scratch) {
                Ok(0) => return Err(hung_up()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let bytes = &self.scratch[..count];
            if !connection.expected[connection.received..].starts_with(bytes) {
                return Err(differs(&bytes[..count.min(200)]));
            }
            connection.received += count;
            if connection.received == connection.expected.len() {
                return Ok(true);
            }
        }
    }

    /// Turns until the time is over, and longer if nothing has been answered by then.
    fn turn_for(&mut self, time: Duration, latency: &mut Histogram<u64>) -> io::Result<()> {
        let (end, before) = (Instant::now() + time, self.answered);
        let mut heard = Instant::now();
        let mut ready = Vec::with_capacity(BATCH);
        loop {
            let now = Instant::now();
            let (rest, is_answered) = (end.saturating_duration_since(now), self.answered > before);
            if rest.is_zero() && is_answered {
                return Ok(());
            }
            let limit = if is_answered { rest.min(PATIENCE) } else { PATIENCE };
            let events = self.epoll.wait(Some(limit))?;
            ready.extend(events.filter(|event| event.readable).map(|event| event.token as usize));
            if !ready.is_empty() {
                heard = now;
            } else if now - heard > PATIENCE {
                return Err(stuck());
            }
            for number in ready.drain(..) {
                if self.receive(number)? {
                    self.answered += self.pipeline as u64;
                    record(latency, self.connections[number].sent.elapsed());
                    self.send(number)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(template: &Template, key: usize) -> String {
        let mut out = Vec::new();
        template.write(key, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_say_how_long_they_are() {
        let (get, value) = templates(Request::Get);
        let (set, ok) = templates(Request::Set);
        let key = "$16\r\nkey:0000::000042\r\n";
        assert_eq!(text(&get, 42), format!("*2\r\n$3\r\nGET\r\n{key}"));
        let (head, body) = (text(&value, 42)[..5].to_owned(), text(&value, 42)[5..].to_owned());
        assert_eq!((&*head, body.len()), ("$32\r\n", 34));
        assert_eq!(text(&set, 42), format!("*3\r\n$3\r\nSET\r\n{key}{head}{body}"));
        assert_eq!(text(&ok, 42), "+OK\r\n");
    }
}
