//! Requests of HTTP/1.1 on connections that stay open, one at a time on each.
//!
//! All answers of a server are alike but for their date: the first one is the template that all
//! others are compared with.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::watch::{Watch, Window};
use super::{BATCH, PATIENCE, histogram, hung_up, record, stuck};
use crate::os::epoll::Epoll;
use crate::server::Server;
use crate::web::BODY;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The length of a date like `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE: usize = 29;

/// Waits until a server accepts connections: one that listens itself is slow to do so.
pub(crate) fn await_start(address: SocketAddrV4) -> io::Result<TcpStream> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// An answer, of which the date may change.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    date: Range<usize>,
}

impl Template {
    /// Asks once. The answer has to be a 200 with the right body.
    fn ask(server: &Server) -> io::Result<Self> {
        let mut stream = await_start(server.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(REQUEST)?;
        let mut bytes = Vec::new();
        let mut some = [0; 1024];
        while !bytes.ends_with(BODY.as_bytes()) {
            match stream.read(&mut some)? {
                0 => return Err(differs(&bytes)),
                count => bytes.extend_from_slice(&some[..count]),
            }
        }
        Self::of(bytes)
    }

    fn of(bytes: Vec<u8>) -> io::Result<Self> {
        let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let is_right = head.starts_with("http/1.1 200 ")
            && head.contains(&format!("\r\ncontent-length: {}\r\n", BODY.len()))
            && bytes.ends_with(format!("\r\n\r\n{BODY}").as_bytes());
        if !is_right {
            return Err(differs(&bytes));
        }
        let date = head.find("\r\ndate: ").map_or(0..0, |at| at + 8..at + 8 + DATE);
        Ok(Self { bytes, date })
    }

    /// Whether these bytes come at this place of an answer.
    fn has(&self, place: usize, bytes: &[u8]) -> bool {
        let Some(expected) = self.bytes.get(place..place + bytes.len()) else { return false };
        let mut pairs = bytes.iter().zip(expected).zip(place..);
        pairs.all(|((one, other), place)| one == other || self.date.contains(&place))
    }
}

fn differs(answer: &[u8]) -> io::Error {
    let shown = answer[..answer.len().min(300)].escape_ascii();
    let text = format!("an answer is not what it has to be: {shown}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

struct Connection {
    stream: TcpStream,
    received: usize,
    /// When the request under way was due.
    due: Instant,
}

/// Connections to a server of HTTP.
pub(crate) struct Clients {
    epoll: Epoll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    template: Template,
    scratch: Vec<u8>,
    ready: Vec<usize>,
    heard: Instant,
}

impl Clients {
    pub(crate) fn connect(server: &Server, connections: usize) -> io::Result<Self> {
        let template = Template::ask(server)?;
        let epoll = Epoll::new(BATCH)?;
        let open = |number: usize| {
            let stream = TcpStream::connect(server.address())?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll.add(&stream, number as u64)?;
            io::Result::Ok(Connection { stream, received: 0, due: Instant::now() })
        };
        let idle = (0..connections).collect();
        let connections = (0..connections).map(open).collect::<io::Result<_>>()?;
        let (scratch, ready, heard) = (vec![0; 64 * 1024], Vec::new(), Instant::now());
        Ok(Self { epoll, connections, idle, template, scratch, ready, heard })
    }

    /// Asks on a connection, which is idle: there is room for a request.
    fn send(&mut self, number: usize, due: Instant) -> io::Result<()> {
        let connection = &mut self.connections[number];
        (connection.received, connection.due) = (0, due);
        match connection.stream.write(REQUEST)? {
            count if count == REQUEST.len() => Ok(()),
            _ => Err(io::Error::other("the socket has taken a part only")),
        }
    }

    /// Takes in what has come. Returns whether the answer is complete.
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
            if !self.template.has(connection.received, bytes) {
                return Err(differs(bytes));
            }
            connection.received += count;
            if connection.received == self.template.bytes.len() {
                return Ok(true);
            }
        }
    }

    /// Waits for answers for so long at most. Their connections are idle then.
    fn turn(&mut self, limit: Duration, mut answered: impl FnMut(Instant)) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        let events = self.epoll.wait(Some(limit))?;
        ready.extend(events.filter(|event| event.readable).map(|event| event.token as usize));
        if !ready.is_empty() {
            self.heard = Instant::now();
        } else if self.idle.len() < self.connections.len() && self.heard.elapsed() > PATIENCE {
            return Err(stuck());
        }
        for number in ready.drain(..) {
            if self.receive(number)? {
                self.idle.push(number);
                answered(self.connections[number].due);
            }
        }
        self.ready = ready;
        Ok(())
    }

    /// Asks so often, on all connections.
    pub(crate) fn ask(&mut self, requests: usize) -> io::Result<()> {
        let (mut sent, mut answered) = (0, 0);
        self.heard = Instant::now();
        while answered < requests {
            while sent < requests {
                let Some(number) = self.idle.pop() else { break };
                self.send(number, Instant::now())?;
                sent += 1;
            }
            self.turn(PATIENCE, |_| answered += 1)?;
        }
        Ok(())
    }

    /// Asks for so long, as often as it goes. Returns how many answers a second came.
    pub(crate) fn ask_for(&mut self, time: Duration) -> io::Result<f64> {
        let began = Instant::now();
        let mut answered = 0_u64;
        self.heard = began;
        while began.elapsed() < time {
            while let Some(number) = self.idle.pop() {
                self.send(number, Instant::now())?;
            }
            self.turn(time, |_| answered += 1)?;
        }
        let rate = answered as f64 / began.elapsed().as_secs_f64();
        while self.idle.len() < self.connections.len() {
            self.turn(PATIENCE, |_| ())?;
        }
        Ok(rate)
    }
}

/// Requests at a fixed rate, whatever the server does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// Requests a second, over all connections.
    pub(crate) rate: f64,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What was measured.
pub(crate) struct Outcome {
    /// Latencies of the requests that were due in the window, each from when it was due.
    pub(crate) latency: Histogram<u64>,
    pub(crate) window: Window,
}

/// Runs the plan. A request that is due when no connection is idle waits for one.
pub(crate) fn run(plan: &Plan, server: &Server) -> io::Result<Outcome> {
    let mut clients = Clients::connect(server, plan.connections)?;
    let mut latency = histogram();
    let began = Instant::now();
    let (opens, ends) = (began + plan.warm_up, began + plan.warm_up + plan.window);
    let mut watch = None;
    let (mut number, mut due) = (0_u64, began);
    let mut waiting = VecDeque::new();
    clients.heard = began;
    while due < ends {
        let now = Instant::now();
        if watch.is_none() && now >= opens {
            watch = Some(Watch::begin(server)?);
        }
        while due <= now && due < ends {
            waiting.push_back(due);
            number += 1;
            due = began + Duration::from_secs_f64(number as f64 / plan.rate);
        }
        while let (Some(_), Some(_)) = (waiting.front(), clients.idle.last()) {
            let (due, connection) = (waiting.pop_front(), clients.idle.pop());
            clients.send(connection.expect("one is idle"), due.expect("one waits"))?;
        }
        // The load has a core to itself: it looks for answers without ever sleeping.
        clients.turn(Duration::ZERO, |due| {
            if due >= opens {
                record(&mut latency, due.elapsed());
            }
        })?;
    }
    let watch = watch.map_or_else(|| Watch::begin(server), Ok)?;
    let window = watch.end()?;
    // What is still to be sent counts too.
    while !waiting.is_empty() || clients.idle.len() < clients.connections.len() {
        while let (Some(_), Some(_)) = (waiting.front(), clients.idle.last()) {
            let (due, connection) = (waiting.pop_front(), clients.idle.pop());
            clients.send(connection.expect("one is idle"), due.expect("one waits"))?;
        }
        clients.turn(Duration::from_millis(1), |due| {
            if due >= opens {
                record(&mut latency, due.elapsed());
            }
        })?;
    }
    Ok(Outcome { latency, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(date: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 13\r\nDate: {date}\r\n\r\n{BODY}").into_bytes()
    }

    #[test]
    fn only_the_date_of_an_answer_may_differ() {
        let template = Template::of(answer("Sun, 06 Nov 1994 08:49:37 GMT")).unwrap();
        let mut other = answer("Mon, 07 Nov 1994 08:49:38 GMT");
        assert!(template.has(0, &other) && template.has(20, &other[20..88]));
        assert!(!template.has(1, &other));
        other.push(b'x');
        assert!(!template.has(0, &other));
        *other.last_mut().unwrap() = b'?';
        assert!(!template.has(0, &other));
    }

    #[test]
    fn an_answer_has_to_be_the_right_one() {
        for wrong in ["HTTP/1.1 404 Not Found\r\n\r\nHello, World!", "HTTP/1.1 200 OK\r\n\r\nx"] {
            assert!(Template::of(wrong.as_bytes().to_vec()).is_err(), "{wrong}");
        }
    }
}
