//! A Unix datagram socket takes no descriptors, whatever its peers pass.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem::zeroed;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;
use std::pin::pin;

use annulus::net::UnixDatagram;
use annulus::{Runtime, run};
use futures_util::StreamExt;

use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::poll::{times, until};
use crate::common::skip::skip;

/// Whether a Unix socket receives descriptors (Linux 6.16).
const SO_PASSRIGHTS: i32 = 83;

/// How many descriptors each datagram passes.
const PASSED: usize = 3;

/// Sends a datagram that passes the descriptor, several times.
fn pass(peer: &net::UnixDatagram, bytes: &[u8], fd: RawFd) -> io::Result<()> {
    const HEADER: usize = size_of::<libc::cmsghdr>() / size_of::<i32>();
    let mut control = [0_i32; HEADER + PASSED + 1];
    let length = (HEADER + PASSED) * size_of::<i32>();
    control[0] = length as i32;
    control[HEADER - 2] = libc::SOL_SOCKET;
    control[HEADER - 1] = libc::SCM_RIGHTS;
    control[HEADER..][..PASSED].fill(fd);
    let mut segment =
        libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zeroes are an empty message.
    let mut message: libc::msghdr = unsafe { zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut segment, 1);
    (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), length as _);
    // SAFETY: the message points to bytes and control messages that live.
    let sent = unsafe { libc::sendmsg(peer.as_raw_fd(), &raw const message, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A socket and its peer.
fn pair() -> (UnixDatagram, net::UnixDatagram) {
    let (near, far) = net::UnixDatagram::pair().unwrap();
    (UnixDatagram::from_std(near), far)
}

/// Has the kernel let descriptors through to the socket, as those before Linux 6.16 do.
fn let_through(socket: &UnixDatagram) {
    let (on, length) = (1_i32, size_of::<i32>() as libc::socklen_t);
    let value = (&raw const on).cast();
    // SAFETY: the call reads one integer. That older kernels do not know the option is no matter.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, value, length) };
}

/// Receives one datagram by one of the forms, of which some only look at it before.
async fn receive(socket: &UnixDatagram, form: usize) {
    let mut memory = [0; 8];
    match form {
        0 => assert_eq!(socket.recv(vec![0; 8]).await.0.unwrap(), 1),
        1 => assert_eq!(&*socket.recv_msg().await.unwrap(), b"x"),
        2 => {
            let mut many = pin!(socket.recv_many());
            assert_eq!(&*many.next().await.unwrap().unwrap(), b"x");
        }
        3 => {
            assert_eq!(socket.peek(vec![0; 8]).await.0.unwrap(), 1);
            assert_eq!(socket.recv_msg_into(vec![0; 8]).await.0.unwrap().len, 1);
        }
        4 => {
            poll_fn(|context| socket.poll_peek_from(context, &mut memory)).await.unwrap();
            poll_fn(|context| socket.poll_recv(context, &mut memory)).await.unwrap();
        }
        _ => {
            socket.readable().await.unwrap();
            until(|| socket.try_recv(&mut memory).is_ok()).await;
        }
    }
}

/// As many forms as `receive` has.
const FORMS: usize = 6;

#[test]
fn ten_thousand_datagrams_that_pass_descriptors_leave_none() {
    counting(|| {
        for direct in [0, 8] {
            let runtime = Runtime::builder().direct_descriptors(direct).build().unwrap();
            runtime.block_on(async {
                let (socket, peer) = pair();
                let_through(&socket);
                // The multishot receive, which is ended by other forms, needs its first buffers.
                pass(&peer, b"x", peer.as_raw_fd()).unwrap();
                receive(&socket, 2).await;
                let before = open();
                for round in 0..5000 {
                    if round % 7 == 0 {
                        // An orphaned receive gets it.
                        let waiting = times(1, socket.recv(vec![0; 8])).await;
                        assert!(waiting.is_none());
                    }
                    pass(&peer, b"x", peer.as_raw_fd()).unwrap();
                    receive(&socket, round / 50 % FORMS).await;
                    if round % 50 == 0 {
                        assert_eq!(open(), before, "in round {round}");
                    }
                }
                assert_eq!(open(), before);
            });
        }
    });
}

#[test]
fn datagrams_that_nothing_receives_leave_no_descriptors() {
    counting(|| {
        run(async {
            let before = open();
            for form in 0..3 {
                let (socket, peer) = pair();
                let_through(&socket);
                match form {
                    // A receive that is dropped when its datagram has come.
                    0 => assert!(times(1, socket.recv(vec![0; 8])).await.is_none()),
                    // A multishot receive that no task polls.
                    1 => assert!(times(1, socket.recv_msg()).await.is_none()),
                    _ => {}
                }
                for _ in 0..5 {
                    pass(&peer, b"x", peer.as_raw_fd()).unwrap();
                }
                drop((socket, peer));
                until(|| open() == before).await;
            }
        })
        .unwrap();
    });
}

/// To close a socket that lingers takes as long as the peer likes: it would be done by the thread
/// that receives.
#[test]
fn a_peer_that_passes_a_lingering_socket_is_refused() {
    counting(|| {
        let before = open();
        run(async {
            let name = format!("annulus-lingering-{}", std::process::id());
            let address = net::SocketAddr::from_abstract_name(&name).unwrap();
            let bound = UnixDatagram::bind_addr(&address).unwrap();
            let peer = net::UnixDatagram::unbound().unwrap();
            peer.connect_addr(&address).unwrap();
            let (adopted, other) = pair();
            for (socket, peer) in [(bound, peer), (adopted, other)] {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let full = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                match pass(&peer, b"x", full.as_raw_fd()) {
                    Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
                    Ok(()) => return skip("descriptors cannot be refused before Linux 6.16"),
                }
                peer.send(b"without").unwrap();
                assert_eq!(&*socket.recv_msg().await.unwrap(), b"without");
                let (own, _) = socket.into_std().await.unwrap();
                pass(&peer, b"x", full.as_raw_fd()).unwrap();
                assert_eq!(own.recv(&mut [0; 8]).unwrap(), 1, "the user's again");
            }
        })
        .unwrap();
        assert_back_to(before);
    });
}
