//! Datagrams of Unix sockets: names, what is waited for, errors.

use std::env::temp_dir;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;
use std::process;

use annulus::net::UnixDatagram;
use annulus::{raw_os_error, spawn};

use crate::common::pattern::pattern;
use crate::common::poll::{times, yield_times};
use crate::common::watchdog::run;

/// A path that is removed at the end.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        Self(temp_dir().join(format!("annulus-{}-{name}", process::id())))
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn datagrams_arrive_with_the_name_of_their_sender() {
    run(async {
        let (here, there) = (Path::new("here"), Path::new("there"));
        let near = UnixDatagram::bind(&here.0).unwrap();
        let far = UnixDatagram::bind(&there.0).unwrap();
        far.send_to("by a path", &here.0).await.0.unwrap();
        let ((count, from), _) = near.recv_from(vec![0; 20]).await.unwrap();
        assert_eq!((count, from.as_pathname()), (9, Some(&*there.0)));
        far.try_send_to(b"at once", &here.0).unwrap();
        let datagram = near.recv_msg().await.unwrap();
        assert_eq!(datagram.address().as_pathname(), Some(&*there.0));
        near.send_to_addr("back", datagram.address()).await.0.unwrap();
        assert_eq!(*far.recv_msg().await.unwrap(), *b"back");
        let unnamed = UnixDatagram::unbound().unwrap();
        unnamed.connect(&here.0).unwrap();
        unnamed.send("from none").await.0.unwrap();
        let datagram = near.recv_msg().await.unwrap();
        assert!(datagram.address().is_unnamed() && *datagram == *b"from none");
        assert_eq!(UnixDatagram::bind(&here.0).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn abstract_names_are_bound_and_reported() {
    run(async {
        let name = format!("annulus-{}-abstract", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let near = UnixDatagram::bind(format!("\0{name}")).unwrap();
        assert_eq!(near.local_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
        let far = UnixDatagram::unbound().unwrap();
        far.send_to_addr("hello", &address).await.0.unwrap();
        assert_eq!(near.recv(vec![0; 10]).await.unwrap().0, 5);
    });
}

#[test]
fn a_datagram_longer_than_a_leased_buffer_is_reported_and_fits_an_owned_one() {
    run(async {
        let (near, far) = UnixDatagram::pair().unwrap();
        let long = pattern(1, 100_000);
        far.send(long.clone()).await.0.unwrap();
        let (count, buffer) = near.recv(vec![0; 200_000]).await.unwrap();
        assert_eq!(buffer[..count], long[..]);
        far.send(long).await.0.unwrap();
        let error = near.recv_msg().await.unwrap_err();
        assert_eq!(raw_os_error(&error), Some(libc::EMSGSIZE));
    });
}

/// A receiver does not read. Left to a poll, a send to an address would find room reported at once,
/// each time, and the loop would be busy.
#[test]
fn a_send_waits_while_the_receiver_is_full_and_the_loop_sleeps() {
    run(async {
        let path = Path::new("full");
        let near = UnixDatagram::bind(&path.0).unwrap();
        let far = UnixDatagram::unbound().unwrap();
        let mut sent = 0_u32;
        while far.try_send_to(&sent.to_ne_bytes(), &path.0).is_ok() {
            sent += 1;
        }
        let address = near.local_addr().unwrap();
        let waiting = spawn({
            let far = UnixDatagram::unbound().unwrap();
            async move { far.send_to_addr(sent.to_ne_bytes().to_vec(), &address).await.0 }
        });
        yield_times(3).await;
        let before = annulus::metrics().enter_calls;
        annulus::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(annulus::metrics().enter_calls - before < 20, "the loop sleeps meanwhile");
        assert!(!waiting.is_finished());
        for number in 0..=sent {
            let (count, bytes) = near.recv(vec![0; 4]).await.unwrap();
            assert_eq!(count, 4, "datagram {number} of {sent}: {bytes:?}");
            assert_eq!(u32::from_ne_bytes(bytes.try_into().unwrap()), number);
        }
        waiting.await.unwrap().unwrap();
    });
}

#[test]
fn a_dropped_send_to_a_full_receiver_frees_its_worker() {
    run(async {
        let path = Path::new("dropped");
        let near = UnixDatagram::bind(&path.0).unwrap();
        let far = UnixDatagram::unbound().unwrap();
        while far.try_send_to(b"full", &path.0).is_ok() {}
        assert!(times(3, far.send_to("dropped", &path.0)).await.is_none());
        // The end of the runtime waits for it, within the test's bound in time.
        drop(near);
    });
}

#[test]
fn a_connected_pair_waits_for_room_and_reports_a_peer_that_is_gone() {
    run(async {
        let (near, far) = UnixDatagram::pair().unwrap();
        let mut sent = 0_u32;
        while far.try_send(&sent.to_ne_bytes()).is_ok() {
            sent += 1;
        }
        let sender = spawn(async move {
            far.send(sent.to_ne_bytes().to_vec()).await.0.unwrap();
            far
        });
        for number in 0..=sent {
            let datagram = near.recv_msg().await.unwrap();
            assert_eq!(*datagram, number.to_ne_bytes());
        }
        let far = sender.await.unwrap();
        far.shutdown(Shutdown::Read).unwrap();
        near.close().await;
        assert_eq!(far.send("to none").await.0.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}
