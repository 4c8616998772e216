//! Which descriptors requests wait for, and what the ring knows of their readiness.
//!
//! A connection or other **socket** is registered once, edge-triggered, when a receive, a send or,
//! if it was [adopted](Poller::adopt), a poll of it first has to wait. It stays so until the ring
//! is told that the descriptor leaves ([`Poller::forget`]). What is ready is remembered: after an
//! attempt that has found nothing, or less than it wanted, be it made without the ring
//! (`Ring::note_drained`), the socket is not tried again before the next edge, and a poll needs no
//! system call. So a message on a connection costs one receive, and its share of a wait.
//!
//! What is remembered may be too much: then an attempt is made in vain. It is never too little,
//! since a socket counts as not ready only from an attempt that has just found that, and each edge
//! after it is still in the epoll instance: nothing is taken from that between the two.
//!
//! Any **other** descriptor may be closed without a word to the ring, and that of a user even under
//! a waiting request. It is registered while requests wait: for one event where these are one-shot,
//! edge-triggered where one is a multishot poll or accept. A registration that has reported stays
//! behind disabled, which saves a system call for the next wait.
//!
//! The number that is registered holds a generation, so that a report of a file that had the
//! descriptor before is not taken for one of the file that has it now.

use std::os::fd::RawFd;

use super::epoll::{Epoll, Event};
use super::requests::{NO_REQUEST, Requests, State, Token};
use crate::sys::errno::{EBADF, EEXIST, ENOENT, ENOMEM, ENOSPC};
use crate::sys::gvisor::is_gvisor;
use crate::sys::poll::{BROKEN, FAILED, HUNG_UP, PEER_ENDED, PRIORITY, READABLE, WRITABLE};

const EDGE: u32 = libc::EPOLLET as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;

/// All that a socket is registered for.
const SOCKET_EVENTS: u32 = READABLE | WRITABLE | PEER_ENDED | PRIORITY | EDGE;

/// What no attempt tells of, but each report, whatever it is due to.
const IN_EACH_REPORT: u32 = PEER_ENDED | PRIORITY | BROKEN;

/// How a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// As an operation of a socket.
    OnSocket,
    /// For one event.
    Once,
    /// For each event, as a multishot poll.
    OnEdges,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Registered {
    #[default]
    No,
    /// For one of these events; disabled if it has been reported.
    Once(u32),
    /// For these events.
    Edges(u32),
    /// As a socket.
    Socket,
}

/// What is known of one descriptor.
struct Entry {
    generation: u32,
    registered: Registered,
    /// Whether the ring will be told when the descriptor leaves.
    is_adopted: bool,
    /// Of a socket: which events there may be, as far as is known.
    ready: u32,
    /// Of a socket: whether a receive that gets less than it wants has got all that is there.
    is_drained_by_short_receives: bool,
    first: Token,
    last: Token,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            generation: 0,
            registered: Registered::No,
            is_adopted: false,
            ready: u32::MAX,
            is_drained_by_short_receives: false,
            first: NO_REQUEST,
            last: NO_REQUEST,
        }
    }
}

/// The entries, by descriptor.
#[derive(Default)]
pub(super) struct Poller(Vec<Entry>);

impl Poller {
    fn entry(&mut self, fd: RawFd) -> &mut Entry {
        let at = fd as usize;
        if at >= self.0.len() {
            self.0.resize_with(at + 1, Entry::default);
        }
        &mut self.0[at]
    }

    /// Whether an attempt that needs these events may find something.
    pub(super) fn may_be_ready(&self, fd: RawFd, events: u32) -> bool {
        self.0
            .get(fd as usize)
            .is_none_or(|entry| entry.registered != Registered::Socket || entry.ready & events != 0)
    }

    /// Whether a poll of the descriptor has to ask the kernel what is ready now: where it is
    /// registered edge-triggered, that may have been reported already.
    pub(super) fn has_to_ask(&self, fd: RawFd, events: u32) -> bool {
        self.0.get(fd as usize).is_some_and(|entry| match entry.registered {
            Registered::No | Registered::Once(_) => false,
            Registered::Edges(_) => true,
            Registered::Socket => entry.ready & events != 0,
        })
    }

    /// How a poll of the descriptor waits.
    pub(super) fn waits_of_poll(&self, fd: RawFd, is_multishot: bool) -> Waits {
        match self.0.get(fd as usize) {
            Some(entry) if entry.is_adopted => Waits::OnSocket,
            _ if is_multishot => Waits::OnEdges,
            _ => Waits::Once,
        }
    }

    /// An attempt has found that nothing is ready.
    pub(super) fn note_blocked(&mut self, fd: RawFd, events: u32) {
        self.entry(fd).ready &= !events;
    }

    /// A receive has got less than it wanted. If that was all, what comes later is reported.
    pub(super) fn note_short_receive(&mut self, fd: RawFd) {
        let entry = self.entry(fd);
        if entry.is_drained_by_short_receives {
            entry.ready &= !READABLE;
        }
    }

