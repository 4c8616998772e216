//! Connections: receiving, sending, accepting, connecting.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::ptr;

use super::{Bench, compare, compare_with_slots, fd, portable};
use crate::sys::address::RawAddress;
use crate::sys::types::{DestinationSlot, Fixed};
use crate::sys::{Submission, SubmissionFlags, opcode};

pub(super) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

pub(super) fn recv(socket: &impl std::os::fd::AsRawFd, buffer: &mut [u8]) -> Submission {
    opcode::Recv::new(fd(socket), buffer.as_mut_ptr(), buffer.len() as u32).build()
}

fn send(socket: &impl std::os::fd::AsRawFd, bytes: &[u8]) -> Submission {
    opcode::Send::new(fd(socket), bytes.as_ptr(), bytes.len() as u32).build()
}

#[test]
fn a_receive_waits_for_bytes_and_takes_what_is_there() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 8];
        for text in [&b"first"[..], b"12345678", b"more than eight"] {
            bench.submit([(1, recv(&near, &mut buffer))]);
            bench.assert_quiet();
            far.write_all(text).unwrap();
            bench.collect(1);
            assert_eq!(buffer[..text.len().min(8)], text[..text.len().min(8)]);
        }
        // What is left is there at once, and then the end, again and again.
        bench.run([(2, recv(&near, &mut buffer))]);
        bench.submit([(3, recv(&near, &mut buffer))]);
        far.shutdown(Shutdown::Write).unwrap();
        bench.collect(1);
        bench.run([(4, recv(&near, &mut buffer))]);
    });
}

/// The kernel serves the last one first; the library has one at a time.
#[test]
fn receives_of_one_socket_are_served_in_order() {
    let mut bench = portable();
    let (near, mut far) = tcp_pair();
    let (mut first, mut second) = ([0; 4], [0; 4]);
    bench.submit([(1, recv(&near, &mut first)), (2, recv(&near, &mut second))]);
    far.write_all(b"onetwo..").unwrap();
    bench.collect(2);
    assert_eq!((&first, &second), (b"onet", b"wo.."));
}

#[test]
fn a_receive_on_a_unix_socket_stops_between_two_writers_messages_and_the_next_goes_on() {
    // A short receive there does not mean that nothing is left.
    compare(|bench| {
        let (near, far) = UnixStream::pair().unwrap();
        let mut buffer = [0; 64];
        bench.submit([(1, recv(&near, &mut buffer))]);
        (&far).write_all(b"waits").unwrap();
        bench.collect(1);
        let passed = std::fs::File::open("/dev/null").unwrap();
        super::datagrams::send_with_descriptor(&far, b"with", &passed);
        (&far).write_all(b"without").unwrap();
        bench.run([(2, recv(&near, &mut buffer))]);
        bench.run([(3, recv(&near, &mut buffer))]);
    });
}

#[test]
fn a_receive_stops_at_urgent_data_and_the_next_goes_on() {
    compare(|bench| {
        let (near, far) = tcp_pair();
        let mut buffer = [0; 64];
        bench.submit([(1, recv(&near, &mut buffer))]);
        (&far).write_all(b"waits").unwrap();
        bench.collect(1);
        // SAFETY: the call reads the bytes.
        let send = |bytes: &[u8], flags| unsafe {
            libc::send(
                std::os::fd::AsRawFd::as_raw_fd(&far),
                bytes.as_ptr().cast(),
                bytes.len(),
                flags,
            )
        };
        assert_eq!(send(b"before!", libc::MSG_OOB), 7);
        assert_eq!(send(b"behind", 0), 6);
        let mut received = Vec::new();
        while received.len() < 12 {
            let completion = bench.run([(2, recv(&near, &mut buffer))])[0];
            received.extend_from_slice(&buffer[..completion.result().unwrap() as usize]);
        }
        // In how many parts is a matter of time.
        bench.seen.truncate(1);
        assert_eq!(received, b"beforebehind");
    });
}

#[test]
fn receives_peek_wait_for_all_and_refuse_to_wait() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 8];
        let flagged = |buffer: &mut [u8; 8], flags| {
            opcode::Recv::new(fd(&near), buffer.as_mut_ptr(), 8).flags(flags).build()
        };
        bench.run([(1, flagged(&mut buffer, libc::MSG_DONTWAIT))]);
        bench.submit([(2, flagged(&mut buffer, libc::MSG_PEEK))]);
        far.write_all(b"part").unwrap();
        bench.collect(1);
        bench.submit([(3, flagged(&mut buffer, libc::MSG_WAITALL))]);
        bench.assert_quiet();
        far.write_all(b"rest").unwrap();
        bench.collect(1);
        assert_eq!(&buffer, b"partrest");
        bench.submit([(4, flagged(&mut buffer, libc::MSG_WAITALL))]);
        far.write_all(b"end").unwrap();
        bench.assert_quiet();
        drop(far);
        bench.collect(1);
    });
}

