//! Accepting connections, with one entry for many where the kernel can, else with one for each
//! (`accept_each`): so into the ring's table, and where no more may be taken than there is room for.
//!
//! Either way the accept in flight belongs to the listener and not to whoever awaits a connection,
//! so a connection that arrives when nobody awaits one is simply the next to be taken. Only when
//! the listener is gone is a late connection closed.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::{io, mem};

use super::Descriptor;
use super::accept_each::{Accepts, Arrival, BATCH, WAVE};
use super::multishot::Multishot;
use crate::driver::{Driver, FileSlot, Orphan};
use crate::sys::errno::{self, ECANCELED};
use crate::sys::socket::{self, SOCK_CLOEXEC};
use crate::sys::types::Fd;
use crate::sys::{Completion, opcode};

/// The connection of a successful accept.
pub(super) fn connection(completion: Completion) -> io::Result<OwnedFd> {
    // SAFETY: an accept makes a descriptor, and each of its completions is used once.
    unsafe { completion.into_fd() }
}

/// A connection.
pub(crate) struct Accepted {
    pub(crate) descriptor: Descriptor,
    /// If the kernel has told it.
    pub(crate) peer: Option<SocketAddr>,
}

impl From<OwnedFd> for Accepted {
    fn from(fd: OwnedFd) -> Self {
        Self { descriptor: fd.into(), peer: None }
    }
}

/// A listening socket and the accept that is in flight on it.
pub(crate) struct Acceptor {
    driver: Rc<Driver>,
    /// Accepts in flight keep it open, and its number taken, to their end.
    listener: Rc<OwnedFd>,
    in_flight: InFlight,
    ahead: u32,
    /// Whether connections are to stand in the ring's table.
    is_direct: bool,
    /// How many connections there is room for, if someone has said so.
    room: Option<u32>,
    /// If it has been told to end.
    ending: Option<Ending>,
}

enum InFlight {
    None,
    Each(Accepts),
    Many(Multishot),
}

/// The end of a listener: what is in the backlog is taken, wave by wave.
struct Ending {
    /// How many connections are still to be taken, once it is known: those that are in the backlog when
    /// nothing takes them any more. Without a bound, an end would last as long as clients come.
    left: Option<u32>,
    /// Whether the last wave met anything.
    met_something: bool,
    /// Why the last wave could not take what is there.
    exhaustion: Option<io::Error>,
}

impl Acceptor {
    /// At most `ahead` connections, and those of one more batch of the kernel's, are taken from the
    /// backlog before someone awaits them. If it `is_direct`, they stand in the ring's table, as far as
    /// there are places.
    pub(crate) fn new(driver: Rc<Driver>, fd: OwnedFd, ahead: u32, is_direct: bool) -> Self {
        let (listener, in_flight) = (Rc::new(fd), InFlight::None);
        Self { driver, listener, in_flight, ahead, is_direct, room: None, ending: None }
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.driver
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.listener
    }

    /// From now on no more connections are taken from the backlog than there is room for, which is
    /// at least one while a connection is awaited.
    pub(crate) fn set_room(&mut self, room: u32) {
        self.room = Some(room.max(1));
    }

