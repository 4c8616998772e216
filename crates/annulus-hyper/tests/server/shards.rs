//! A server on several shards.

use std::sync::mpsc;
use std::thread;

use annulus::net::{ShutdownOptions, ShutdownReport, TcpListener};
use annulus::shards::Shard;
use annulus::{Shards, Shutdown};
use annulus_hyper::server::{Counters, serve};

use crate::common::{Client, limit, service};

#[test]
fn two_shards_serve_one_port_and_their_reports_add_up() {
    let shutdown = Shutdown::new();
    let shards = Shards::builder().count(2).pin(false).shutdown(shutdown.clone());
    let (sender, listening) = mpsc::channel();
    let server = thread::spawn(move || {
        shards.run(move |shard: Shard| {
            let sender = sender.clone();
            async move {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let server = serve(listener, service()).start()?;
                sender.send(*server.local_addr()).unwrap();
                let options = ShutdownOptions::new().grace(limit());
                let report = server.serve_until(shard.shutdown(), &options).await;
                Ok::<_, std::io::Error>((report, server.counters()))
            }
        })
    });
    let [address, same] = [(); 2].map(|()| listening.recv().unwrap());
    assert_eq!(address, same);
    // The kernel spreads connections by their ports: that all go to one is out of the question.
    let mut clients: Vec<_> = (0..64).map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        assert!(client.get("/").ends_with("hello\n"));
    }
    let mut busy = Client::connect(address);
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(busy.response().ends_with("hello\n"));
    shutdown.request();
    assert!(busy.response().ends_with("at last\n"));
    let ended = server.join().unwrap().unwrap();
    let ended: Vec<(ShutdownReport, Counters)> = ended.into_iter().map(Result::unwrap).collect();
    let total: ShutdownReport = ended.iter().map(|(report, _)| report).sum();
    assert_eq!((total.completed, total.aborted), (65, 0), "{total}");
    assert_eq!(ended.iter().map(|(_, counters)| counters.requests).sum::<u64>(), 66);
    assert!(ended.iter().all(|(_, counters)| counters.requests > 0), "{ended:?}");
}