#[test]
fn a_send_reports_the_part_that_fits_and_then_waits_for_room() {
    // How much fits is not the same twice.
    for mut bench in super::both() {
        let (near, mut far) = tcp_pair();
        let bytes = vec![7; 8 << 20];
        let sent = bench.run([(1, send(&near, &bytes))])[0].result().unwrap() as usize;
        assert!(sent > 0 && sent < bytes.len(), "{sent}");
        let mut total = sent;
        loop {
            bench.submit([(2, send(&near, &bytes[..1 << 16]))]);
            let mut is_over = false;
            bench.ring.reap(|completion| {
                total += completion.result().unwrap() as usize;
                is_over = true;
            });
            if !is_over {
                break;
            }
        }
        let mut received = vec![0; total];
        far.read_exact(&mut received).unwrap();
        let late = bench.collect(1)[0].result().unwrap() as usize;
        far.read_exact(&mut received[..late]).unwrap();
        let all = opcode::Send::new(fd(&near), bytes.as_ptr(), bytes.len() as u32);
        bench.submit([(3, all.flags(libc::MSG_WAITALL).build())]);
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; 8 << 20];
            far.read_exact(&mut received).unwrap();
        });
        assert_eq!(bench.collect(1)[0].result().unwrap(), 8 << 20);
        reader.join().unwrap();
    }
}

#[test]
fn sends_to_a_broken_connection_fail_without_a_signal() {
    compare(|bench| {
        let (near, far) = tcp_pair();
        near.shutdown(Shutdown::Write).unwrap();
        bench.run([(1, send(&near, b"late"))]);
        drop(far);
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        bench.run([(2, send(&near, b"late"))]);
    });
}

#[test]
fn a_zero_copy_send_completes_and_notifies() {
    for mut bench in super::both() {
        let (near, mut far) = tcp_pair();
        let bytes = [7; 4096];
        let send = opcode::SendZc::new(fd(&near), bytes.as_ptr(), 4096).zc_flags(1 << 3).build();
        bench.submit([(1, send)]);
        let mut received = [0; 4096];
        far.read_exact(&mut received).unwrap();
        let completions = bench.collect(2);
        assert_eq!(completions[0].result().unwrap(), 4096);
        assert!(completions[0].more() && !completions[1].more());
        // On loopback the kernel copies, too.
        assert!(completions[1].zero_copy_was_copied());
        near.shutdown(Shutdown::Write).unwrap();
        let send = opcode::SendZc::new(fd(&near), bytes.as_ptr(), 4096).build();
        bench.submit([(2, send)]);
        let failed = bench.collect(1);
        assert!(failed[0].failed_with(libc::EPIPE), "{failed:?}");
        if failed[0].more() && failed.len() == 1 {
            bench.collect(1);
        }
    }
}

#[test]
fn a_multishot_accept_takes_every_connection_and_leaves_the_listener_usable() {
    compare(|bench| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        bench.submit([(1, opcode::AcceptMulti::new(fd(&listener)).build())]);
        for _ in 0..3 {
            let client = TcpStream::connect(address).unwrap();
            let accepted = bench.collect(1)[0];
            assert!(accepted.more());
            let server = TcpStream::from(bench.adopt(accepted));
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
            // It waits, as a socket of a blocking listener does.
            (&client).write_all(b"x").unwrap();
            (&server).read_exact(&mut [0]).unwrap();
        }
        bench.run([(2, opcode::AsyncCancel::new(1).build())]);
        bench.collect_rest(2);
    });
}

#[test]
fn an_accept_tells_the_peers_address() {
    compare(|bench| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut name = RawAddress::empty();
        let (start, length) = (name.as_mut_ptr(), ptr::from_mut(name.length_mut()));
        let accept = opcode::Accept::new(fd(&listener), start.cast(), length).build();
        bench.submit([(1, accept)]);
        bench.assert_quiet();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = bench.collect(1)[0];
        drop(bench.adopt(accepted));
        let peer = name.decode().unwrap();
        let expected = client.local_addr().unwrap();
        assert!(matches!(peer, crate::sys::address::Address::Ip(peer) if peer == expected));
    });
}

