//! A DNS forwarder: it passes the queries of clients to a resolver, and its answers back.
//!
//! It shows datagrams on lease, changed in place and sent on without a copy, a table of what is
//! under way that is bounded, one timeout for many queries, and what a server on UDP must not
//! trust: any host can send to it, also in the resolver's name. So each query goes on under an id
//! that cannot be guessed, and an answer must have that id and the same question.
//!
//! ```sh
//! cargo run --example dns_forward -- 127.0.0.1:5300 9.9.9.9:53
//! dig @127.0.0.1 -p 5300 example.org
//! ```
//!
//! It forwards UDP only: an answer that was cut tells the client to ask over TCP, which it must do
//! at the resolver itself. Nothing is cached.

#[path = "shared/outcome.rs"]
mod outcome;
#[path = "shared/parsed.rs"]
mod parsed;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use annulus::Shutdown;
use annulus::buf::Lease;
use annulus::net::{Datagram, DatagramEndpoint, UdpSocket, open_datagram_endpoint};
use annulus::time::sleep_until;
use futures_util::{FutureExt, select_biased};
use lexopt::ValueExt;

const USAGE: &str = "\
A DNS forwarder: it passes the queries of clients to a resolver, and its answers back.

Usage: dns_forward [OPTIONS] LISTEN RESOLVER

LISTEN is where clients ask, like 127.0.0.1:5300, RESOLVER where to ask, like 9.9.9.9:53.

Options:
  --timeout MS    how long the resolver may take, in milliseconds (2000)
  --queries N     how many queries may be under way (10000, at most 60000)
  -h, --help      print this";

struct Arguments {
    listen: String,
    resolver: String,
    timeout: Duration,
    queries: usize,
}

fn main() -> ExitCode {
    match parsed::arguments("dns_forward", USAGE, parse()) {
        Err(code) => code,
        Ok(arguments) => {
            let outcome = annulus::run(forward(&arguments));
            outcome::exit_code("dns_forward", outcome.unwrap_or_else(|error| Err(error.into())))
        }
    }
}

/// `None` if help is wanted.
fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::{Long, Short, Value};

    let (mut addresses, mut timeout, mut queries) = (Vec::new(), 2000, 10_000);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("timeout") => timeout = parser.value()?.parse()?,
            Long("queries") => queries = parser.value()?.parse()?,
            Value(address) if addresses.len() < 2 => addresses.push(address.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let Ok([listen, resolver]) = <[String; 2]>::try_from(addresses) else {
        return Err("LISTEN and RESOLVER are missing".into());
    };
    if !(1..=60_000).contains(&queries) {
        return Err("--queries is a number from 1 to 60000".into());
    }
    Ok(Some(Arguments { listen, resolver, timeout: Duration::from_millis(timeout), queries }))
}

async fn forward(arguments: &Arguments) -> io::Result<()> {
    let clients = UdpSocket::bind(arguments.listen.as_str()).await?;
    // Connected, so that the kernel drops what does not come from the resolver's address.
    let resolver = open_datagram_endpoint(arguments.resolver.as_str()).await?;
    let shutdown = Shutdown::on_signals()?;
    let here = clients.local_addr()?;
    let _ = writeln!(io::stdout(), "listening on {here}, asking {}", resolver.peer_addr()?);
    let mut forwarder = Forwarder {
        clients,
        resolver,
        table: Table::new(arguments.queries, arguments.timeout),
        counts: Counts::default(),
    };
    loop {
        // A receive that loses is dropped, which loses no datagram. The resolver's answers come
        // first: they make room in the table.
        select_biased! {
            () = shutdown.requested().fuse() => break,
            answer = forwarder.resolver.recv().fuse() => forwarder.answered(answer).await,
            query = forwarder.clients.recv_msg().fuse() => forwarder.asked(query).await,
            () = sleep_until(forwarder.table.next_deadline()).fuse() => forwarder.expire().await,
        }
    }
    let Counts { answered, failed, ignored } = forwarder.counts;
    let _ =
        writeln!(io::stdout(), "stopped: {answered} answered, {failed} failed, {ignored} ignored");
    Ok(())
}

struct Forwarder {
    clients: UdpSocket,
    resolver: DatagramEndpoint,
    table: Table,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    answered: u64,
    failed: u64,
    /// Datagrams that are neither queries nor answers to one.
    ignored: u64,
}

impl Forwarder {
    /// Passes a client's query on, under another id.
    async fn asked(&mut self, received: io::Result<Datagram>) {
        let Ok(datagram) = received else { return };
        let client = *datagram.address();
        let mut message = datagram.into_lease();
        let Some(question) = question_of(&message).filter(|_| !is_answer(&message)) else {
            self.counts.ignored += 1;
            return;
        };
        let query = Query { client, id: id_of(&message), question: question.into() };
        let id = match self.table.insert(query) {
            Ok(id) => id,
            // The table is full: the client is told at once, and may ask another.
            Err(query) => return self.fail(&query).await,
        };
        set_id(&mut message, id);
        if self.resolver.send(message).await.0.is_err() {
            if let Some(query) = self.table.remove(id) {
                self.fail(&query).await;
            }
        }
    }

    /// Passes the resolver's answer to the client that has asked.
    async fn answered(&mut self, received: io::Result<Datagram>) {
        let mut message = match received {
            Ok(datagram) => datagram.into_lease(),
            // Nothing listens there, or it cannot be reached.
            Err(_) => return self.fail_all().await,
        };
        let question = question_of(&message).filter(|_| is_answer(&message));
        let query = question.and_then(|question| self.table.take(id_of(&message), question));
        let Some(query) = query else {
            self.counts.ignored += 1;
            return;
        };
        set_id(&mut message, query.id);
        self.counts.answered += 1;
        // A client that is gone is no concern of the others.
        let _ = self.clients.send_to(message, query.client).await;
    }

