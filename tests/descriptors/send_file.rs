//! Sending files: what is asked for arrives, between other writes, to slow peers and quick ones;
//! and dropped in the middle it leaves nothing behind but a beginning.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::TcpStream as Peer;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::net::TcpStream;
use annulus::time::timeout;
use annulus::{Runtime, metrics, spawn, yield_now};

use crate::common::bounded::bounded;
use crate::common::child::{command, role};
use crate::common::descriptors::{alone, assert_back_to, open};
use crate::common::net::{accepted, connected, reset};
use crate::common::poll::until;
use crate::common::random::seeded;
use crate::common::skip::build_or_skip;
use crate::common::watchdog::run;
use crate::this_test;

/// A file without a name, with random bytes.
fn file(bytes: usize) -> (File, Vec<u8>) {
    let mut contents = vec![0; bytes];
    seeded().fill(&mut contents);
    let path = std::env::temp_dir().join(format!("annulus-send-file-{:x}", fastrand::u64(..)));
    let mut file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file.write_all(&contents).unwrap();
    (file, contents)
}

/// Has the kernel forget what it has of the file in memory, if it can, so that it is read from the
/// disk.
fn forget(file: &File) {
    file.sync_all().unwrap();
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(result, 0);
}

/// Reads to the end, a piece at a time, with pauses.
fn reader(mut peer: Peer, pause: Duration) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), vec![0; 300_000]);
        loop {
            match peer.read(&mut piece).unwrap() {
                0 => return all,
                count => all.extend_from_slice(&piece[..count]),
            }
            thread::sleep(pause);
        }
    })
}

async fn read_by(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    until(|| reader.is_finished()).await;
    reader.join().unwrap()
}

#[test]
fn a_file_arrives_whole_and_in_order_with_what_is_written() {
    let _alone = alone();
    for pause in [Duration::ZERO, Duration::from_millis(2)] {
        run(async {
            let (mut file, contents) = file(3_000_000);
            forget(&file);
            let (mut stream, peer) = connected();
            let received = reader(peer, pause);
            file.seek(std::io::SeekFrom::Start(17)).unwrap();
            stream.write_all("before").await.0.unwrap();
            assert_eq!(stream.send_file(&file, ..).await.unwrap(), 3_000_000);
            stream.write_all("between").await.0.unwrap();
            assert_eq!(stream.send_file(&file, 1_000_001..1_000_004).await.unwrap(), 3);
            assert_eq!(stream.send_file(&file, 2_999_990..=u64::MAX).await.unwrap(), 10);
            assert_eq!(stream.send_file(&file, 4_000_000..).await.unwrap(), 0);
            assert_eq!(stream.send_file(&file, 5..5).await.unwrap(), 0);
            assert_eq!(file.stream_position().unwrap(), 17);
            drop(stream);
            let all = read_by(received).await;
            let parts = [b"before", &contents[..], b"between", &contents[1_000_001..1_000_004]];
            assert!(all == [&parts.concat(), &contents[2_999_990..]].concat());
        });
    }
}

#[test]
fn a_direct_descriptor_sends_files_too() {
    let _alone = alone();
    let builder = Runtime::builder().direct_descriptors(2);
    let Some(runtime) = build_or_skip(builder) else { return };
    bounded(|| {
        runtime.block_on(async {
            let (file, contents) = file(500_000);
            let (stream, peer) = accepted().await;
            let received = reader(peer, Duration::ZERO);
            let (_read, mut write) = stream.into_split();
            assert_eq!(write.send_file(&file, ..).await.unwrap(), 500_000);
            drop((_read, write));
            assert!(read_by(received).await == contents);
        });
    });
}

/// What it has sent is a beginning of the file, and what is written then comes behind it.
#[test]
fn a_send_file_dropped_in_the_middle_has_sent_a_prefix_and_leaves_no_descriptor() {
    let _alone = alone();
    let before = open();
    run(async {
        let mut random = seeded();
        let (file, contents) = file(5_000_000);
        for _ in 0..30 {
            let (mut stream, peer) = connected();
            let received = reader(peer, Duration::from_micros(random.u64(0..500)));
            let limit = Duration::from_micros(random.u64(0..3000));
            let whole = timeout(limit, stream.send_file(&file, ..)).await.is_ok();
            stream.write_all("the end").await.0.unwrap();
            drop(stream);
            let all = read_by(received).await;
            let sent = all.strip_suffix(b"the end").expect("what was written is the end");
            assert!(sent == &contents[..sent.len()]);
            assert_eq!(sent.len() == contents.len(), whole || sent.len() == contents.len());
        }
    });
    assert_back_to(before);
}

#[test]
fn a_file_that_becomes_shorter_ends_early() {
    let _alone = alone();
    run(async {
        let (file, contents) = file(8_000_000);
        let (mut stream, peer) = connected();
        let shorter = file.try_clone().unwrap();
        let sending = spawn(async move { (stream.send_file(&file, ..).await, stream) });
        // The peer does not read, so it has come to a stop.
        let mut quiet = 0;
        while quiet < 50 {
            let before = metrics().inline_calls;
            yield_now().await;
            thread::sleep(Duration::from_millis(1));
            quiet = if metrics().inline_calls == before { quiet + 1 } else { 0 };
        }
        shorter.set_len(7_500_000).unwrap();
        let received = reader(peer, Duration::ZERO);
        let (sent, stream) = sending.await.unwrap();
        assert_eq!(sent.unwrap(), 7_500_000);
        drop(stream);
        assert!(read_by(received).await == contents[..7_500_000]);
    });
}

