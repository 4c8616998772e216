//! Opening a connection.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::Driver;
use crate::error::Describe;
use crate::net::address::{ToAddresses, lookup};
use crate::op::{Connect, Op, Socket};
use crate::runtime::context;
use crate::sys::socket;

/// Connects to the first of the addresses that answers.
pub(super) async fn connect(
    addresses: impl ToAddresses,
    limit: Option<Duration>,
) -> io::Result<Rc<Socket>> {
    let driver = context::driver();
    let mut refusal = None;
    for address in lookup(addresses).await? {
        match connect_to(&driver, address, limit).await {
            Ok(socket) => return Ok(socket),
            Err(error) => refusal = Some(error),
        }
    }
    Err(refusal.expect("a look-up gives at least one address"))
}

async fn connect_to(
    driver: &Rc<Driver>,
    address: SocketAddr,
    limit: Option<Duration>,
) -> io::Result<Rc<Socket>> {
    let doing = format_args!("connect to {address}").to_string();
    let fd = socket::tcp(&address).describe(&doing)?;
    let fd = Op::new(driver, Connect::new(fd, address, limit)).await.describe(&doing)?;
    Ok(Rc::new(Socket::new(Rc::clone(driver), fd)))
}
