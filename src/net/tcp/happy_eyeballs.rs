//! Connecting to the first of several addresses that answers (happy eyeballs, RFC 8305).
//!
//! The address families alternate, and the next attempt begins when the one before has failed, or
//! has not answered for a while. The first that succeeds wins, and the sockets of the others are
//! closed.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::describe;
use crate::time::sleep;

/// Orders addresses so that the families alternate; the first stays the first.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_family = addresses[0].is_ipv4();
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_family);
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|n| first.get(n).into_iter().chain(second.get(n))).copied().collect()
}

/// Attempts one address after the other, each `delay` after the one before, or, without a delay,
/// when all before have failed. Returns the first success, or an error that tells of all failures.
pub(super) async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    delay: Option<Duration>,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut attempts = FuturesUnordered::new();
    let mut failures = Vec::new();
    for address in alternate(addresses) {
        attempts.push(attempt(address));
        match first_outcome(&mut attempts, delay).await {
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
    Err(combine(failures))
}

/// The first outcome of the attempts, or nothing after the delay.
async fn first_outcome<F: Future>(
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

/// Makes one error that names all failures, and has the kind and number of the first.
fn combine(mut failures: Vec<io::Error>) -> io::Error {
    let first = failures.remove(0);
    let others: Vec<_> = failures.iter().map(ToString::to_string).collect();
    describe(format_args!("none of several addresses answers ({})", others.join("; ")), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_the_first_address_stays_the_first() {
        let v4 = |n: u8| SocketAddr::from(([127, 0, 0, n], 1));
        let v6 = |n: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 1));
        let given = vec![v6(1), v6(2), v6(3), v4(1), v4(2)];
        assert_eq!(alternate(given), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(alternate(vec![v4(1), v4(2)]), [v4(1), v4(2)]);
    }
}