    /// Makes a request wait for a descriptor.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is of a kind that cannot be polled, and `EBADF`, `ENOMEM` and others.
    pub(super) fn wait(
        &mut self,
        epoll: &Epoll,
        requests: &mut Requests,
        token: Token,
        (fd, events): (RawFd, u32),
        waits: Waits,
    ) -> Result<(), i32> {
        if fd < 0 {
            return Err(EBADF);
        }
        self.register(epoll, requests, (fd, events), waits)?;
        let entry = self.entry(fd);
        let last = entry.last;
        entry.last = token;
        if last == NO_REQUEST {
            entry.first = token;
        } else {
            requests[last].place.after = token;
        }
        let request = &mut requests[token];
        request.state = State::Waiting;
        request.place.fd = fd;
        request.place.events = events;
        request.place.before = last;
        request.place.after = NO_REQUEST;
        Ok(())
    }

    fn register(
        &mut self,
        epoll: &Epoll,
        requests: &mut Requests,
        (fd, events): (RawFd, u32),
        waits: Waits,
    ) -> Result<(), i32> {
        // A disabled one reports nothing, so that its events need not be kept.
        let is_idle = self.entry(fd).first == NO_REQUEST;
        let wanted = match (self.entry(fd).registered, waits) {
            (Registered::Socket, _) => return Ok(()),
            (_, Waits::OnSocket) => Registered::Socket,
            (Registered::Edges(old), _) => {
                if self.is_new_file(epoll, requests, (fd, events), waits)? || old & events == events
                {
                    return Ok(());
                }
                Registered::Edges(old | events)
            }
            (Registered::Once(old), Waits::OnEdges) if !is_idle => Registered::Edges(old | events),
            (_, Waits::OnEdges) => Registered::Edges(events),
            (Registered::Once(old), Waits::Once) if !is_idle => {
                if self.is_new_file(epoll, requests, (fd, events), waits)? || old & events == events
                {
                    return Ok(());
                }
                Registered::Once(old | events)
            }
            (_, Waits::Once) => Registered::Once(events),
        };
        self.set(epoll, requests, fd, wanted)
    }

    /// Whether a registered descriptor has become another file's; if so, registers that. A change
    /// of the registration would tell it, too, but would also repeat the last report.
    fn is_new_file(
        &mut self,
        epoll: &Epoll,
        requests: &mut Requests,
        (fd, events): (RawFd, u32),
        waits: Waits,
    ) -> Result<bool, i32> {
        let (wanted, flag) = match waits {
            Waits::OnEdges => (Registered::Edges(events), EDGE),
            _ => (Registered::Once(events), ONCE),
        };
        let next = identity(fd, self.entry(fd).generation.wrapping_add(1));
        match epoll.add(fd, events | flag, next) {
            Err(EEXIST) => Ok(false),
            Ok(()) => {
                self.lose(requests, fd);
                self.note_registered(fd, wanted);
                Ok(true)
            }
            // Whether it has, is not known.
            Err(errno @ (ENOMEM | ENOSPC)) => Err(errno),
            Err(errno) => {
                self.lose(requests, fd);
                Err(errno)
            }
        }
    }

    /// Changes a registration.
    fn set(
        &mut self,
        epoll: &Epoll,
        requests: &mut Requests,
        fd: RawFd,
        wanted: Registered,
    ) -> Result<(), i32> {
        let events = match wanted {
            Registered::No => unreachable!("registrations end by `forget` and `leave`"),
            Registered::Once(events) => events | ONCE,
            Registered::Edges(events) => events | EDGE,
            Registered::Socket => SOCKET_EVENTS,
        };
        if self.entry(fd).registered != Registered::No {
            match epoll.modify(fd, events, self.data(fd)) {
                Ok(()) => {
                    self.note_registered(fd, wanted);
                    return Ok(());
                }
                // The file that was registered is closed, and the number another's.
                Err(ENOENT) => self.lose(requests, fd),
                Err(errno) => return Err(errno),
            }
        }
        let data = self.data(fd);
        match epoll.add(fd, events, data) {
            // A file that has left and come back under its number.
            Err(EEXIST) => epoll.modify(fd, events, data)?,
            outcome => outcome?,
        }
        self.note_registered(fd, wanted);
        Ok(())
    }

    fn note_registered(&mut self, fd: RawFd, wanted: Registered) {
        self.entry(fd).registered = wanted;
        // A receive on a Unix socket also stops between the messages of two writers.
        self.entry(fd).is_drained_by_short_receives =
            wanted == Registered::Socket && is_tcp(fd) && !is_gvisor();
    }

    /// What identifies a report.
    fn data(&mut self, fd: RawFd) -> u64 {
        identity(fd, self.entry(fd).generation)
    }

