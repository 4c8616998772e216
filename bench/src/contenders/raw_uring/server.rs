//! The loop of the hand-written ring server.
//!
//! One submit-and-wait a turn. What came for a connection by the time its socket is
//! free goes out as one send: a plain one for one buffer, a vectored one for several, with
//! `MSG_WAITALL`, so that it is one completion. A connection is closed when nothing of it is with
//! the kernel any more, so that its place can be used again at once.
//!
//! What comes on a connection goes to itself (an echo), to its partner (a proxy), or to all others
//! (a fan-out). Buffers are not copied: a provided one goes back when the last has sent it.

use std::collections::VecDeque;
use std::net::{SocketAddrV4, TcpListener};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::{io, mem, ptr};

use io_uring::squeue::Entry;
use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode};

use super::buffers::{Buffers, GROUP};
use super::{Form, Receiving};
use crate::contenders::{GREETING, Service, own_buffer, source_block};
use crate::os::socket;
use crate::server::Calls;

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 32 * 1024;

/// Places of the ring's table of files.
const TABLE: u32 = 16 * 1024;

/// How many buffers go into one send at most.
const AT_ONCE: usize = 64;

/// What an operation is, in the upper half of its user data. The lower is the connection.
const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const CLOSE: u64 = 3;
const SOCKET: u64 = 4;
const CONNECT: u64 = 5;
const SHUTDOWN: u64 = 6;

pub(super) struct Server {
    submitter: Submitter<'static>,
    submissions: SubmissionQueue<'static>,
    service: Service,
    receiving: Receiving,
    direct: bool,
    listener: TcpListener,
    calls: &'static Calls,
    buffers: Option<Buffers>,
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    /// Connections whose receive ended for want of buffers.
    starved: Vec<usize>,
    /// Room for the pieces of one arrival.
    taken: Vec<Piece>,
    block: &'static [u8],
    /// Where a proxy connects to.
    upstream: Box<libc::sockaddr_in>,
}

