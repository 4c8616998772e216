//! What makes, closes and waits by descriptors: closes that linger, sockets, pipes, children.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, compare, portable};
use crate::sys::process::ChildId;
use crate::sys::types::{Fd, Fixed};
use crate::sys::{SubmissionFlags, opcode};

#[test]
fn descriptors_of_every_kind_are_closed_once() {
    compare(|bench| {
        let path = bench.path("file");
        let fds = [
            File::create(path).unwrap().into_raw_fd(),
            io::pipe().unwrap().0.into_raw_fd(),
            UnixStream::pair().unwrap().0.into_raw_fd(),
            File::open("/dev/null").unwrap().into_raw_fd(),
        ];
        let closed = fds.map(|fd| bench.result(opcode::Close::new(Fd(fd)).build()));
        assert_eq!(closed, [0; 4]);
        (closed, bench.result(opcode::Close::new(Fd(1 << 20)).build()))
    });
}

/// A socket whose close waits for its peer, which has not read what was sent.
fn lingering() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 65536]).is_ok() {}
    let linger = libc::linger { l_onoff: 1, l_linger: 60 };
    // SAFETY: the call reads one `linger`.
    let result = unsafe {
        let (value, length) = ((&raw const linger).cast(), size_of_val(&linger) as u32);
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, length)
    };
    assert_eq!(result, 0);
    (stream.into(), peer)
}

/// The loop must not wait.
#[test]
fn a_close_of_a_file_slot_that_lingers_is_a_workers() {
    for is_in_use in [false, true] {
        let mut bench = portable();
        let (stream, mut peer) = lingering();
        bench.portable().files.put(0, stream).unwrap();
        let begun = Instant::now();
        let mut buffer = [0_u8; 4];
        let recv = opcode::Recv::new(Fixed(0), buffer.as_mut_ptr(), 4).build();
        if is_in_use {
            bench.submit([(0, recv.flags(SubmissionFlags::FIXED_FILE))]);
        }
        bench.submit([(1, opcode::Close::new(Fixed(0)).build())]);
        if is_in_use {
            assert_eq!(bench.outcomes(1), [(1, 0)]);
            bench.submit([(2, opcode::AsyncCancel::new(0).build())]);
            assert_eq!(bench.outcomes(2), [(0, -libc::ECANCELED), (2, 0)]);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the loop waited for the peer");
        let reader = std::thread::spawn(move || peer.read_to_end(&mut Vec::new()));
        if !is_in_use {
            assert_eq!(bench.outcomes(1), [(1, 0)]);
        }
        reader.join().unwrap().expect("EOF, as the socket is closed");
    }
}

/// The loop must not wait.
#[test]
fn a_close_that_lingers_is_a_workers() {
    let mut bench = portable();
    let (stream, mut peer) = lingering();
    let begun = Instant::now();
    bench.submit([(0, opcode::Close::new(Fd(stream.into_raw_fd())).build())]);
    assert!(begun.elapsed() < Duration::from_secs(30), "the loop waited for the peer");
    std::thread::spawn(move || peer.read_to_end(&mut Vec::new()));
    assert_eq!(bench.outcomes(1), [(0, 0)]);
}

#[test]
fn sockets_are_made_set_up_and_shut_down() {
    compare(|bench| {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        let fd = bench.result(opcode::Socket::new(libc::AF_INET, kind, 0).build());
        assert!(fd >= 0, "{fd}");
        // SAFETY: the completion has just told of the descriptor.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let on: libc::c_int = 1;
        let (level, name) = (libc::SOL_SOCKET as u32, libc::SO_KEEPALIVE as u32);
        let value = (&raw const on).cast();
        let set = opcode::SetSockOpt::new(Fd(fd), level, name, value, 4).build();
        let set = bench.result(set);
        let mut present: libc::c_int = 0;
        let mut length = 4;
        // SAFETY: the call writes one integer.
        unsafe {
            let target = (&raw mut present).cast();
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, target, &raw mut length);
        }
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let shut = bench.result(opcode::Shutdown::new(Fd(ours.as_raw_fd()), libc::SHUT_WR).build());
        assert_eq!(theirs.read(&mut [0; 4]).unwrap(), 0);
        assert_eq!((set, present, shut), (0, 1, 0));
        let wrong = [
            bench.result(opcode::Socket::new(9999, kind, 0).build()),
            bench.result(opcode::SetSockOpt::new(Fd(fd), level, 9999, value, 4).build()),
            bench.result(opcode::Shutdown::new(Fd(fd), libc::SHUT_WR).build()),
            bench.result(opcode::Shutdown::new(Fd(-1), libc::SHUT_WR).build()),
        ];
        drop(socket);
        (set, shut, wrong)
    });
}

