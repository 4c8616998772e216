//! A little of everything that a program does with the library, each step checked by itself.

use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::time::Duration;

use annulus::blocking::to_thread;
use annulus::buf::BufResult;
use annulus::io::EventFd;
use annulus::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use annulus::process::Command;
use annulus::time::{kernel_sleep, timeout};
use annulus::{Builder, Incident, SetupError, fs, pipe};
use futures_util::future::{LocalBoxFuture, try_join};

use crate::common::incidents::Incidents;
use crate::common::patience::limit;
use crate::common::pattern::pattern;
use crate::service::ring;

/// More than a pipe or a file's cluster holds.
const LONG: usize = 100_000;

/// What has come of it all.
pub(crate) struct Done {
    /// The steps that have failed, and how.
    pub(crate) failed: Vec<(&'static str, Error)>,
    pub(crate) incidents: Vec<Incident>,
}

/// Does everything on a new runtime, with files in an empty directory.
pub(crate) fn do_everything(directory: &Path) -> Result<Done, SetupError> {
    let incidents = Incidents::default();
    let its = incidents.clone();
    let builder = Builder::new().ring(ring());
    let runtime = builder.on_incident(move |incident| its.report(incident)).build()?;
    let failed = runtime.block_on(async {
        let mut failed = Vec::new();
        for (name, step) in steps(directory) {
            // What one step has missed may not come by what another does.
            match timeout(limit() / 3, step).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed.push((name, error)),
                Err(_) => panic!("{name} hangs"),
            }
        }
        failed
    });
    drop(runtime);
    Ok(Done { failed, incidents: incidents.take() })
}

type Step = (&'static str, LocalBoxFuture<'static, io::Result<()>>);

fn steps(directory: &Path) -> Vec<Step> {
    let path = |name: &str| directory.join(name);
    vec![
        ("tcp", Box::pin(tcp())),
        ("udp", Box::pin(udp())),
        ("unix", Box::pin(unix(path("socket")))),
        ("datagrams", Box::pin(datagrams())),
        ("whole files", Box::pin(whole_files(path("whole"), path("renamed")))),
        ("file", Box::pin(file(path("file")))),
        ("copy", Box::pin(copy(path("missing"), path("from"), path("to")))),
        ("directories", Box::pin(directories(path("directory")))),
        ("send file", Box::pin(send_file(path("sent")))),
        ("pipes", Box::pin(pipes())),
        ("splice", Box::pin(splice())),
        ("counter", Box::pin(counter())),
        ("thread", Box::pin(thread())),
        ("process", Box::pin(process())),
        ("look-up", Box::pin(look_up())),
        ("kernel's timer", Box::pin(kernel_sleep(Duration::from_micros(100)))),
    ]
}

async fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut near = TcpStream::connect_timeout(listener.local_addr()?, limit() / 6).await?;
    let (mut far, peer) = listener.accept().await?;
    assert!(peer.ip().is_loopback() || peer.ip().is_unspecified());
    near.set_nodelay(true)?;
    let sent = pattern(3, LONG);
    let sending = async {
        near.write_all(sent.clone()).await.0?;
        near.shutdown(std::net::Shutdown::Write).await
    };
    let receiving = async {
        let mut received = Vec::new();
        loop {
            let lease = far.recv().await?;
            if lease.is_empty() {
                return io::Result::Ok(received);
            }
            received.extend_from_slice(&lease);
        }
    };
    // Dropped with its error the one ends the other.
    let (_, received) = try_join(sending, receiving).await?;
    assert!(received == sent);
    Ok(())
}