    async fn expire(&mut self) {
        while let Some(query) = self.table.take_expired() {
            self.fail(&query).await;
        }
    }

    async fn fail_all(&mut self) {
        while let Some(query) = self.table.take_oldest() {
            self.fail(&query).await;
        }
    }

    /// Answers that the query has failed (SERVFAIL).
    async fn fail(&mut self, query: &Query) {
        self.counts.failed += 1;
        let [first, second] = query.id.to_be_bytes();
        // An answer, recursion desired and available, SERVFAIL; one question and nothing else.
        let mut message = vec![first, second, 0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&query.question);
        let _ = self.clients.send_to(message, query.client).await;
    }
}

/// A client's query that is under way.
struct Query {
    client: SocketAddr,
    /// What the client calls it.
    id: u16,
    /// Name, type and class.
    question: Box<[u8]>,
}

/// The queries that are under way, by the ids that the resolver knows them by.
struct Table {
    most: usize,
    timeout: Duration,
    queries: HashMap<u16, (Query, u64)>,
    /// The oldest first; those that have been answered are passed over.
    deadlines: VecDeque<(Instant, u16, u64)>,
    /// How many there have been.
    count: u64,
    /// Its keys are random and secret, so that what it makes of a number is, too.
    secret: RandomState,
}

impl Table {
    fn new(most: usize, timeout: Duration) -> Self {
        Self {
            most,
            timeout,
            queries: HashMap::new(),
            deadlines: VecDeque::new(),
            count: 0,
            secret: RandomState::new(),
        }
    }

    /// Takes a query in and returns an id for it; the query if there are too many.
    fn insert(&mut self, query: Query) -> Result<u16, Query> {
        if self.queries.len() >= self.most {
            return Err(query);
        }
        if self.deadlines.len() > 2 * self.most {
            // Most are of queries that were answered while an older one was not.
            let queries = &self.queries;
            self.deadlines.retain(|&(_, id, count)| is_current(queries, id, count));
        }
        loop {
            self.count += 1;
            let id = self.secret.hash_one(self.count) as u16;
            if !self.queries.contains_key(&id) {
                self.deadlines.push_back((Instant::now() + self.timeout, id, self.count));
                self.queries.insert(id, (query, self.count));
                return Ok(id);
            }
        }
    }

    fn remove(&mut self, id: u16) -> Option<Query> {
        self.queries.remove(&id).map(|(query, _)| query)
    }

    /// Takes a query out that has this id and question.
    fn take(&mut self, id: u16, question: &[u8]) -> Option<Query> {
        // Names are compared as they were sent: resolvers return the case of each letter.
        let (query, _) = self.queries.get(&id)?;
        if *query.question != *question { None } else { self.remove(id) }
    }

    /// When the oldest query expires; far in the future if there is none.
    fn next_deadline(&mut self) -> Instant {
        const LATER: Duration = Duration::from_secs(3600);
        self.forget_answered();
        self.deadlines.front().map_or_else(|| Instant::now() + LATER, |&(deadline, ..)| deadline)
    }

    fn take_expired(&mut self) -> Option<Query> {
        self.forget_answered();
        self.deadlines.front().filter(|(deadline, ..)| *deadline <= Instant::now())?;
        self.take_oldest()
    }

    fn take_oldest(&mut self) -> Option<Query> {
        self.forget_answered();
        let (_, id, _) = self.deadlines.pop_front()?;
        self.remove(id)
    }

    /// Removes the deadlines of queries that have been answered, up to the first that has not.
    fn forget_answered(&mut self) {
        while let Some(&(_, id, count)) = self.deadlines.front() {
            if is_current(&self.queries, id, count) {
                return;
            }
            self.deadlines.pop_front();
        }
    }
}

/// Whether the query with this number has not been answered. Its id may be another's by now.
fn is_current(queries: &HashMap<u16, (Query, u64)>, id: u16, count: u64) -> bool {
    queries.get(&id).is_some_and(|(_, present)| *present == count)
}

/// How many bytes come before the question.
const HEADER: usize = 12;

fn id_of(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

/// Writes an id into a message. Its buffer is changed in place where it has no other lease.
fn set_id(message: &mut Lease, id: u16) {
    match message.get_mut() {
        Some(bytes) => bytes[..2].copy_from_slice(&id.to_be_bytes()),
        None => {
            let mut bytes = message.to_vec();
            bytes[..2].copy_from_slice(&id.to_be_bytes());
            *message = bytes.into();
        }
    }
}

/// Whether a message with a header is an answer.
fn is_answer(message: &[u8]) -> bool {
    message[2] & 0x80 != 0
}

/// The question of a message: name, type and class. `None` if it is cut short, or if there is not
/// exactly one.
fn question_of(message: &[u8]) -> Option<&[u8]> {
    let header = message.get(..HEADER)?;
    if header[4..6] != [0, 1] {
        return None;
    }
    let question = &message[HEADER..];
    let mut end = 0;
    loop {
        match *question.get(end)? {
            0 => return question.get(..end + 5),
            // Labels have at most 63 bytes, and a name 255. A question has no pointers.
            length @ 1..=63 if end < 255 => end += 1 + usize::from(length),
            _ => return None,
        }
    }
}