#[test]
fn a_broken_connection_and_what_is_no_file_are_errors() {
    let _alone = alone();
    run(async {
        let (file, _) = file(1_000_000);
        let (mut stream, peer) = connected();
        reset(peer);
        let error = loop {
            if let Err(error) = stream.send_file(&file, ..).await {
                break error;
            }
        };
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        let (mut stream, _peer) = connected();
        let directory = File::open("/").unwrap();
        let error = stream.send_file(&directory, ..).await.unwrap_err();
        assert!(error.to_string().contains("read a file"), "{error}");
    });
}

/// A file without a size, as those that the kernel makes up.
#[test]
fn a_file_without_a_size_is_sent_to_its_end() {
    let _alone = alone();
    run(async {
        let (mut stream, mut peer) = connected();
        let file = File::open("/proc/self/limits").unwrap();
        match stream.send_file(&file, ..).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
            Ok(count) => {
                drop(stream);
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                assert_eq!(all.len() as u64, count);
                assert!(all == fs::read("/proc/self/limits").unwrap());
            }
        }
    });
}

/// Programs in Rust ignore the signal, but one that does not is not killed either.
#[test]
fn a_broken_connection_raises_no_signal() {
    if role().is_none() {
        let _alone = alone();
        let status = command(this_test!(), "with signals").status();
        assert!(status.unwrap().success());
        return;
    }
    // SAFETY: the default action is a valid one.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let _alone = alone();
    run(async {
        let (file, _) = file(1_000_000);
        let (mut stream, peer) = connected();
        drop(peer);
        for _ in 0..10 {
            let _: Result<u64, _> = stream.send_file(&file, ..).await;
        }
        assert_eq!(stream.send_file(&file, ..).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// A file that could be sent for long without a wait lets other tasks run.
#[test]
fn other_tasks_run_while_a_file_is_sent() {
    let _alone = alone();
    run(async {
        let (file, _) = file(64_000_000);
        let (mut stream, peer) = connected();
        let received = reader(peer, Duration::ZERO);
        let sending = spawn(async move { stream.send_file(&file, ..).await });
        let mut turns = 0;
        while !sending.is_finished() {
            yield_now().await;
            turns += 1;
        }
        assert_eq!(sending.await.unwrap().unwrap(), 64_000_000);
        assert!(turns > 100, "only {turns}");
        assert_eq!(read_by(received).await.len(), 64_000_000);
    });
}

#[test]
fn a_file_is_sent_on_a_connected_stream() {
    let _alone = alone();
    run(async {
        let (file, contents) = file(100);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let received = reader(listener.accept().unwrap().0, Duration::ZERO);
        stream.send_file(&file, ..).await.unwrap();
        drop(stream);
        assert_eq!(read_by(received).await, contents);
    });
}

/// Prints what it costs, beside reading into a buffer and writing that:
/// `cargo test --release --test send_file -- --ignored --nocapture`.
#[test]
#[ignore = "it measures, and asserts nothing"]
fn what_it_costs() {
    const BYTES: usize = 256 << 20;
    let _alone = alone();
    let (file, _) = file(BYTES);
    let mut ratios = Vec::new();
    for _ in 0..11 {
        let splice = cost(async |stream| assert!(stream.send_file(&file, ..).await.is_ok()));
        let copy = cost(async |stream| {
            let (mut buffer, mut offset) = (vec![0; 64 << 10], 0);
            while offset < BYTES as u64 {
                offset += file.read_at(&mut buffer, offset).unwrap() as u64;
                let BufResult(result, returned) = stream.write_all(buffer).await;
                result.unwrap();
                buffer = returned;
            }
        });
        ratios.push(copy.as_secs_f64() / splice.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "processor time of read and write, to that of send_file: {:.2} ({:.2}..{:.2})",
        ratios[5], ratios[0], ratios[10]
    );
}

/// The processor time that sending takes this process, without that of the reader.
fn cost(send: impl AsyncFnOnce(&mut TcpStream)) -> Duration {
    Runtime::new().unwrap().block_on(async {
        let (mut stream, mut peer) = connected();
        let before = processor_time(libc::CLOCK_PROCESS_CPUTIME_ID);
        let received = thread::spawn(move || {
            let mut piece = vec![0; 256 << 10];
            while peer.read(&mut piece).unwrap() > 0 {}
            processor_time(libc::CLOCK_THREAD_CPUTIME_ID)
        });
        send(&mut stream).await;
        drop(stream);
        until(|| received.is_finished()).await;
        let total = processor_time(libc::CLOCK_PROCESS_CPUTIME_ID) - before;
        total.saturating_sub(received.join().unwrap())
    })
}

fn processor_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