async fn udp() -> io::Result<()> {
    let (near, far) =
        (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    near.send_to(pattern(1, 1000), far.local_addr()?).await.0?;
    let BufResult(received, datagram) = far.recv_from(Vec::with_capacity(2000)).await;
    let (_, from) = received?;
    assert!(datagram == pattern(1, 1000) && from == near.local_addr()?);
    Ok(())
}

async fn unix(path: PathBuf) -> io::Result<()> {
    let listener = UnixListener::bind(&path)?;
    let mut near = UnixStream::connect(&path).await?;
    let (mut far, _) = listener.accept().await?;
    near.write_all(pattern(2, 5000)).await.0?;
    let BufResult(read, bytes) = far.read_exact(vec![0; 5000]).await;
    read?;
    assert!(bytes == pattern(2, 5000));
    Ok(())
}

async fn datagrams() -> io::Result<()> {
    let (near, far) = UnixDatagram::pair()?;
    near.send(b"some bytes".to_vec()).await.0?;
    let BufResult(received, datagram) = far.recv(Vec::with_capacity(20)).await;
    received?;
    assert_eq!(datagram, b"some bytes");
    Ok(())
}

async fn whole_files(path: PathBuf, renamed: PathBuf) -> io::Result<()> {
    fs::write(&path, pattern(4, LONG)).await?;
    assert!(fs::read(&path).await? == pattern(4, LONG));
    fs::rename(&path, &renamed).await?;
    assert_eq!(fs::metadata(&renamed).await?.len(), LONG as u64);
    fs::remove_file(&renamed).await
}

async fn file(path: PathBuf) -> io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
    file.write_all_at(pattern(5, LONG), 10).await.0?;
    file.sync_data().await?;
    let BufResult(read, bytes) = file.read_exact_at(vec![0; LONG], 10).await;
    read?;
    assert!(bytes == pattern(5, LONG));
    file.set_len(10).await?;
    assert_eq!(file.metadata().await?.len(), 10);
    file.close().await
}

async fn copy(missing: PathBuf, from: PathBuf, to: PathBuf) -> io::Result<()> {
    fs::write(&from, pattern(6, LONG)).await?;
    assert_eq!(fs::copy(&from, &to).await?, LONG as u64);
    assert!(fs::read(&to).await? == pattern(6, LONG));
    assert!(!fs::try_exists(&missing).await?);
    Ok(())
}

async fn directories(path: PathBuf) -> io::Result<()> {
    fs::create_dir(&path).await?;
    let names = ["one", "two"];
    for name in names {
        fs::write(path.join(name), name).await?;
    }
    fs::symlink("one", path.join("link")).await?;
    let mut entries = fs::read_dir(&path).await?;
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        found.push(entry.file_name());
    }
    found.sort();
    assert_eq!(found, ["link", "one", "two"]);
    fs::remove_dir_all(&path).await
}

async fn send_file(path: PathBuf) -> io::Result<()> {
    fs::write(&path, pattern(7, LONG)).await?;
    let file = std::fs::File::open(&path)?;
    let (near, far) = std::os::unix::net::UnixStream::pair()?;
    let (mut near, mut far) = (UnixStream::from_std(near), UnixStream::from_std(far));
    let sending = near.send_file(&file, ..);
    let receiving = far.read_exact(vec![0; LONG]);
    let sending = async { sending.await.map(drop) };
    let receiving = async { receiving.await.into_result() };
    let (_, (_, received)) = try_join(sending, receiving).await?;
    assert!(received == pattern(7, LONG));
    Ok(())
}

async fn pipes() -> io::Result<()> {
    let (mut sender, mut receiver) = pipe::pipe()?;
    let sending = async { sender.write_all(pattern(8, LONG)).await.0 };
    let receiving = async {
        let mut received = Vec::new();
        while received.len() < LONG {
            received.extend_from_slice(&receiver.recv().await?);
        }
        Ok(received)
    };
    let (_, received) = try_join(sending, receiving).await?;
    assert!(received == pattern(8, LONG));
    Ok(())
}

async fn splice() -> io::Result<()> {
    let ((mut sender, mut middle), (mut next, mut receiver)) = (pipe::pipe()?, pipe::pipe()?);
    sender.write_all(b"some bytes".to_vec()).await.0?;
    assert_eq!(middle.splice_to(&mut next, 10).await?, 10);
    assert_eq!(&*receiver.recv().await?, b"some bytes");
    Ok(())
}

async fn counter() -> io::Result<()> {
    let counter = EventFd::new(2)?;
    counter.add(3).await?;
    assert_eq!(counter.take().await?, 5);
    Ok(())
}

async fn thread() -> io::Result<()> {
    assert_eq!(to_thread(|| 5).await?, 5);
    Ok(())
}

async fn process() -> io::Result<()> {
    let output = Command::new("echo").arg("some words").output().await?;
    assert_eq!((output.status.success(), &output.stdout[..]), (true, &b"some words\n"[..]));
    Ok(())
}

async fn look_up() -> io::Result<()> {
    let addresses = annulus::net::lookup("localhost:80").await?;
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    Ok(())
}
