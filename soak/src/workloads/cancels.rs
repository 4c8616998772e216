//! Every kind of operation, begun and dropped at a random moment.
//!
//! Most of them would wait for ever. What is checked is that the drop returns at once, that the
//! descriptors can be closed afterwards, and that nothing is in flight at the end of the run.

use std::io;
use std::time::Duration;

use annulus::fs::{self, File, OpenOptions, TempFile, Watcher};
use annulus::io::{AsyncFd, Interest};
use annulus::join::gather;
use annulus::net::{TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup};
use annulus::pipe::pipe;
use annulus::process::Command;
use annulus::signal::{SignalKind, signal};
use annulus::sync::{Lock, Queue, Semaphore, remote};
use annulus::time::{kernel_sleep, sleep, timeout};
use futures_util::StreamExt;

use super::{Outcome, own_listener};
use crate::cancel::perhaps;
use crate::chance::Chance;
use crate::site::Site;
use crate::tally::Work;

/// More than any socket buffer holds: a write of it waits.
const TOO_MUCH: usize = 8 << 20;

pub(super) async fn round(site: &Site, chance: &Chance) -> Outcome {
    let at_once = chance.size(8);
    let each = (0..at_once).map(|_| {
        let chance = chance.fork();
        async move { one(site, &chance).await }
    });
    for outcome in gather(each.collect::<Vec<_>>()).await {
        outcome?;
    }
    Ok(Work::new(at_once, 0))
}

/// Drops it after a random while, at the latest after a few milliseconds.
async fn dropped<F: Future>(chance: &Chance, future: F) {
    let limit = chance.shorter_than(Duration::from_millis(3));
    drop(perhaps(chance, timeout(limit, future)).await);
}

async fn one(site: &Site, chance: &Chance) -> io::Result<()> {
    match chance.below(8) {
        0 | 1 => sockets(site, chance).await,
        2 => datagrams(chance).await,
        3 => pipes(chance).await,
        4 | 5 => files(site, chance).await,
        6 => waits(site, chance).await,
        _ => others(site, chance).await,
    }
}

async fn sockets(site: &Site, chance: &Chance) -> io::Result<()> {
    match chance.below(9) {
        0 => {
            let listener = own_listener().await?;
            dropped(chance, listener.accept()).await;
        }
        1 => {
            let path = site.new_path("listener");
            let listener = UnixListener::bind(&path)?;
            dropped(chance, listener.accept()).await;
            dropped(chance, UnixStream::connect(&path)).await;
            drop(listener);
        }
        2 => {
            // Its queue has room for one: further ones wait until the kernel tries again.
            let socket = annulus::net::TcpSocket::new_v4()?;
            socket.bind(([127, 0, 0, 1], 0).into())?;
            let listener = socket.listen(0)?;
            let address = listener.local_addr()?;
            let connects = (0..4).map(|_| dropped(chance, TcpStream::connect(address)));
            gather(connects.collect::<Vec<_>>()).await;
        }
        kind => {
            let (mut one, _other) = UnixStream::pair()?;
            match kind {
                3 => dropped(chance, one.recv()).await,
                4 => dropped(chance, one.read(Vec::with_capacity(1000))).await,
                5 => dropped(chance, one.peek(Vec::with_capacity(10))).await,
                6 => dropped(chance, one.write_all(vec![0; TOO_MUCH])).await,
                7 => dropped(chance, one.write_all_vectored(vec![vec![0; TOO_MUCH / 4]; 4])).await,
                _ => dropped(chance, one.write_all_zero_copy(vec![0; TOO_MUCH])).await,
            }
            dropped(chance, one.shutdown(std::net::Shutdown::Both)).await;
        }
    }
    Ok(())
}

async fn datagrams(chance: &Chance) -> io::Result<()> {
    let udp = UdpSocket::bind("127.0.0.1:0").await?;
    match chance.below(5) {
        0 => dropped(chance, udp.recv_msg()).await,
        1 => dropped(chance, udp.recv_from(Vec::with_capacity(100))).await,
        2 => dropped(chance, udp.recv_many().next()).await,
        3 => dropped(chance, udp.readable()).await,
        _ => {
            let (one, _other) = UnixDatagram::pair()?;
            let fill = async { while one.send(vec![0; 10_000]).await.is_ok() {} };
            dropped(chance, fill).await;
            dropped(chance, one.recv_msg()).await;
        }
    }
    dropped(chance, udp.close()).await;
    Ok(())
}

