//! The listeners of several shards on one address.
//!
//! The shards of one [`run`](crate::shards::ShardsBuilder::run) that listen on the same address are
//! a group. The first to listen makes sure that the address is free: its socket is bound and
//! listens before it shares the port (`SO_REUSEPORT`), so that it fails if any socket outside of
//! the group has it. Otherwise a second instance of the program, started by mistake, would get a
//! part of the connections without an error. (Under gVisor, where a socket shares its port only if
//! it was bound so, it does get them.) The others join: with a socket of their own, or, if the
//! connections are [balanced](super::balance), with the same.
//!
//! With port 0, the first listener of each shard for an address is of one group, the second of
//! another, and so on; counted from the start of the shard, so that a shard that was restarted
//! finds the groups of the others.
//!
//! A group lives as long as one of its listeners.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::balance::Balance;
use super::options::ListenOptions;
use super::seat::Seat;
use super::socket_file::BoundFile;
use super::spread::Spread;
use crate::driver::Driver;
use crate::runtime::context;
use crate::shards::Shard;
use crate::sys::address::Address;
use crate::sys::gvisor::is_gvisor;
use crate::sys::socket::{self, SO_INCOMING_CPU, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET};

/// The groups of one run.
#[derive(Debug, Default)]
struct Groups(Mutex<GroupList>);

#[derive(Debug, Default)]
struct GroupList {
    groups: Vec<Group>,
    last_id: u64,
}

#[derive(Debug)]
struct Group {
    id: u64,
    key: Key,
    spread: Spread,
    /// The address of its sockets, with the port that the kernel has chosen.
    address: Address,
    balance: Option<Arc<Balance>>,
    /// The indices of the shards that listen.
    members: Vec<usize>,
}

/// What the listeners of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    address: Address,
    /// The type of the sockets, as socket(2) takes it. Of two types, Unix sockets may have the same
    /// path one after the other, and the same name at once.
    kind: i32,
    /// How many listeners of the same address the shard had before; zero if the port is given.
    ordinal: usize,
}

/// Makes the sockets of a group.
pub(in crate::net) trait Sockets {
    /// Makes a socket that is bound, but does not listen. If it `shares`, other sockets may have
    /// its port.
    fn bind(&self, address: &Address, shares: bool) -> io::Result<OwnedFd>;

    /// The file to which the socket that has just been made is bound, if it is to be removed.
    fn file(&self) -> Option<BoundFile> {
        None
    }

    /// The type of the socket, as socket(2) takes it.
    fn kind(&self) -> i32 {
        SOCK_STREAM
    }

    /// Whether the kernel chooses a part of the address.
    fn is_open_ended(&self) -> bool;
}

/// While it lives, a shard is a member of a group.
#[derive(Debug)]
pub(in crate::net) struct Member {
    groups: Arc<Groups>,
    id: u64,
    index: usize,
}

/// A listening socket of a group, and the place of its listener there.
pub(in crate::net) struct Joined {
    pub(in crate::net) fd: OwnedFd,
    pub(super) member: Member,
    pub(super) seat: Option<Seat>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut list = self.groups.lock();
        let Some(at) = list.groups.iter().position(|group| group.id == self.id) else { return };
        list.groups[at].members.retain(|&index| index != self.index);
        // A descriptor of its socket is closed outside of the lock.
        let empty = list.groups[at].members.is_empty().then(|| list.groups.swap_remove(at));
        drop(list);
        drop(empty);
    }
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, GroupList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on an address together with other shards.
pub(in crate::net) fn listen(
    shard: &Shard,
    address: &Address,
    spread: Spread,
    options: &ListenOptions,
    sockets: &impl Sockets,
) -> io::Result<Joined> {
    let groups = shard.run().extension::<Groups>();
    let mut list = groups.lock();
    let mut key = Key { address: address.clone(), kind: sockets.kind(), ordinal: 0 };
    if sockets.is_open_ended() {
        key.ordinal = Ordinals::with(|its| its.next(&key));
        // It may have joined the next group already, by the address of that.
        while list.find(&key).is_some_and(|group| group.members.contains(&shard.index())) {
            key.ordinal += 1;
        }
    }
    let joining = Joining { shard, spread, options, sockets, groups: &groups };
    let joined = match list.find(&key) {
        Some(group) => joining.join(group)?,
        None => None,
    };
    let joined = match joined {
        Some(joined) => joined,
        None => joining.found(&mut list, key.clone())?,
    };
    if sockets.is_open_ended() {
        Ordinals::with(|its| its.note(key));
    }
    Ok(joined)
}

impl GroupList {
    /// The group of a key. One that has chosen its port is found by that, too.
    fn find(&mut self, key: &Key) -> Option<&mut Group> {
        let is_there = |group: &Group| group.address == key.address && group.key.kind == key.kind;
        let is_it = |group: &Group| group.key == *key || is_there(group);
        self.groups.iter_mut().find(|group| is_it(group) && !group.has_ended())
    }
}

