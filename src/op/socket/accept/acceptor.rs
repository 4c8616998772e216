//! A listening socket and the accept that is in flight on it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Weak;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use super::accepted::{Accepted, Heir, accepted_fd};
use super::listening_fd::{Holders, ListeningFd, SharedListener};
use super::single::{Accepts, Arrival, BATCH, WAVE};
use crate::driver::{Driver, FileSlot, Orphan};
use crate::op::check_loop::check_loop;
use crate::op::multishot::Multishot;
use crate::sys::errno::{self, ECANCELED};
use crate::sys::socket::{self, SOCK_CLOEXEC};
use crate::sys::types::Fd;
use crate::sys::{Completion, opcode};

/// How many connections the kernel keeps for a listener at most, unless `net.core.somaxconn` was
/// changed.
const MAX_BACKLOG: u32 = 4096;

/// How many connections that came while a shared listener was being closed are accepted at most.
/// Without a bound a close would last as long as clients connect.
const MAX_LATE: u32 = 256;

/// How many accepts look again, in the backlog of a listener that is being closed, where others
/// were interrupted before they had looked. One almost always suffices.
const MAX_AGAIN: u32 = 32;

/// A listening socket and the accept in flight. Dropped, connections that the accept still receives
/// are closed.
pub(crate) struct Acceptor {
    driver: Rc<Driver>,
    listener: ListeningFd,
    in_flight: InFlight,
    heir: Option<Heir>,
    ahead: u32,
    /// Whether connections are to be direct descriptors.
    is_direct: bool,
    /// How many connections there is room for, if that has been set.
    room: Option<u32>,
    /// If the listener is being closed.
    rest: Option<Rest>,
}

enum InFlight {
    None,
    Single(Accepts),
    Multishot(Multishot),
}

/// The rest of a listener that is being closed: what is in the backlog is taken, wave by wave.
struct Rest {
    /// Whether connections are refused, so that what is taken from the backlog is not replaced.
    refuses: bool,
    /// How many connections are still to be taken, once it is known: those that are in the backlog
    /// when nothing takes them any more. Where connections are not refused, a close would last as
    /// long as clients connect, were it to take those that come later.
    left: Option<u32>,
    /// Whether the last wave met anything.
    met_something: bool,
    /// Why the last wave could not take a connection that is there.
    exhaustion: Option<io::Error>,
    /// How many more accepts look for connections that a wave has not met: they came during it, or
    /// its accepts were interrupted.
    late: u32,
}

impl Acceptor {
    /// At most `ahead` connections, and those of one more of the kernel's batches, are taken from
    /// the backlog before they are awaited. If it `is_direct`, they are direct descriptors, as far
    /// as there are file slots. `holders` is common to all acceptors of one socket.
    pub(crate) fn new(
        driver: Rc<Driver>,
        fd: OwnedFd,
        holders: Holders,
        ahead: u32,
        is_direct: bool,
    ) -> Self {
        driver.forget(fd.as_raw_fd());
        let (listener, in_flight) = (ListeningFd::new(fd, holders), InFlight::None);
        Self { driver, listener, in_flight, heir: None, ahead, is_direct, room: None, rest: None }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    /// The listening socket, for those that keep it open.
    pub(crate) fn listening(&self) -> &ListeningFd {
        &self.listener
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.listener
    }

    /// The listening socket for other threads, which do not keep it open.
    pub(crate) fn share(&self) -> Weak<SharedListener> {
        self.listener.share()
    }

    /// Notes that others may have the listening socket, too, and listen when this is closed.
    pub(crate) fn note_shared(&self) {
        self.listener.note_shared();
    }

    /// Sets who takes the connections that still come when this has been dropped.
    pub(crate) fn set_heir(&mut self, heir: Heir) {
        self.heir = Some(heir);
    }

    /// From now on no more connections are taken from the backlog than there is room for, which is
    /// at least one while a connection is awaited.
    pub(crate) fn set_room(&mut self, room: u32) {
        self.room = Some(room.max(1));
    }

    /// The next connection. Errors are the kernel's; polling again goes on.
    pub(crate) fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        check_loop(&self.driver);
        loop {
            if matches!(&self.in_flight, InFlight::Single(accepts) if accepts.is_empty()) {
                self.in_flight = InFlight::None;
            }
            match &mut self.in_flight {
                InFlight::None => self.in_flight = self.start(context)?,
                InFlight::Single(accepts) => {
                    let arrival = ready!(accepts.poll_next(context));
                    if arrival.as_ref().is_ok_and(|arrival| arrival.has_more) {
                        // The connection that has come takes some of the room.
                        let room = self.room.map_or(u32::MAX, |room| room - 1);
                        self.start_singles(
                            room.min(self.ahead).min(BATCH),
                            self.is_direct,
                            context,
                        );
                    }
                    return Poll::Ready(arrival.map(|arrival| self.taken(arrival)));
                }
                InFlight::Multishot(accept) => {
                    match ready!(accept.poll_next(&self.driver, context)) {
                        // Cancelled because enough connections waited to be taken; now there is
                        // room again.
                        Some(last) if last.failed_with(ECANCELED) => {}
                        Some(completion) => {
                            return Poll::Ready(accepted_fd(completion).map(Accepted::from));
                        }
                        None => self.in_flight = InFlight::None,
                    }
                }
            }
        }
    }

