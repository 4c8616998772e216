//! Direct descriptors where the process has no more descriptors, or may not have as many as file
//! slots.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream as Peer};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use annulus::fs::OpenOptions;
use annulus::net::{StreamReader, StreamWriter, start_server};
use annulus::{Runtime, SetupError, spawn, yield_now};

use crate::common::child::{command, role};
use crate::common::descriptors::{alone, open};
use crate::common::directory::Directory;
use crate::common::net::accepted;
use crate::common::poll::{times, until};
use crate::common::skip::{build_or_skip, needs_kernel_ring, skip};
use crate::direct_descriptors::{listener, with_file_slots};
use crate::this_test;

#[test]
fn more_file_slots_than_files_are_refused_with_one_line() {
    let _alone = alone();
    let error = Runtime::builder().direct_descriptors(1 << 20).build();
    match error {
        Ok(_) => skip("this process may have more than 1048576 files"),
        Err(SetupError::OptionUnsupported { option, since }) => {
            skip(&format!("{option} needs Linux {since}"));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("1048576 direct descriptors") && text.contains("ulimit -n"));
        }
    }
}

/// Without a descriptor for inline calls, all goes through the ring: a process out of descriptors
/// still serves those connections that it has, small messages and large ones.
#[test]
fn a_process_out_of_descriptors_transfers_through_the_ring() {
    if role().is_none() {
        // Until it has called exec, the child holds what the tests beside have open.
        let _alone = alone();
        assert!(command(this_test!(), "out of descriptors").status().unwrap().success());
        return;
    }
    with_file_slots(8, async || {
        let (mut stream, mut peer) = accepted().await;
        let most = open() as u64 + 1;
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the call reads one `rlimit`.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        let mut used = Vec::new();
        while let Ok(fd) = peer.try_clone() {
            used.push(fd);
        }
        assert!(stream.local_addr().is_err());
        let echo = thread::spawn(move || {
            for size in [10, 100_000, 10, 200_000, 50_000, 10] {
                let (sent, mut back) = (vec![3; size], vec![0; size]);
                peer.write_all(&sent).unwrap();
                peer.read_exact(&mut back).unwrap();
                assert_eq!(back, sent);
            }
            peer
        });
        let serving = spawn(async move {
            loop {
                let lease = stream.recv().await.unwrap();
                stream.write_all(lease).await.0.unwrap();
            }
        });
        until(|| echo.is_finished()).await;
        serving.cancel();
        assert!(serving.await.is_err());
        drop(used);
        drop(echo.join().unwrap());
    });
}

/// Opens descriptors until the process has no more; they last as long as what this gives.
fn exhaust_descriptors() -> Vec<std::fs::File> {
    let most = open() as u64 + 2;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the call reads one `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

/// A peer that waits for the end must not wait for a descriptor.
#[test]
fn a_process_out_of_descriptors_still_ends_and_breaks_connections() {
    if role().is_none() {
        let _alone = alone();
        assert!(command(this_test!(), "out of descriptors").status().unwrap().success());
        return;
    }
    with_file_slots(16, async || {
        let mut pairs = Vec::new();
        for _ in 0..4 {
            pairs.push(accepted().await);
        }
        let handler = async |mut reader: StreamReader, mut writer: StreamWriter| {
            let received = reader.read_to_end().await?;
            assert!(received.is_empty());
            writer.write("bye").await
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let client = Peer::connect(server.local_addrs()[0]).unwrap();
        until(|| server.active_connections() == 1).await;
        let descriptors = exhaust_descriptors();
        assert!(pairs[0].0.local_addr().is_err(), "no descriptor is left");

        // The writing half, when it is dropped.
        let (stream, half_closed) = pairs.pop().unwrap();
        let (_read, mut write) = stream.into_split();
        write.write_all("all there is").await.0.unwrap();
        drop(write);
        // A shutdown that is asked for.
        let (mut shut, ended) = pairs.pop().unwrap();
        shut.shutdown(Shutdown::Write).await.unwrap();
        // A writer that breaks the connection, while its reader waits.
        let (stream, aborted) = pairs.pop().unwrap();
        let (mut reader, mut writer) = stream.into_buffered();
        let reading = spawn(async move { reader.read_line().await });
        yield_now().await;
        writer.abort();
        reading.await.unwrap().unwrap();
        // A server that has its clients' handlers come to their end.
        server.close_clients();

        let read_to_end = |mut peer: Peer| {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).map(|_| all)
        };
        let reading = thread::spawn(move || {
            assert_eq!(read_to_end(client).unwrap(), b"bye");
            assert_eq!(read_to_end(half_closed).unwrap(), b"all there is");
            assert_eq!(read_to_end(ended).unwrap(), b"");
            let broken = read_to_end(aborted).unwrap_err();
            assert_eq!(broken.kind(), ErrorKind::ConnectionReset);
        });
        until(|| reading.is_finished()).await;
        reading.join().unwrap();
        drop((descriptors, pairs));
        server.close();
        server.wait_closed().await;
    });
}

/// Whether a worker of the kernel has begun something that it waits for.
fn has_sleeping_worker() -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
        stat.is_ok_and(|stat| stat.contains("(iou-wrk-") && stat.contains(") S "))
    })
}

/// The kernel's only worker has other work, so that a shutdown, for which there is no system call
/// here, comes late: when another connection would have the file slot, had it been closed.
#[test]
fn a_connection_that_is_ended_without_descriptors_and_dropped_ends_not_the_one_in_its_place() {
    if role().is_none() {
        let _alone = alone();
        assert!(command(this_test!(), "out of descriptors").status().unwrap().success());
        return;
    }
    if needs_kernel_ring("only a kernel worker looks a file slot up late") {
        return;
    }
    let directory = Directory::new();
    let fifo = directory.fifo("fifo");
    let builder = Runtime::builder().direct_descriptors(4).max_kernel_workers(1);
    let builder = builder.max_polls_per_turn(1);
    let Some(runtime) = build_or_skip(builder) else { return };
    runtime.block_on(async {
        let (listener, address) = listener().await;
        let mut ended = Peer::connect(address).unwrap();
        let (read, write) = listener.accept().await.unwrap().0.into_split();
        let others = [(); 4].map(|()| Peer::connect(address).unwrap());
        // A worker makes it, and waits for a reader.
        let mut writable = OpenOptions::new();
        writable.write(true).create(true);
        let opening = spawn(writable.open(fifo.clone()));
        until(has_sleeping_worker).await;
        let mut descriptors = exhaust_descriptors();
        drop(write);
        drop(read);
        let mut successors = Vec::new();
        while let Some(Ok((stream, _))) = times(50, listener.accept()).await {
            successors.push(stream);
        }
        drop(descriptors.pop());
        let mut reader = std::fs::OpenOptions::new();
        let reader = reader.read(true).custom_flags(libc::O_NONBLOCK).open(&fifo).unwrap();
        drop(opening.await.unwrap().unwrap());
        assert_eq!(ended.read(&mut [0]).unwrap(), 0);
        drop(descriptors);
        // It comes after the shutdown.
        drop(writable.open(&fifo).await.unwrap());
        drop(reader);
        while successors.len() < others.len() {
            successors.push(listener.accept().await.unwrap().0);
        }
        for mut stream in successors {
            stream.write_all("it goes on").await.0.unwrap();
        }
        let reading = thread::spawn(move || {
            for mut other in others {
                let mut received = String::new();
                other.read_to_string(&mut received).unwrap();
                assert_eq!(received, "it goes on");
            }
        });
        until(|| reading.is_finished()).await;
        reading.join().unwrap();
    });
}