#[test]
fn an_accept_that_is_cancelled_in_the_same_enter_takes_what_is_there() {
    compare(|bench| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accept = || {
            let accept = opcode::Accept::new(fd(&listener), ptr::null_mut(), ptr::null_mut());
            accept.build()
        };
        // The ring knows the listener, and that there is nothing.
        bench.submit([(1, accept()), (2, opcode::AsyncCancel::new(1).build())]);
        bench.collect(2);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        bench.submit([(3, accept()), (4, opcode::AsyncCancel::new(3).build())]);
        let accepted = bench.collect(2)[0];
        drop(bench.adopt(accepted));
    });
}

#[test]
fn a_connect_tells_its_outcome_and_leaves_the_socket_blocking() {
    compare(|bench| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = free.local_addr().unwrap();
        drop(free);
        for (user_data, to) in [(1, listener.local_addr().unwrap()), (2, refused)] {
            // SAFETY: the call takes no pointers.
            let socket =
                super::descriptor(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) });
            let address = RawAddress::from(to);
            let connect = opcode::Connect::new(fd(&socket), address.as_ptr(), address.length());
            bench.run([(user_data, connect.build())]);
            // SAFETY: the call takes no pointers.
            let flags = unsafe { libc::fcntl(fd(&socket).0, libc::F_GETFL) };
            assert_eq!(flags & libc::O_NONBLOCK, 0);
        }
    });
}

#[test]
fn a_connect_to_a_full_unix_backlog_waits_and_may_be_limited() {
    compare(|bench| {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("annulus-portable-{:p}", ptr::from_ref(bench)));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        // SAFETY: the call takes no pointers.
        unsafe { libc::listen(fd(&listener).0, 0) };
        let address = RawAddress::from(&UnixAddr::from_pathname(&path).unwrap());
        let socket = || {
            // SAFETY: the call takes no pointers.
            super::descriptor(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) })
        };
        let sockets = [(); 3].map(|()| socket());
        let connect = |nth: usize| {
            opcode::Connect::new(fd(&sockets[nth]), address.as_ptr(), address.length()).build()
        };
        bench.run([(1, connect(0))]);
        let limit = crate::sys::timespec(std::time::Duration::from_millis(5));
        let limited = connect(1).flags(SubmissionFlags::IO_LINK);
        bench.submit([(2, limited), (3, opcode::LinkTimeout::new(&limit).build())]);
        assert!(bench.collect(2)[0].is_interrupted());
        // The kernel interrupts a worker there, and says so.
        bench.seen.pop();
        bench.submit([(4, connect(2))]);
        bench.assert_quiet();
        listener.accept().unwrap();
        bench.collect(1);
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn a_file_slot_is_filled_used_closed_and_used_again() {
    compare_with_slots(|bench| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let accept = |slot| {
            let slot = DestinationSlot::try_from_slot_target(slot).unwrap();
            let accept = opcode::Accept::new(fd(&listener), ptr::null_mut(), ptr::null_mut());
            accept.file_index(Some(slot)).build()
        };
        let fixed = |sqe: Submission| sqe.flags(SubmissionFlags::FIXED_FILE);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        bench.run([(1, accept(2))]);
        let mut buffer = [0; 8];
        let recv = |buffer: &mut [u8; 8]| {
            fixed(opcode::Recv::new(Fixed(2), buffer.as_mut_ptr(), 8).build())
        };
        bench.submit([(2, recv(&mut buffer))]);
        // The slot is closed under the receive, which goes on.
        bench.run([(3, opcode::Close::new(Fixed(2)).build())]);
        bench.run([(4, opcode::Close::new(Fixed(2)).build())]);
        let mut second = [0; 8];
        bench.run([(5, recv(&mut second))]);
        client.write_all(b"old").unwrap();
        bench.collect(1);
        assert_eq!(&buffer[..3], b"old");
        // The last use is over: the connection is closed.
        assert_eq!(client.read(&mut buffer).unwrap(), 0);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        bench.run([(6, accept(2))]);
        bench.submit([(7, recv(&mut second))]);
        client.write_all(b"new").unwrap();
        bench.collect(1);
        let installed = bench.run([(8, opcode::FixedFdInstall::new(Fixed(2), 0).build())])[0];
        let mut installed = TcpStream::from(bench.adopt(installed));
        installed.write_all(b"both").unwrap();
        client.read_exact(&mut buffer[..4]).unwrap();
    });
}

impl Bench {
    /// Waits until `count` SQEs have completed, with those of the last step, and notes all as that.
    pub(super) fn collect_rest(&mut self, count: usize) {
        let mut step = self.seen.pop().expect("there was a step");
        if step.len() < count {
            self.collect(count - step.len());
            step.extend(self.seen.pop().expect("it was just collected"));
        }
        step.sort_by_key(|seen| seen.0);
        self.seen.push(step);
    }
}