impl Key {
    /// Whether another is for the same address and type.
    fn is_like(&self, other: &Self) -> bool {
        self.address == other.address && self.kind == other.kind
    }
}

impl Group {
    /// Whether no shard can join any more, although a listener is still being closed.
    fn has_ended(&self) -> bool {
        self.balance.as_ref().is_some_and(|balance| balance.has_ended())
    }
}

/// How many listeners this runtime has had for each address of which the kernel chooses a part.
#[derive(Default)]
struct Ordinals {
    /// A shard that was restarted has another.
    runtime: Weak<Driver>,
    /// Each key has the next ordinal.
    next: Vec<Key>,
}

impl Ordinals {
    fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static ORDINALS: RefCell<Ordinals> = RefCell::default();
        }
        ORDINALS.with_borrow_mut(|ordinals| {
            let runtime = Rc::downgrade(&context::driver());
            if !Weak::ptr_eq(&ordinals.runtime, &runtime) {
                *ordinals = Self { runtime, next: Vec::new() };
            }
            work(ordinals)
        })
    }

    /// How many there were for an address.
    fn next(&self, key: &Key) -> usize {
        self.next.iter().find(|next| next.is_like(key)).map_or(0, |next| next.ordinal)
    }

    /// Notes that the listener of a key was made.
    fn note(&mut self, mut key: Key) {
        key.ordinal += 1;
        match self.next.iter_mut().find(|next| next.is_like(&key)) {
            Some(next) => *next = key,
            None => self.next.push(key),
        }
    }
}

/// A shard that is about to listen.
struct Joining<'a, T> {
    shard: &'a Shard,
    spread: Spread,
    options: &'a ListenOptions,
    sockets: &'a T,
    groups: &'a Arc<Groups>,
}

impl<T: Sockets> Joining<'_, T> {
    /// Makes the first socket of a group.
    fn found(&self, list: &mut GroupList, key: Key) -> io::Result<Joined> {
        let shares = self.options.unbound.reuse_port || is_gvisor();
        let fd = self.sockets.bind(&key.address, shares)?;
        let file = self.sockets.file();
        self.prepare(&fd)?;
        socket::listen(&fd, self.options.backlog)?;
        let address = socket::local_address(&fd)?;
        let (fd, balance, seat) = if self.spread == Spread::LeastLoaded {
            let balance = Arc::new(Balance::new(fd, file, self.shard.count()));
            let (fd, seat) = self.sit(&balance).expect("no shard has left")?;
            (fd, Some(balance), Some(seat))
        } else {
            // From now on, others may join.
            socket::set_option(&fd, SOL_SOCKET, SO_REUSEPORT, 1)?;
            (fd, None, None)
        };
        list.last_id += 1;
        let (id, members, spread) = (list.last_id, vec![self.shard.index()], self.spread);
        list.groups.push(Group { id, key, spread, address, balance, members });
        Ok(self.joined(id, fd, seat))
    }

    /// Joins a group; `None` if the last of the others has just left.
    fn join(&self, group: &mut Group) -> io::Result<Option<Joined>> {
        if group.spread != self.spread {
            let text = format!(
                "another shard listens there with Spread::{:?}, and this one would with {:?}: set \
                 the same for all",
                group.spread, self.spread
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if group.members.contains(&self.shard.index()) {
            let text = "this shard has a listener there already";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        let (fd, seat) = match &group.balance {
            Some(balance) => {
                let Some(seat) = self.sit(balance) else { return Ok(None) };
                let (fd, seat) = seat?;
                (fd, Some(seat))
            }
            None => {
                let fd = self.sockets.bind(&group.address, true)?;
                self.prepare(&fd)?;
                socket::listen(&fd, self.options.backlog)?;
                (fd, None)
            }
        };
        group.members.push(self.shard.index());
        Ok(Some(self.joined(group.id, fd, seat)))
    }

    fn joined(&self, id: u64, fd: OwnedFd, seat: Option<Seat>) -> Joined {
        let member = Member { groups: Arc::clone(self.groups), id, index: self.shard.index() };
        Joined { fd, member, seat }
    }

    /// Takes this shard's seat, unless all have been left.
    fn sit(&self, balance: &Arc<Balance>) -> Option<io::Result<(OwnedFd, Seat)>> {
        Seat::take(balance, self.shard.index(), self.options.max_pending)
    }

    /// Tells the kernel which CPU's connections a socket is for.
    fn prepare(&self, fd: &OwnedFd) -> io::Result<()> {
        if self.spread != Spread::Cpu {
            return Ok(());
        }
        let Some(cpu) = self.shard.cpu() else {
            let text = format!(
                "Spread::Cpu, but shard {} is not pinned to a CPU: pin the shards, or use another \
                 way to spread",
                self.shard.index()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let cpu = i32::try_from(cpu).unwrap_or(i32::MAX);
        socket::set_option(fd, SOL_SOCKET, SO_INCOMING_CPU, cpu)
    }
}