async fn pipes(chance: &Chance) -> io::Result<()> {
    let (mut sender, mut receiver) = pipe()?;
    match chance.below(6) {
        0 => dropped(chance, receiver.recv()).await,
        1 => dropped(chance, receiver.read(Vec::with_capacity(100))).await,
        2 => dropped(chance, sender.write_all(vec![0; 200_000])).await,
        3 => {
            let (mut to, _rest) = pipe()?;
            dropped(chance, receiver.splice_to(&mut to, 1000)).await;
        }
        4 => dropped(chance, sender.closed()).await,
        _ => dropped(chance, receiver.readable()).await,
    }
    Ok(())
}

async fn files(site: &Site, chance: &Chance) -> io::Result<()> {
    let path = site.new_path("cancelled");
    match chance.below(4) {
        0 => {
            dropped(chance, File::create(&path)).await;
            dropped(chance, fs::metadata(&path)).await;
            dropped(chance, fs::rename(&path, path.with_extension("renamed"))).await;
            dropped(chance, fs::create_dir_all(path.join("deep"))).await;
        }
        1 => {
            let file = TempFile::new_in(&site.shared.directory).await?;
            let chain = file.chain().write_all_at(vec![1; 10_000], 0).sync_data();
            dropped(chance, chain.read_at(Vec::with_capacity(10), 0).run()).await;
            dropped(chance, file.write_all_at(vec![1; 100_000], 0)).await;
            dropped(chance, file.read_at(Vec::with_capacity(10_000), 0)).await;
            dropped(chance, file.sync_all()).await;
            dropped(chance, file.allocate(0, 10_000)).await;
            dropped(chance, file.set_len(10)).await;
            dropped(chance, file.close()).await;
        }
        2 => {
            fs::write(&path, vec![2; 1000]).await?;
            dropped(chance, fs::read(&path)).await;
            dropped(chance, fs::copy(&path, path.with_extension("copy"))).await;
            dropped(chance, OpenOptions::new().read(true).direct_descriptor(true).open(&path))
                .await;
            let file = File::open(&path).await?;
            let other = File::open(&path).await?;
            other.lock().await?;
            dropped(chance, file.lock()).await;
        }
        _ => {
            let mut watcher = Watcher::new()?;
            dropped(chance, watcher.watch(&site.shared.directory, annulus::fs::WatchFor::DELETED))
                .await;
            dropped(chance, watcher.next()).await;
        }
    }
    // The operations that were dropped may still be done, after this.
    for extension in ["", "renamed", "copy"] {
        let _ = fs::remove_dir_all(path.with_extension(extension)).await;
    }
    Ok(())
}

async fn waits(site: &Site, chance: &Chance) -> io::Result<()> {
    match chance.below(7) {
        0 => dropped(chance, sleep(Duration::from_secs(1000))).await,
        1 => dropped(chance, kernel_sleep(Duration::from_secs(1000))).await,
        2 => {
            let lock = Lock::new(());
            let _held = lock.lock().await;
            dropped(chance, lock.lock()).await;
        }
        3 => dropped(chance, Queue::<()>::unbounded().get()).await,
        4 => dropped(chance, Semaphore::new(0).acquire()).await,
        5 => {
            let (_sender, mut receiver) = remote::channel::<()>(1);
            dropped(chance, receiver.recv()).await;
        }
        _ => {
            let other = chance.below(site.shard.count());
            dropped(chance, site.shard.run_on(other, || ())).await;
        }
    }
    Ok(())
}

async fn others(site: &Site, chance: &Chance) -> io::Result<()> {
    match chance.below(5) {
        0 => {
            let (one, _other) = std::os::unix::net::UnixStream::pair()?;
            let fd = AsyncFd::new(one)?;
            dropped(chance, fd.ready(Interest::READABLE)).await;
        }
        1 => dropped(chance, signal(SignalKind::user_defined2())?.recv()).await,
        2 => dropped(chance, lookup("localhost:1")).await,
        3 => dropped(chance, annulus::blocking::to_thread(std::thread::yield_now)).await,
        _ => {
            let Ok(_permit) = site.processes.try_acquire() else { return Ok(()) };
            let mut child = Command::new("sleep").arg("1000").kill_on_drop(true).spawn()?;
            dropped(chance, child.wait()).await;
        }
    }
    Ok(())
}
