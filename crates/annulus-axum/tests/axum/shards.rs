//! A server on several shards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use annulus::net::{ShutdownOptions, ShutdownReport, TcpListener};
use annulus::shards::Shard;
use annulus::{Shards, Shutdown};
use annulus_axum::serve;
use axum::Router;
use axum::routing::get;

use crate::common::bounded::bounded;
use crate::common::patience::limit;
use crate::common::program::connect;

#[test]
fn each_shard_serves_its_own_listener_on_one_port_and_adds_to_the_report() {
    use std::io::{Read, Write};

    let shutdown = Shutdown::new();
    let shards = Shards::builder().count(2).pin(false).shutdown(shutdown.clone());
    let (sender, listening) = mpsc::channel();
    let server = thread::spawn(move || {
        bounded(|| {
            shards.run(move |shard: Shard| {
                let sender = sender.clone();
                async move {
                    let index = shard.index();
                    let which = async move || format!("shard {index}");
                    let app = Router::new().route("/", get(which));
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    sender.send(listener.local_addr()?).unwrap();
                    let options = ShutdownOptions::new().grace(limit());
                    serve(listener, app).serve_until(Shard::current().shutdown(), &options).await
                }
            })
        })
    });
    let addresses: Vec<SocketAddr> = (0..2).map(|_| listening.recv().unwrap()).collect();
    assert_eq!(addresses[0], addresses[1]);
    // The kernel spreads connections by their addresses, so after a few both have had some.
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    while seen.len() < 2 {
        let mut stream = connect(addresses[0]);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        seen.insert(answer.split("\r\n\r\n").nth(1).unwrap().to_owned());
        open.push(stream);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["shard 0", "shard 1"]);
    shutdown.request();
    let reports = server.join().unwrap().unwrap();
    let total: ShutdownReport = reports.iter().map(|report| report.as_ref().unwrap()).sum();
    assert_eq!((total.completed, total.aborted), (open.len(), 0), "{total}");
}