    fn start(&self, context: &mut Context<'_>) -> io::Result<InFlight> {
        let closed = || io::Error::from_raw_os_error(ECANCELED);
        let has_multishot = self.driver.capabilities().multishot_accept;
        if self.is_direct || self.room.is_some() || !has_multishot {
            let mut accepts = Accepts::default();
            let slot = self.alloc_slot();
            let is_started =
                accepts.start(&self.driver, &self.listener, self.heir.as_ref(), slot, context);
            return is_started.then_some(InFlight::Single(accepts)).ok_or_else(closed);
        }
        let fd = Fd(self.listener.as_raw_fd());
        let submission = opcode::AcceptMulti::new(fd).flags(SOCK_CLOEXEC).build();
        let accept = Multishot::default();
        // SAFETY: the SQE points to no memory.
        let is_started = unsafe { accept.start(&self.driver, submission, self.ahead) };
        is_started.then_some(InFlight::Multishot(accept)).ok_or_else(closed)
    }

    /// A file slot for a connection, if it is to be a direct descriptor and a slot is free.
    fn alloc_slot(&self) -> Option<FileSlot> {
        if self.is_direct { FileSlot::alloc_ahead(&self.driver) } else { None }
    }

    /// A connection has come. That it found no file slot is counted.
    fn taken(&self, arrival: Arrival) -> Accepted {
        if self.is_direct && !arrival.is_direct {
            self.driver.note_file_slot_miss();
        }
        arrival.accepted
    }

    /// Has up to `most` accepts in flight; but, `if_direct`, no more than there are file slots.
    fn start_singles(&mut self, most: u32, if_direct: bool, context: &mut Context<'_>) {
        loop {
            let slot = match &self.in_flight {
                InFlight::Single(accepts) if accepts.len() < most as usize => self.alloc_slot(),
                _ => return,
            };
            let InFlight::Single(accepts) = &mut self.in_flight else { return };
            let may = slot.is_some() || !if_direct;
            if !may
                || !accepts.start(&self.driver, &self.listener, self.heir.as_ref(), slot, context)
            {
                return;
            }
        }
    }

