//! One writer, whose messages reach many readers.
//!
//! A message is over when the last reader has it, and is then followed by the next.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::pattern::{Cursor, Pattern};
use super::watch::{Watch, Window};
use super::{BATCH, PATIENCE, histogram, hung_up, record, stuck};
use crate::contenders::GREETING;
use crate::os::epoll::Epoll;
use crate::server::Server;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) readers: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages under way.
    pub(crate) depth: usize,
    /// How long to run before the measured window.
    pub(crate) warm_up: Duration,
    /// How long to measure.
    pub(crate) window: Duration,
}

/// What was measured.
pub(crate) struct Outcome {
    /// Messages that arrived within the window, counted at each reader.
    pub(crate) deliveries: u64,
    /// From the writer to each reader.
    pub(crate) latency: Histogram<u64>,
    /// From the writer to the last reader.
    pub(crate) last: Histogram<u64>,
    pub(crate) window: Window,
}

/// Runs the plan, and leaves nothing under way.
///
/// # Errors
///
/// If a connection fails, a byte differs, anything comes that should not, or the server is stuck.
pub(crate) fn run(plan: &Plan, server: &Server) -> io::Result<Outcome> {
    let mut load = FanOut::connect(plan, server)?;
    for _ in 0..plan.depth {
        load.publish()?;
    }
    load.turn_for(plan.warm_up)?;
    load.latency.reset();
    load.last.reset();
    let watch = Watch::begin(server)?;
    load.turn_for(plan.window)?;
    let window = watch.end()?;
    let (latency, last) = (load.latency.clone(), load.last.clone());
    load.finish()?;
    if latency.is_empty() {
        return Err(stuck());
    }
    Ok(Outcome { deliveries: latency.len(), latency, last, window })
}

struct FanOut {
    epoll: Epoll,
    pattern: Pattern,
    scratch: Vec<u8>,
    writer: TcpStream,
    /// What the writer's socket has taken.
    sent: Cursor,
    readers: Vec<Reader>,
    /// The messages that some reader has not got, the oldest first.
    under_way: VecDeque<Message>,
    /// How many messages every reader has.
    over: u64,
    /// Whether a message that is over is followed by another.
    goes_on: bool,
    latency: Histogram<u64>,
    last: Histogram<u64>,
}

struct Reader {
    stream: TcpStream,
    received: Cursor,
}

struct Message {
    published: Instant,
    /// How many readers have not got it.
    missing: usize,
}

/// The writer's token; readers have their place.
const WRITER: u64 = u64::MAX;

impl FanOut {
    /// Connects, and waits until the server knows all.
    fn connect(plan: &Plan, server: &Server) -> io::Result<Self> {
        let epoll = Epoll::new(BATCH)?;
        let mut readers = Vec::with_capacity(plan.readers);
        for place in 0..plan.readers {
            let stream = greeted(server)?;
            epoll.add(&stream, place as u64)?;
            readers.push(Reader { stream, received: Cursor::default() });
        }
        let writer = greeted(server)?;
        epoll.add(&writer, WRITER)?;
        Ok(Self {
            epoll,
            pattern: Pattern::new(plan.size),
            scratch: vec![0; 64 * 1024],
            writer,
            sent: Cursor::default(),
            readers,
            under_way: VecDeque::new(),
            over: 0,
            goes_on: true,
            latency: histogram(),
            last: histogram(),
        })
    }

    fn publish(&mut self) -> io::Result<()> {
        self.under_way
            .push_back(Message { published: Instant::now(), missing: self.readers.len() });
        self.flush()
    }

    fn published(&self) -> u64 {
        self.over + self.under_way.len() as u64
    }

    /// Sends what was published until the socket is full.
    fn flush(&mut self) -> io::Result<()> {
        while self.sent.message < self.published() {
            let rest = &self.pattern.message(0, self.sent.message)[self.sent.offset..];
            match self.writer.write(rest) {
                Ok(bytes) => self.sent.advance(bytes, self.pattern.size()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Turns until the time is over, and longer if nothing has come to a reader by then.
    fn turn_for(&mut self, time: Duration) -> io::Result<()> {
        let began = Instant::now();
        let mut heard = began;
        while began.elapsed() < time || self.latency.is_empty() {
            if self.turn(time.min(PATIENCE))? {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                return Err(stuck());
            }
        }
        Ok(())
    }

    /// Serves the connections that are ready; says whether there were any.
    fn turn(&mut self, limit: Duration) -> io::Result<bool> {
        let events: Vec<_> = self.epoll.wait(Some(limit))?.collect();
        for event in &events {
            if event.token != WRITER {
                self.receive(event.token as usize)?;
            } else if event.readable {
                return Err(unexpected("something came back to the writer"));
            } else {
                self.flush()?;
            }
        }
        while self.under_way.front().is_some_and(|message| message.missing == 0) {
            self.under_way.pop_front();
            self.over += 1;
            if self.goes_on {
                self.publish()?;
            }
        }
        Ok(!events.is_empty())
    }

    /// Takes in what has come to a reader, and compares it.
    fn receive(&mut self, place: usize) -> io::Result<()> {
        loop {
            let reader = &mut self.readers[place];
            let bytes = match reader.stream.read(&mut self.scratch) {
                Ok(0) => return Err(hung_up()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let before = reader.received.message;
            reader.received.verify(&self.pattern, 0, &self.scratch[..bytes])?;
            let now = Instant::now();
            for number in before..reader.received.message {
                let message = self.under_way.get_mut((number - self.over) as usize);
                let message = message.ok_or_else(|| unexpected("more came than was sent"))?;
                message.missing -= 1;
                record(&mut self.latency, now - message.published);
                if message.missing == 0 {
                    record(&mut self.last, now - message.published);
                }
            }
            if bytes < self.scratch.len() {
                return Ok(());
            }
        }
    }

    /// Waits for what is under way, and checks that every reader has got every message, and nothing
    /// else.
    fn finish(&mut self) -> io::Result<()> {
        self.goes_on = false;
        let began = Instant::now();
        while !self.under_way.is_empty() {
            self.turn(PATIENCE)?;
            if began.elapsed() > PATIENCE {
                return Err(stuck());
            }
        }
        let all = Cursor { message: self.published(), offset: 0 };
        if self.readers.iter().any(|reader| reader.received != all) {
            return Err(unexpected("a reader has not got what was sent"));
        }
        match self.writer.read(&mut self.scratch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(unexpected("something came back to the writer")),
        }
    }
}

/// A connection that the server has greeted, and so knows.
fn greeted(server: &Server) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting)?;
    if greeting != GREETING {
        return Err(unexpected("the greeting is another"));
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