    /// The next connection. Errors are the kernel's; polling again goes on.
    pub(crate) fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            if matches!(&self.in_flight, InFlight::Each(accepts) if accepts.is_empty()) {
                self.in_flight = InFlight::None;
            }
            match &mut self.in_flight {
                InFlight::None => self.in_flight = self.start(context)?,
                InFlight::Each(accepts) => {
                    let arrival = ready!(accepts.poll_next(context));
                    if arrival.as_ref().is_ok_and(|arrival| arrival.has_more) {
                        // The connection that has come takes some of the room.
                        let room = self.room.map_or(u32::MAX, |room| room - 1);
                        self.start_each(room.min(self.ahead).min(BATCH), self.is_direct, context);
                    }
                    return Poll::Ready(arrival.map(|arrival| self.taken(arrival)));
                }
                InFlight::Many(stream) => match ready!(stream.poll_next(context)) {
                    // Stopped for having brought enough; now there is room again.
                    Some(last) if last.failed_with(ECANCELED) => {}
                    Some(completion) => {
                        return Poll::Ready(connection(completion).map(Accepted::from));
                    }
                    None => self.in_flight = InFlight::None,
                },
            }
        }
    }

    fn start(&self, context: &mut Context<'_>) -> io::Result<InFlight> {
        let closed = || io::Error::from_raw_os_error(ECANCELED);
        let takes_many = self.driver.capabilities().multishot_accept;
        if self.is_direct || self.room.is_some() || !takes_many {
            let mut accepts = Accepts::default();
            let place = self.take_place();
            let is_started = accepts.start(&self.driver, &self.listener, place, context);
            return is_started.then_some(InFlight::Each(accepts)).ok_or_else(closed);
        }
        let fd = Fd(self.listener.as_raw_fd());
        let entry = opcode::AcceptMulti::new(fd).flags(SOCK_CLOEXEC).build();
        let listener = Box::new(Listener { _fd: Rc::clone(&self.listener) });
        // SAFETY: the entry points to no memory.
        let stream = unsafe { Multishot::start(&self.driver, entry, self.ahead, listener) };
        stream.map(InFlight::Many).ok_or_else(closed)
    }

    /// A place for a connection, if it is to stand in one and one is free.
    fn take_place(&self) -> Option<FileSlot> {
        if self.is_direct { FileSlot::alloc_ahead(&self.driver) } else { None }
    }

    /// A connection has come. That it found no place is counted.
    fn taken(&self, arrival: Arrival) -> Accepted {
        if self.is_direct && !arrival.has_place {
            self.driver.note_file_slot_miss();
        }
        arrival.accepted
    }

    /// Has so many accepts in flight; but, if each is to have a place, no more than there are.
    fn start_each(&mut self, most: u32, with_places: bool, context: &mut Context<'_>) {
        loop {
            let place = match &self.in_flight {
                InFlight::Each(accepts) if accepts.len() < most as usize => self.take_place(),
                _ => return,
            };
            let InFlight::Each(accepts) = &mut self.in_flight else { return };
            let may = place.is_some() || !with_places;
            if !may || !accepts.start(&self.driver, &self.listener, place, context) {
                return;
            }
        }
    }

    /// Ends the accept in flight, and gives the connections that it has brought and still brings, and
    /// then those that are in the backlog: `None` when there are no more and the kernel has let go of
    /// the listening socket. After an error, which says that descriptors or memory have run out,
    /// polling again goes on.
    pub(crate) fn poll_rest(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Accepted>>> {
        if self.ending.is_none() {
            self.ending = Some(Ending { left: None, met_something: true, exhaustion: None });
            match &self.in_flight {
                InFlight::None => {}
                InFlight::Each(accepts) => accepts.cancel(),
                InFlight::Many(stream) => stream.cancel(),
            }
        }
        loop {
            let met = match &mut self.in_flight {
                InFlight::None => {
                    let ending = self.ending.as_mut().expect("it is ending");
                    if let Some(error) = ending.exhaustion.take() {
                        return Poll::Ready(Some(Err(error)));
                    }
                    if !self.start_wave(context) {
                        return Poll::Ready(None);
                    }
                    continue;
                }
                InFlight::Each(accepts) if accepts.is_empty() => {
                    self.in_flight = InFlight::None;
                    continue;
                }
                InFlight::Each(accepts) => {
                    let arrival = ready!(accepts.poll_next(context));
                    arrival.map(|arrival| self.taken(arrival))
                }
                InFlight::Many(stream) => match ready!(stream.poll_next(context)) {
                    Some(completion) => connection(completion).map(Accepted::from),
                    None => {
                        self.in_flight = InFlight::None;
                        continue;
                    }
                },
            };
            let ending = self.ending.as_mut().expect("it is ending");
            if let Some(accepted) = ending.note(met) {
                return Poll::Ready(Some(Ok(accepted)));
            }
        }
    }

    /// Starts accepts that are cancelled at once, in the same enter: each takes a connection if one is
    /// there, and does not wait for one. False if the wave before met nothing, or enough have been taken.
    fn start_wave(&mut self, context: &mut Context<'_>) -> bool {
        let ending = self.ending.as_mut().expect("it is ending");
        let in_backlog = || socket::backlog(&self.listener).unwrap_or(WAVE);
        let most = *ending.left.get_or_insert_with(in_backlog);
        if !mem::take(&mut ending.met_something) || most == 0 {
            return false;
        }
        self.in_flight = InFlight::Each(Accepts::default());
        self.start_each(most.min(WAVE), false, context);
        let InFlight::Each(accepts) = &self.in_flight else { unreachable!("set just now") };
        accepts.cancel();
        true
    }
}

impl Ending {
    /// Takes note of what an accept has met, and gives the connection if it is one.
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
            // A connection that cannot be had is not in the backlog any more.
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

/// The listening socket of an accept of many connections, and what becomes of those that come when
/// nobody wants them any more.
struct Listener {
    _fd: Rc<OwnedFd>,
}

impl Orphan for Listener {
    fn settle(&mut self, completion: Completion) {
        drop(connection(completion));
    }
}
