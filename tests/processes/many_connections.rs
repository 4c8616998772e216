//! Ten thousand connections on one thread, all open at the same time, each echo checked.
//!
//! The clients run in a process of their own, since both ends together are more descriptors than a
//! process may have on many machines. Where the limit is too low even for one end, as many
//! connections are made as fit, and the output says so.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use annulus::net::{TcpListener, TcpStream};
use annulus::time::sleep;
use annulus::{metrics, spawn};

use crate::common::bounded::bounded_by;
use crate::common::child;
use crate::common::pair::{ask, echo};
use crate::common::patience::limit;
use crate::this_test;

const CONNECTIONS: usize = 10_000;
const ECHOES: usize = 3;
/// Descriptors for what is no connection.
const SPARE: usize = 100;
/// How many clients connect at a time: fewer than the listener's backlog.
const CONNECTING: usize = 100;

/// Raises the limit of descriptors as far as it goes, and says how many connections fit.
pub(crate) fn connections_that_fit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one `rlimit`.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the call reads one `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    let fit = usize::try_from(limit.rlim_max).unwrap_or(usize::MAX) - SPARE;
    CONNECTIONS.min(fit)
}

fn long<T>(test: impl Future<Output = T>) -> T {
    bounded_by(3 * limit(), || annulus::run(test).unwrap())
}

#[test]
fn ten_thousand_connections_at_once_are_served_by_one_thread() {
    let connections = connections_that_fit();
    if let Some(address) = child::role() {
        return long(be_the_clients(address.parse().unwrap(), connections));
    }
    if connections < CONNECTIONS {
        println!(
            "only {connections} connections instead of {CONNECTIONS}: RLIMIT_NOFILE is too low"
        );
    }
    let (served, most_at_once) = long(serve(connections, this_test!()));
    assert_eq!((served, most_at_once), (connections, connections));
}

/// Serves until the clients' process has ended. Says how many connections there were, and how many
/// at the same time.
async fn serve(connections: usize, test: &'static str) -> (usize, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let clients = thread::spawn(move || child::command(test, &address).status().unwrap());

    let (served, open, most) = <(Rc<Cell<usize>>, Rc<Cell<usize>>, Rc<Cell<usize>>)>::default();
    let (its_open, its_most, its_served) = (Rc::clone(&open), Rc::clone(&most), Rc::clone(&served));
    let accepting = spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            its_open.set(its_open.get() + 1);
            its_most.set(its_most.get().max(its_open.get()));
            let (open, served) = (Rc::clone(&its_open), Rc::clone(&its_served));
            spawn(async move {
                echo(stream).await;
                open.set(open.get() - 1);
                served.set(served.get() + 1);
            });
        }
    });
    while !clients.is_finished() || open.get() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(clients.join().unwrap().success(), "the clients' process says what was wrong");
    accepting.cancel();
    accepting.await.unwrap_err();
    let metrics = metrics();
    assert_eq!(metrics.accept_stalls, 0);
    let transfers = metrics.completed + metrics.inline_calls;
    assert!(transfers >= 2 * (connections * ECHOES) as u64, "{metrics:?}");
    (served.get(), most.get())
}

/// Opens all connections, and only then has each echo a few messages of its own.
async fn be_the_clients(address: SocketAddr, connections: usize) {
    let connecting = (0..CONNECTING).map(|first| {
        spawn(async move {
            let mut streams = Vec::new();
            for number in (first..connections).step_by(CONNECTING) {
                streams.push((number, TcpStream::connect(address).await.unwrap()));
            }
            streams
        })
    });
    let mut streams = Vec::new();
    for task in connecting.collect::<Vec<_>>() {
        streams.extend(task.await.unwrap());
    }
    assert_eq!(streams.len(), connections);
    let asking = streams.into_iter().map(|(number, mut stream)| {
        spawn(async move {
            for round in 0..ECHOES {
                ask(&mut stream, format!("message {round} of connection {number}").as_bytes())
                    .await;
            }
            // Open to the end of all.
            stream
        })
    });
    let mut open = Vec::new();
    for task in asking.collect::<Vec<_>>() {
        open.push(task.await.unwrap());
    }
}