#[test]
fn bytes_of_a_file_are_spliced_into_a_pipe() {
    compare(|bench| {
        let path = bench.path("file");
        fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let (from, to) = (Fd(file.as_raw_fd()), Fd(writer.as_raw_fd()));
        let mut splice =
            |offset| bench.result(opcode::Splice::new(from, offset, to, -1, 5).build());
        let results = [splice(3), splice(8), splice(10), splice(-1)];
        drop(writer);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!((results, &bytes[..]), ([5, 2, 0, 5], &b"345678901234"[..]));
        results
    });
}

/// A child that ends at EOF of its input, or when it is killed.
fn child() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_wait_for_a_child_ends_with_it_and_leaves_its_status() {
    compare(|bench| {
        let mut child = child();
        let id = ChildId::new(child.id());
        let options = libc::WEXITED | libc::WNOWAIT;
        let by_number = (libc::P_PID, child.id());
        let target = id.wait_target();
        let waits = [(target.kind, target.id), by_number]
            .map(|(kind, id)| opcode::WaitId::new(kind, id, options).build());
        bench.submit((0..).zip(waits.clone()));
        drop(child.stdin.take());
        let results = bench.outcomes(2);
        assert_eq!(results, [(0, 0), (1, 0)]);
        assert!(child.wait().unwrap().success(), "the status was taken");
        let late = waits.map(|wait| bench.result(wait));
        assert_eq!(late, [-libc::ECHILD; 2]);
        (results, late)
    });
}

#[test]
fn a_wait_for_a_child_by_its_number_is_cancelled() {
    let mut bench = portable();
    let mut child = child();
    let options = libc::WEXITED | libc::WNOWAIT;
    for round in 0..20 {
        bench.submit([(7, opcode::WaitId::new(libc::P_PID, child.id(), options).build())]);
        (0..round * 1000).for_each(|_| std::hint::spin_loop());
        bench.submit([(8, opcode::AsyncCancel::new(7).build())]);
        assert_eq!(bench.outcomes(2)[0], (7, -libc::ECANCELED));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// The number of a descriptor that was closed is the next socket's, of which nothing is known.
#[test]
fn a_file_slot_that_is_closed_under_a_receive_leaves_no_registration_behind() {
    let mut bench = portable();
    let (near, mut far) = UnixStream::pair().unwrap();
    let number = near.as_raw_fd();
    bench.portable().files.put(0, near.into()).unwrap();
    let mut buffer = [0_u8; 4];
    let recv = opcode::Recv::new(Fixed(0), buffer.as_mut_ptr(), 4).build();
    bench.submit([(0, recv.flags(SubmissionFlags::FIXED_FILE))]);
    let is_registered = |bench: &mut Bench| bench.portable().poller.has_to_ask(number, u32::MAX);
    assert!(is_registered(&mut bench));
    assert_eq!(bench.result(opcode::Close::new(Fixed(0)).build()), 0);
    far.write_all(b"last").unwrap();
    assert_eq!(bench.outcomes(1), [(0, 4)]);
    assert!(!is_registered(&mut bench));
}