impl Server {
    pub(super) fn new(
        form: &Form,
        service: Service,
        listener: TcpListener,
        calls: &'static Calls,
    ) -> io::Result<(Self, CompletionQueue<'static>)> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        // The server ends with its process.
        let (mut submitter, submissions, completions) = Box::leak(Box::new(ring)).split();
        // An older kernel looks the descriptor up at each call instead.
        let _ = submitter.register_ring_fd();
        if form.direct {
            submitter.register_files_sparse(TABLE)?;
        }
        let buffers = match form.receiving {
            Receiving::OneShot => None,
            Receiving::Provided { size, count, .. } => {
                Some(Buffers::register(&submitter, size, count)?)
            }
        };
        let upstream = match service {
            Service::Proxy(upstream) => upstream,
            _ => SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0),
        };
        let server = Self {
            submitter,
            submissions,
            service,
            receiving: form.receiving,
            direct: form.direct,
            listener,
            calls,
            buffers,
            connections: Vec::new(),
            vacant: Vec::new(),
            starved: Vec::new(),
            taken: Vec::new(),
            block: source_block().leak(),
            upstream: Box::new(socket::raw_address(upstream)),
        };
        Ok((server, completions))
    }

    pub(super) fn run(&mut self, mut completions: CompletionQueue<'static>) -> io::Result<()> {
        self.accept()?;
        loop {
            self.enter(1)?;
            completions.sync();
            for completion in &mut completions {
                self.complete(&completion)?;
            }
            self.feed()?;
        }
    }

    /// Submits what is queued and waits for `wanted` completions.
    fn enter(&mut self, wanted: usize) -> io::Result<()> {
        self.calls.add(1);
        self.submissions.sync();
        let entered = self.submitter.submit_and_wait(wanted);
        self.submissions.sync();
        match entered {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn complete(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let place = (completion.user_data() & u64::from(u32::MAX)) as usize;
        match completion.user_data() >> 32 {
            ACCEPT => self.accepted(completion),
            RECEIVE => self.received(place, completion),
            SEND => self.sent(place, completion.result()),
            SOCKET => self.connect(place, completion.result()),
            CONNECT => self.connected(place, completion.result()),
            SHUTDOWN => {
                connection(&mut self.connections, place).shutting -= 1;
                self.advance(place)
            }
            _ => Ok(()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let fd = Fd(self.listener.as_raw_fd());
        let flags = if self.direct { 0 } else { libc::SOCK_CLOEXEC };
        let accept = opcode::AcceptMulti::new(fd).allocate_file_index(self.direct).flags(flags);
        self.push(accept.build(), ACCEPT, 0)
    }

    fn accepted(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let result = completion.result();
        if result >= 0 {
            let place = self.open(result);
            match self.service {
                Service::Source => self.produce(place)?,
                Service::Proxy(_) => self.make_socket(place)?,
                Service::FanOut => {
                    connection(&mut self.connections, place).queue.push_back(Piece::Greeting);
                    self.advance(place)?;
                }
                _ => self.receive(place)?,
            }
        } else if result != -libc::ECONNABORTED {
            return Err(io::Error::from_raw_os_error(-result));
        }
        if cqueue::more(completion.flags()) { Ok(()) } else { self.accept() }
    }

    /// Takes on a connection.
    fn open(&mut self, socket: i32) -> usize {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let own = match (self.receiving, self.service) {
            (Receiving::OneShot, Service::Echo | Service::Sink | Service::Proxy(_)) => {
                vec![0; own_buffer()]
            }
            _ => Vec::new(),
        };
        self.connections[place] = Some(Connection::new(socket, own));
        place
    }

    /// Asks for a socket to the other server, for the client at a place.
    fn make_socket(&mut self, place: usize) -> io::Result<()> {
        let (domain, kind) = (libc::AF_INET, libc::SOCK_STREAM);
        let entry = if self.direct {
            let slot = Some(DestinationSlot::auto_target());
            opcode::Socket::new(domain, kind, 0).file_index(slot).build()
        } else {
            opcode::Socket::new(domain, kind | libc::SOCK_CLOEXEC, 0).build()
        };
        self.push(entry, SOCKET, place)
    }

    fn connect(&mut self, client: usize, socket: i32) -> io::Result<()> {
        if socket < 0 {
            return Err(io::Error::from_raw_os_error(-socket));
        }
        let place = self.open(socket);
        connection(&mut self.connections, place).partner = Some(client);
        connection(&mut self.connections, client).partner = Some(place);
        let (address, length) = (&raw const *self.upstream, size_of::<libc::sockaddr_in>() as u32);
        let entry = if self.direct {
            opcode::Connect::new(Fixed(socket as u32), address.cast(), length).build()
        } else {
            opcode::Connect::new(Fd(socket), address.cast(), length).build()
        };
        self.push(entry, CONNECT, place)
    }

    /// Begins to pass on, in both directions.
    fn connected(&mut self, place: usize, result: i32) -> io::Result<()> {
        let client = self.partner(place).expect("only what has a partner connects");
        if result < 0 {
            self.give_up(place)?;
            return self.close_pair(place, client);
        }
        self.receive(client)?;
        self.receive(place)
    }

    fn partner(&self, place: usize) -> Option<usize> {
        self.connections[place].as_ref().and_then(|one| one.partner)
    }

    fn receive(&mut self, place: usize) -> io::Result<()> {
        let connection = connection(&mut self.connections, place);
        connection.receiving = true;
        let socket = connection.socket;
        let (own, length) = (connection.own.as_mut_ptr(), connection.own.len() as u32);
        let direct = self.direct;
        let entry = match self.receiving {
            Receiving::OneShot if direct => {
                opcode::Recv::new(Fixed(socket as u32), own, length).build()
            }
            Receiving::OneShot => opcode::Recv::new(Fd(socket), own, length).build(),
            Receiving::Provided { bundles: true, .. } if direct => {
                opcode::RecvMultiBundle::new(Fixed(socket as u32), GROUP).build()
            }
            Receiving::Provided { bundles: true, .. } => {
                opcode::RecvMultiBundle::new(Fd(socket), GROUP).build()
            }
            Receiving::Provided { .. } if direct => {
                opcode::RecvMulti::new(Fixed(socket as u32), GROUP).build()
            }
            Receiving::Provided { .. } => opcode::RecvMulti::new(Fd(socket), GROUP).build(),
        };
        self.push(entry, RECEIVE, place)
    }

    fn received(&mut self, place: usize, completion: &cqueue::Entry) -> io::Result<()> {
        let (result, flags) = (completion.result(), completion.flags());
        let connection = connection(&mut self.connections, place);
        connection.receiving = cqueue::more(flags);
        if result == -libc::ENOBUFS {
            self.starved.push(place);
            return Ok(());
        }
        if result > 0 {
            connection.total += result as u64;
            return self.pass_on(place, result as usize, cqueue::buffer_select(flags));
        }
        connection.ended = true;
        connection.broken |= result < 0;
        // A buffer may come with an end.
        if let (Some(buffers), Some(buffer)) = (&mut self.buffers, cqueue::buffer_select(flags)) {
            buffers.release(buffer);
        }
        if let Service::Sink = self.service {
            let total = connection.total.to_le_bytes();
            connection.outgoing.count = total;
            connection.queue.push_back(Piece::Count);
        }
        if let Some(partner) = connection.partner {
            if connection.broken {
                self.give_up(place)?;
            }
            self.advance(partner)?;
            // A pair ends together, and its other half may just have seen to that.
            if self.connections[place].is_none() {
                return Ok(());
            }
        }
        self.advance(place)
    }

    /// Queues what came on a connection where it goes to.
    fn pass_on(&mut self, from: usize, bytes: usize, first: Option<u16>) -> io::Result<()> {
        let targets: Range<usize> = match self.service {
            Service::Echo => from..from + 1,
            Service::Proxy(_) => self.partner(from).map_or(0..0, |partner| partner..partner + 1),
            Service::FanOut => 0..self.connections.len(),
            Service::Sink | Service::Source => 0..0,
        };
        let all_others = self.service == Service::FanOut;
        let is_target = |place: &usize| !all_others || *place != from;
        let mut reached = 0;
        for place in targets.clone().filter(is_target) {
            let Some(target) = self.connections[place].as_mut() else { continue };
            reached += 1;
            match (&self.buffers, first) {
                (Some(buffers), Some(first)) => {
                    each_piece(buffers, first, bytes, |piece| target.queue.push_back(piece));
                }
                _ => target.queue.push_back(Piece::Own { source: from, length: bytes }),
            }
        }
        match (&mut self.buffers, first) {
            (Some(buffers), Some(first)) => {
                let mut taken = mem::take(&mut self.taken);
                each_piece(buffers, first, bytes, |piece| taken.push(piece));
                for piece in taken.drain(..) {
                    let Piece::Provided { buffer, .. } = piece else { continue };
                    match reached {
                        0 => buffers.release(buffer),
                        _ => buffers.share(buffer, reached),
                    }
                }
                self.taken = taken;
            }
            _ => connection(&mut self.connections, from).lent = reached > 0,
        }
        for place in targets.filter(is_target) {
            if self.connections[place].is_some() {
                self.advance(place)?;
            }
        }
        // An echo has advanced already; others receive on.
        match &self.connections[from] {
            Some(_) if self.service != Service::Echo => self.advance(from),
            _ => Ok(()),
        }
    }

    /// Sends what waits, receives on, or closes: whatever a connection has come to.
    fn advance(&mut self, place: usize) -> io::Result<()> {
        let connection = connection(&mut self.connections, place);
        if connection.sending == 0 && !connection.queue.is_empty() && !connection.broken {
            self.send(place)?;
            return self.receive_if_due(place);
        }
        if let Some(partner) = connection.partner {
            return self.advance_pair(place, partner);
        }
        let idle = connection.sending == 0 && !connection.receiving && connection.shutting == 0;
        if connection.ended && idle {
            return self.close(place);
        }
        self.receive_if_due(place)
    }

    /// Tells the peer that there is no more, if so, and closes a pair that has come to its end.
    fn advance_pair(&mut self, place: usize, partner: usize) -> io::Result<()> {
        let no_more = connection(&mut self.connections, partner).ended;
        let own = connection(&mut self.connections, place);
        if no_more && own.sending == 0 && own.queue.is_empty() && !own.told {
            own.told = true;
            self.shut_down(place, libc::SHUT_WR)?;
        }
        self.receive_if_due(place)?;
        self.close_pair(place, partner)
    }

    /// Closes both halves if nothing of them is with the kernel, and nothing can come any more.
    fn close_pair(&mut self, place: usize, partner: usize) -> io::Result<()> {
        let both = [place, partner];
        if !both.into_iter().all(|one| connection(&mut self.connections, one).is_over()) {
            return Ok(());
        }
        self.close(place)?;
        self.close(partner)
    }

    /// Ends a pair of which one half is broken.
    fn give_up(&mut self, place: usize) -> io::Result<()> {
        for place in [Some(place), self.partner(place)].into_iter().flatten() {
            let one = connection(&mut self.connections, place);
            one.broken = true;
            one.ended = true;
            // Then its receive ends too.
            self.shut_down(place, libc::SHUT_RDWR)?;
        }
        Ok(())
    }

    /// Receives on, unless the kernel still does, or the connection's own buffer is being sent.
    fn receive_if_due(&mut self, place: usize) -> io::Result<()> {
        let connection = connection(&mut self.connections, place);
        if connection.receiving || connection.ended || connection.lent {
            return Ok(());
        }
        self.receive(place)
    }

    fn send(&mut self, place: usize) -> io::Result<()> {
        // A buffer that this connection sends from may be its partner's.
        let own = self.lender(place);
        let connection = connection(&mut self.connections, place);
        let pieces = connection.queue.len().min(AT_ONCE);
        connection.sending = pieces;
        let outgoing = &mut *connection.outgoing;
        let count = outgoing.count.as_mut_ptr();
        for (piece, slice) in connection.queue.iter().zip(&mut outgoing.slices) {
            let (address, length) = match *piece {
                Piece::Own { length, .. } => (own, length),
                Piece::Greeting => (GREETING.as_ptr().cast_mut(), GREETING.len()),
                Piece::Count => (count, size_of::<u64>()),
                Piece::Provided { buffer, length } => {
                    let buffers = self.buffers.as_ref().expect("the buffer is of this ring");
                    (buffers.address(buffer), length)
                }
            };
            *slice = libc::iovec { iov_base: address.cast(), iov_len: length };
        }
        outgoing.message.msg_iov = outgoing.slices.as_mut_ptr();
        outgoing.message.msg_iovlen = pieces;
        let message = &raw const outgoing.message;
        let (address, length) = (outgoing.slices[0].iov_base.cast(), outgoing.slices[0].iov_len);
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let socket = connection.socket;
        let entry = match (pieces, self.direct) {
            (1, true) => {
                opcode::Send::new(Fixed(socket as u32), address, length as u32).flags(flags).build()
            }
            (1, false) => {
                opcode::Send::new(Fd(socket), address, length as u32).flags(flags).build()
            }
            (_, true) => {
                opcode::SendMsg::new(Fixed(socket as u32), message).flags(flags as u32).build()
            }
            (_, false) => opcode::SendMsg::new(Fd(socket), message).flags(flags as u32).build(),
        };
        self.push(entry, SEND, place)
    }

    /// The buffer of the connection that what is to be sent first came on.
    fn lender(&mut self, place: usize) -> *mut u8 {
        let lender = match connection(&mut self.connections, place).queue.front() {
            Some(Piece::Own { source, .. }) => *source,
            _ => place,
        };
        connection(&mut self.connections, lender).own.as_mut_ptr()
    }

    /// Sends the source's block.
    fn produce(&mut self, place: usize) -> io::Result<()> {
        let connection = connection(&mut self.connections, place);
        connection.sending = 1;
        let (address, length) = (self.block.as_ptr(), self.block.len() as u32);
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let socket = connection.socket;
        let entry = if self.direct {
            opcode::Send::new(Fixed(socket as u32), address, length).flags(flags).build()
        } else {
            opcode::Send::new(Fd(socket), address, length).flags(flags).build()
        };
        self.push(entry, SEND, place)
    }

    fn sent(&mut self, place: usize, result: i32) -> io::Result<()> {
        let connection = connection(&mut self.connections, place);
        let pieces = mem::take(&mut connection.sending);
        if let Service::Source = self.service {
            if result == self.block.len() as i32 {
                return self.produce(place);
            }
            connection.ended = true;
            return self.close(place);
        }
        let mut expected = 0;
        let mut lender = None;
        for piece in connection.queue.drain(..pieces) {
            expected += piece.length();
            match (&mut self.buffers, piece) {
                (Some(buffers), Piece::Provided { buffer, .. }) => buffers.release(buffer),
                (_, Piece::Own { source, .. }) => lender = Some(source),
                _ => {}
            }
        }
        // With `MSG_WAITALL` a short send is an error that came midway.
        if result != expected as i32 {
            connection.broken = true;
            connection.ended = true;
            if connection.partner.is_some() {
                self.give_up(place)?;
            } else if connection.receiving {
                // The receive ends with the connection, and then the place is free.
                return self.shut_down(place, libc::SHUT_RDWR);
            }
        }
        if let Some(lender) = lender {
            self.connections[lender].as_mut().expect("a lender is kept").lent = false;
            if lender != place {
                self.receive_if_due(lender)?;
            }
        }
        self.advance(place)
    }

    /// Ends one direction, or both, so that a receive completes.
    fn shut_down(&mut self, place: usize, how: i32) -> io::Result<()> {
        let connection = connection(&mut self.connections, place);
        connection.shutting += 1;
        let socket = connection.socket;
        let entry = if self.direct {
            opcode::Shutdown::new(Fixed(socket as u32), how).build()
        } else {
            opcode::Shutdown::new(Fd(socket), how).build()
        };
        self.push(entry, SHUTDOWN, place)
    }

    fn close(&mut self, place: usize) -> io::Result<()> {
        let connection = self.connections[place].take().expect("only what is open is closed");
        self.vacant.push(place);
        if let Some(buffers) = &mut self.buffers {
            for piece in connection.queue {
                if let Piece::Provided { buffer, .. } = piece {
                    buffers.release(buffer);
                }
            }
        }
        if self.direct {
            return self.push(
                opcode::Close::new(Fixed(connection.socket as u32)).build(),
                CLOSE,
                place,
            );
        }
        self.calls.add(1);
        // SAFETY: the descriptor is this connection's, and nothing of it is with the kernel.
        unsafe { libc::close(connection.socket) };
        Ok(())
    }

    /// Shows the kernel what buffers have come back, and receives on where there were none.
    fn feed(&mut self) -> io::Result<()> {
        let Some(buffers) = &mut self.buffers else { return Ok(()) };
        buffers.publish();
        for place in mem::take(&mut self.starved) {
            let waits = self.connections[place].as_ref().is_some_and(|one| !one.receiving);
            if waits {
                self.advance(place)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry, kind: u64, place: usize) -> io::Result<()> {
        let entry = entry.user_data(kind << 32 | place as u64);
        // SAFETY: what an entry points to lives in its connection, which is kept until the last
        // completion of its operations, or in memory that is never freed.
        while unsafe { self.submissions.push(&entry) }.is_err() {
            self.enter(0)?;
        }
        Ok(())
    }
}

/// Whether an error of entering the ring is over at the next try.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

fn connection(connections: &mut [Option<Connection>], place: usize) -> &mut Connection {
    connections[place].as_mut().expect("it is kept until its last completion")
}

/// Calls `each` with the pieces that an arrival of `bytes` consists of.
fn each_piece(buffers: &Buffers, first: u16, bytes: usize, mut each: impl FnMut(Piece)) {
    let (mut buffer, mut rest) = (first, bytes);
    loop {
        let length = rest.min(buffers.size());
        each(Piece::Provided { buffer, length });
        rest -= length;
        if rest == 0 {
            return;
        }
        buffer = buffers.following(buffer);
    }
}

struct Connection {
    /// A descriptor, or an index into the ring's table.
    socket: i32,
    own: Vec<u8>,
    /// What waits to be sent; of the first `sending` pieces a send is with the kernel.
    queue: VecDeque<Piece>,
    sending: usize,
    /// A receive is with the kernel.
    receiving: bool,
    /// Its own buffer is being sent.
    lent: bool,
    /// The connection that gets what comes on this one, in a proxy.
    partner: Option<usize>,
    /// The peer was told that there is no more.
    told: bool,
    /// Shutdowns that are with the kernel, which finds the socket late: it must not be another's by
    /// then.
    shutting: u32,
    /// The peer has sent all.
    ended: bool,
    /// Nothing can be sent any more.
    broken: bool,
    total: u64,
    outgoing: Box<Outgoing>,
}

/// What a send points to, at an address that stays.
struct Outgoing {
    slices: [libc::iovec; AT_ONCE],
    message: libc::msghdr,
    count: [u8; 8],
}

#[derive(Clone, Copy, Debug)]
enum Piece {
    /// The beginning of the own buffer of the connection that it came on.
    Own {
        source: usize,
        length: usize,
    },
    Provided {
        buffer: u16,
        length: usize,
    },
    /// How many bytes a sink has received.
    Count,
    /// The first that a member of a fan-out hears.
    Greeting,
}

impl Piece {
    fn length(self) -> usize {
        match self {
            Self::Own { length, .. } | Self::Provided { length, .. } => length,
            Self::Count => size_of::<u64>(),
            Self::Greeting => GREETING.len(),
        }
    }
}

impl Connection {
    /// Nothing of it is with the kernel, and nothing can come or go any more.
    fn is_over(&self) -> bool {
        let nothing_to_send = self.told || self.broken;
        let idle = self.sending == 0 && !self.receiving && self.shutting == 0;
        self.ended && nothing_to_send && idle
    }

    fn new(socket: i32, own: Vec<u8>) -> Self {
        let slice = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let outgoing = Box::new(Outgoing {
            slices: [slice; AT_ONCE],
            // SAFETY: a message header of zeroes is one that points to nothing.
            message: unsafe { mem::zeroed() },
            count: [0; 8],
        });
        Self {
            socket,
            own,
            queue: VecDeque::new(),
            sending: 0,
            receiving: false,
            lent: false,
            partner: None,
            told: false,
            shutting: 0,
            ended: false,
            broken: false,
            total: 0,
            outgoing,
        }
    }
}
