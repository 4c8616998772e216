//! TLS over connections in memory and over sockets, and by clients that were not written here.

mod certificates;
mod ends;
mod handshakes;
mod mutual;
mod pipe;
mod programs;
mod proxy;
mod schedule;
mod sockets;

#[path = "../../../../tests/common/patience.rs"]
mod patience;
#[path = "../../../../tests/common/random.rs"]
mod random;
#[allow(dead_code, reason = "programs may be missing, and the kernel has all that is needed")]
#[path = "../../../../tests/common/skip.rs"]
mod skip;

use std::future::Future;

use annulus::join::gather;
use annulus_tls::{TlsAcceptor, TlsConnector, TlsStream};

use pipe::Pipe;

/// Runs a test in a runtime, within the bound of all tests.
fn run(test: impl Future<Output = ()>) {
    annulus::run(async {
        annulus::time::timeout(patience::limit(), test).await.expect("the test is over in time");
    })
    .expect("a runtime");
}

/// A client and a server that have completed a handshake.
async fn connected(near: Pipe, far: Pipe) -> (TlsStream<Pipe>, TlsStream<Pipe>) {
    let (server, client) = certificates::both();
    let (acceptor, connector) = (TlsAcceptor::new(server), TlsConnector::new(client));
    let (client, server) =
        gather((connector.connect(certificates::localhost(), near), acceptor.accept(far))).await;
    (client.expect("the client's handshake"), server.expect("the server's handshake"))
}
