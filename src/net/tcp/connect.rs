//! Opening a connection, to the first of several addresses that answers.
//!
//! With more than one address the attempts race (happy eyeballs, RFC 8305): the families of addresses
//! take turns, and the next attempt begins when the one before has failed, or has not answered for a
//! while. The first that succeeds wins, and the others' sockets are closed.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::connect_options::ConnectOptions;
use crate::driver::{Driver, FileSlot};
use crate::error::{Describe, describe};
use crate::net::address::{ToAddresses, lookup};
use crate::net::options::{Initial, Setting};
use crate::op::{Connect, Descriptor, Op, OpenSocket, SetOption, StreamSocket};
use crate::runtime::context;
use crate::sys::address::domain;
use crate::sys::socket;
use crate::time::sleep;

/// Connects to the first of the addresses that answers.
pub(super) async fn connect(
    addresses: impl ToAddresses,
    options: &ConnectOptions,
) -> io::Result<Rc<StreamSocket>> {
    let driver = context::driver();
    let mut addresses = lookup(addresses).await?;
    if let Some(local) = options.local_addr {
        addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
    }
    match addresses[..] {
        [] => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no address of that family")),
        [address] => connect_to(&driver, address, options).await,
        _ => race(&driver, &in_turn(addresses), options).await,
    }
}

async fn connect_to(
    driver: &Rc<Driver>,
    address: SocketAddr,
    options: &ConnectOptions,
) -> io::Result<Rc<StreamSocket>> {
    let doing = format_args!("connect to {address}").to_string();
    let socket = new_socket(driver, &address, options).await.describe(&doing)?;
    let connect = Connect::new(driver, socket, address, options.timeout);
    let socket = Op::new(driver, connect).await.describe(&doing)?;
    if is_connected_to_itself(&socket, address) {
        let itself = "the system has connected the socket to itself: nothing listens there";
        return Err(describe(doing, io::Error::new(io::ErrorKind::ConnectionRefused, itself)));
    }
    Ok(Rc::new(StreamSocket::new(Rc::clone(driver), socket)))
}

/// A socket that connects to a port of this machine on which nothing listens may be given this very port
/// as its own. TCP then connects it to itself. Without a descriptor of the process it costs more to find
/// out than it is worth.
fn is_connected_to_itself(socket: &Descriptor, address: SocketAddr) -> bool {
    // Not a port that the system gives by itself, whatever it is set to.
    if address.port() < 1024 {
        return false;
    }
    let Some(fd) = socket.fd_if_open() else { return false };
    let local = socket::local_address(fd).and_then(SocketAddr::try_from);
    let is = local.is_ok_and(|local| local.port() == address.port() && local.ip() == address.ip());
    if is {
        // Reset, as an orderly end would keep the port for a minute, from the server that is to have it.
        let _ = socket::set_linger(fd, Some(Duration::ZERO));
    }
    is
}

/// A socket, in the ring's table if there is a place. One that is to be bound needs a descriptor.
async fn new_socket(
    driver: &Rc<Driver>,
    address: &SocketAddr,
    options: &ConnectOptions,
) -> io::Result<Descriptor> {
    let initial = Initial { nodelay: options.nodelay, keepalive: options.keepalive };
    let place = if options.local_addr.is_some() { None } else { FileSlot::alloc(driver) };
    if let Some(place) = place {
        let mut socket = Op::new(
            driver,
            OpenSocket::new(place, domain(address), socket::SOCK_STREAM, socket::IPPROTO_TCP),
        )
        .await?;
        for Setting { level, name, value, doing } in initial.each() {
            let set = SetOption::new(socket, level, name, value);
            socket = Op::new(driver, set).await.describe(doing)?;
        }
        return Ok(socket);
    }
    let fd = socket::tcp(address)?;
    initial.set(&fd)?;
    if let Some(local) = &options.local_addr {
        if local.port() == 0 {
            // Where the kernel does not know it, ports are only fewer.
            let (level, name) = (socket::IPPROTO_IP, socket::IP_BIND_ADDRESS_NO_PORT);
            let _ = socket::set_option(&fd, level, name, 1);
        }
        socket::bind(&fd, *local).describe(format_args!("bind to {local}"))?;
    }
    Ok(fd.into())
}

/// The addresses, with those of either family by turns; the first stays the first.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_family = addresses[0].is_ipv4();
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_family);
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|n| first.get(n).into_iter().chain(second.get(n))).copied().collect()
}

async fn race(
    driver: &Rc<Driver>,
    addresses: &[SocketAddr],
    options: &ConnectOptions,
) -> io::Result<Rc<StreamSocket>> {
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    for &address in addresses {
        attempts.push(connect_to(driver, address, options));
        match first_outcome(&mut attempts, options.happy_eyeballs_delay).await {
            None => {}
            Some(Ok(socket)) => return Ok(socket),
            Some(Err(error)) => failures.push(error),
        }
    }
    while let Some(outcome) = attempts.next().await {
        match outcome {
            Ok(socket) => return Ok(socket),
            Err(error) => failures.push(error),
        }
    }
    Err(together(failures))
}

/// The first outcome of the attempts, or nothing after the delay.
async fn first_outcome<F: Future<Output = io::Result<Rc<StreamSocket>>>>(
    attempts: &mut FuturesUnordered<F>,
    delay: Option<Duration>,
) -> Option<F::Output> {
    let delay = async {
        match delay {
            Some(delay) => sleep(delay).await,
            None => poll_fn(|_| Poll::Pending).await,
        }
    };
    match select(attempts.next(), pin!(delay)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => None,
    }
}

/// One error that tells of all, and is the first's.
fn together(mut failures: Vec<io::Error>) -> io::Error {
    let first = failures.remove(0);
    let others: Vec<_> = failures.iter().map(ToString::to_string).collect();
    describe(format_args!("none of several addresses answers ({})", others.join("; ")), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_the_first_address_stays_the_first() {
        let v4 = |n: u8| SocketAddr::from(([127, 0, 0, n], 1));
        let v6 = |n: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 1));
        let given = vec![v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(in_turn(given), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(in_turn(vec![v4(1), v4(2)]), [v4(1), v4(2)]);
    }
}