    /// The descriptor is another file's now, or none's: what waits for the old one waits on, and
    /// only a cancel ends it, as in the kernel.
    fn lose(&mut self, requests: &mut Requests, fd: RawFd) {
        let entry = self.entry(fd);
        let generation = entry.generation.wrapping_add(1);
        let old = std::mem::replace(entry, Entry { generation, ..Entry::default() });
        let mut at = old.first;
        while at != NO_REQUEST {
            let request = &mut requests[at];
            request.state = State::Lost;
            at = request.place.after;
        }
    }

    /// A socket comes to the ring, which will be told when it leaves.
    pub(super) fn adopt(&mut self, epoll: &Epoll, requests: &mut Requests, fd: RawFd) {
        self.forget(epoll, requests, fd);
        self.entry(fd).is_adopted = true;
    }

    /// A descriptor leaves the ring: it is closed, or handed out, or is another file's already.
    pub(super) fn forget(&mut self, epoll: &Epoll, requests: &mut Requests, fd: RawFd) {
        if let Some(entry) = self.0.get_mut(fd as usize) {
            entry.is_adopted = false;
        }
        // A one-shot registration that no request waits for reports nothing, and is not taken for
        // that of another file.
        let reports = |entry: &Entry| match entry.registered {
            Registered::No => false,
            Registered::Once(_) => entry.first != NO_REQUEST,
            Registered::Edges(_) | Registered::Socket => true,
        };
        if self.0.get(fd as usize).is_some_and(reports) {
            epoll.remove(fd);
            self.lose(requests, fd);
        }
    }

    /// Ends the wait of a request: for its next attempt, or for good.
    pub(super) fn leave(&mut self, epoll: &Epoll, requests: &mut Requests, token: Token) {
        let place = requests[token].place;
        let entry = self.entry(place.fd);
        match place.before {
            NO_REQUEST => entry.first = place.after,
            before => requests[before].place.after = place.after,
        }
        match place.after {
            NO_REQUEST => entry.last = place.before,
            after => requests[after].place.before = place.before,
        }
        if entry.first == NO_REQUEST && matches!(entry.registered, Registered::Edges(_)) {
            // Otherwise its reports would continue, for no request.
            entry.registered = Registered::No;
            entry.generation = entry.generation.wrapping_add(1);
            epoll.remove(place.fd);
        }
    }

    /// Takes a report in, and returns the first request that waits for the descriptor, if the
    /// report is of the file that has it.
    pub(super) fn take(&mut self, event: Event) -> Option<(RawFd, Token)> {
        let fd = event.data as u32 as RawFd;
        let entry = self.0.get_mut(fd as usize)?;
        if entry.generation != (event.data >> 32) as u32 {
            return None;
        }
        entry.ready &= !IN_EACH_REPORT;
        entry.ready |= event.events & IN_EACH_REPORT | readiness(event.events);
        // The end is reported once, and follows the bytes. At urgent data a receive may stop
        // although there is more.
        if event.events & (PEER_ENDED | HUNG_UP | FAILED | PRIORITY) != 0 {
            entry.is_drained_by_short_receives = false;
        }
        Some((fd, self.first(fd)?))
    }

    /// After a report of one event: waits for the events that are left to wait for.
    ///
    /// # Errors
    ///
    /// The descriptor would report nothing to those that wait for it.
    pub(super) fn renew(
        &mut self,
        epoll: &Epoll,
        requests: &mut Requests,
        fd: RawFd,
    ) -> Result<(), i32> {
        let entry = self.entry(fd);
        if !matches!(entry.registered, Registered::Once(_)) {
            return Ok(());
        }
        let (mut at, mut events) = (entry.first, 0);
        while at != NO_REQUEST {
            events |= requests[at].place.events;
            at = requests[at].place.after;
        }
        if events == 0 {
            return Ok(());
        }
        match self.set(epoll, requests, fd, Registered::Once(events)) {
            // The file is closed: only a cancel ends what waits.
            Err(EBADF) => Ok(()),
            outcome => outcome,
        }
    }

    /// The first request that waits for a descriptor.
    pub(super) fn first(&mut self, fd: RawFd) -> Option<Token> {
        let first = self.entry(fd).first;
        (first != NO_REQUEST).then_some(first)
    }
}

/// What may be done after a report.
pub(super) fn readiness(events: u32) -> u32 {
    let mut ready = 0;
    if events & (READABLE | PRIORITY | PEER_ENDED | BROKEN) != 0 {
        ready |= READABLE;
    }
    if events & (WRITABLE | BROKEN) != 0 {
        ready |= WRITABLE;
    }
    ready
}

fn identity(fd: RawFd, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(fd.unsigned_abs())
}

fn is_tcp(fd: RawFd) -> bool {
    let mut protocol: libc::c_int = 0;
    let mut length = size_of_val(&protocol) as libc::socklen_t;
    let value = (&raw mut protocol).cast();
    // SAFETY: the call writes at most `length` bytes to `value`, and the length.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL, value, &mut length) };
    result == 0 && protocol == libc::IPPROTO_TCP
}