    /// Ends the accept in flight, and returns the connections that it has accepted and still
    /// accepts, and then those that are in the backlog: `None` when there are no more and the
    /// kernel has released the listening socket. After an error, which says that descriptors or
    /// memory have run out, polling again goes on.
    pub(crate) fn poll_rest(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Accepted>>> {
        check_loop(&self.driver);
        if self.rest.is_none() {
            let refuses = self.listener.refuse_connects();
            let late = if self.listener.is_shared() { MAX_LATE } else { MAX_AGAIN };
            self.cancel(None, refuses, late);
        }
        loop {
            let met = match &mut self.in_flight {
                InFlight::None => {
                    let rest = self.rest.as_mut().expect("poll_rest has set it");
                    if let Some(error) = rest.exhaustion.take() {
                        return Poll::Ready(Some(Err(error)));
                    }
                    if !self.start_wave(context) {
                        return Poll::Ready(None);
                    }
                    continue;
                }
                InFlight::Single(accepts) if accepts.is_empty() => {
                    self.in_flight = InFlight::None;
                    continue;
                }
                InFlight::Single(accepts) => {
                    let arrival = ready!(accepts.poll_next(context));
                    arrival.map(|arrival| self.taken(arrival))
                }
                InFlight::Multishot(accept) => {
                    match ready!(accept.poll_next(&self.driver, context)) {
                        Some(completion) => accepted_fd(completion).map(Accepted::from),
                        None => {
                            self.in_flight = InFlight::None;
                            continue;
                        }
                    }
                }
            };
            let rest = self.rest.as_mut().expect("it has just been set");
            if let Some(accepted) = rest.note(met) {
                return Poll::Ready(Some(Ok(accepted)));
            }
        }
    }

    /// Ends the accept in flight, and leaves what is in the backlog there: only connections that
    /// have been accepted already come from [`poll_rest`](Self::poll_rest).
    pub(crate) fn stop(&mut self) {
        self.cancel(Some(0), false, 0);
    }

    /// Like [`stop`](Self::stop), while other acceptors of this process stay. Of the backlog it
    /// takes what came while its own accept was being cancelled, as that may have taken the wake.
    pub(crate) fn leave_to_others(&mut self) {
        let has_waited = !matches!(self.in_flight, InFlight::None);
        self.cancel(Some(0), false, if has_waited { MAX_LATE } else { 0 });
    }

    fn cancel(&mut self, left: Option<u32>, refuses: bool, late: u32) {
        self.rest = Some(Rest { refuses, left, met_something: true, exhaustion: None, late });
        match &mut self.in_flight {
            InFlight::None => {}
            InFlight::Single(accepts) => accepts.cancel(),
            InFlight::Multishot(accept) => accept.cancel(&self.driver),
        }
    }

    /// Takes the listening socket out, or duplicates it if an accept still uses it.
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        let listener = self.listener.clone();
        drop(self);
        listener.into_fd()
    }

    /// Starts accepts that are cancelled at once, in the same enter: each takes a connection if one
    /// is there, and does not wait for one. False if the wave before met nothing, or enough have
    /// been taken, and no connection is there.
    ///
    /// That a wave met nothing does not prove that nothing is there: an accept may be interrupted
    /// before it looks, and ends as a cancelled one does.
    ///
    /// A successor may accept from the same socket. Of the accepts that wait the kernel wakes one,
    /// and may choose one that is being cancelled: the connection stays in the backlog, and no
    /// other accept is woken for it (the contract test
    /// `a_cancelled_accept_takes_the_wake_of_another`). Then only this process can take it.
    fn start_wave(&mut self, context: &mut Context<'_>) -> bool {
        let rest = self.rest.as_mut().expect("the listener is being closed");
        // Unix sockets do not tell.
        let in_backlog = || socket::backlog(&self.listener).unwrap_or(MAX_BACKLOG);
        if rest.refuses {
            rest.left = None;
        }
        let most = *rest.left.get_or_insert_with(in_backlog);
        let mut wave = most.min(WAVE);
        if !mem::take(&mut rest.met_something) || most == 0 {
            if rest.late == 0 || !socket::has_backlog(&self.listener) {
                return false;
            }
            rest.late -= 1;
            wave = 1;
        }
        self.in_flight = InFlight::Single(Accepts::default());
        self.start_singles(wave, false, context);
        let InFlight::Single(accepts) = &mut self.in_flight else { unreachable!("set just now") };
        accepts.cancel();
        true
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let InFlight::Multishot(accept) = &self.in_flight {
            let listener = self.listener.clone();
            let heir = self.heir.take();
            accept.orphan(&self.driver, || Box::new(OrphanedAccepts { _listener: listener, heir }));
        }
    }
}

impl Rest {
    /// Notes what an accept has met, and returns the connection if it is one.
    fn note(&mut self, met: io::Result<Accepted>) -> Option<Accepted> {
        let error = match met {
            Ok(accepted) => {
                self.note_one();
                return Some(accepted);
            }
            Err(error) => error,
        };
        if errno::is_exhaustion(&error) {
            self.met_something = true;
            self.exhaustion = Some(error);
        } else if !errno::found_nothing(&error) && !errno::ends_listener(&error) {
            // A connection that cannot be accepted is not in the backlog any more.
            self.note_one();
        }
        None
    }

    /// One connection less is in the backlog.
    fn note_one(&mut self) {
        self.met_something = true;
        self.left = self.left.map(|left| left.saturating_sub(1));
    }
}

/// A multishot accept whose listener is gone: connections that come all the same are the heir's.
struct OrphanedAccepts {
    _listener: ListeningFd,
    heir: Option<Heir>,
}

impl Orphan for OrphanedAccepts {
    fn settle(&mut self, completion: Completion) {
        if let (Ok(fd), Some(heir)) = (accepted_fd(completion), &self.heir) {
            heir(fd.into());
        }
    }
}
