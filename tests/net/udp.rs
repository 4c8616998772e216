//! UDP sockets: each form of sending and receiving, their errors, options, multicast.

use std::future::poll_fn;
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use annulus::buf::BufResult;
use annulus::net::{
    Datagram, Ecn, SendOptions, UdpOptions, UdpSocket, datagram_endpoint, open_datagram_endpoint,
};
use annulus::{Runtime, raw_os_error};

use crate::common::bounded::bounded;
use crate::common::pattern::pattern;
use crate::common::poll::{times, yield_times};
use crate::common::seccomp::{Calls, REGISTER_BUFFER_RING, refusing};
use crate::common::skip::{lacks_ipv6, needs_kernel_ring, skip};
use crate::common::watchdog::run;

/// Two sockets of the loopback interface.
pub(crate) async fn two() -> (UdpSocket, UdpSocket) {
    (bound("127.0.0.1:0").await, bound("127.0.0.1:0").await)
}

async fn bound(address: &str) -> UdpSocket {
    UdpSocket::bind(address).await.unwrap()
}

/// Two sockets that are connected to each other.
pub(crate) async fn connected() -> (UdpSocket, UdpSocket) {
    let (near, far) = two().await;
    near.connect(far.local_addr().unwrap()).await.unwrap();
    far.connect(near.local_addr().unwrap()).await.unwrap();
    (near, far)
}

/// Receives by each form, of which the far socket sends the index.
async fn receive_by_each_form(receiver: &UdpSocket, sender: &UdpSocket) {
    let to = receiver.local_addr().unwrap();
    let from = sender.local_addr().unwrap();
    let text = |form: &str| format!("by {form}").into_bytes();
    let send = async |form: &str| sender.send_to(text(form), to).await.0.unwrap();
    for _ in 0..3 {
        send("recv").await;
        let (count, buffer) = receiver.recv(vec![0; 100]).await.unwrap();
        assert_eq!(&buffer[..count], text("recv"));
        send("recv_from").await;
        let ((count, address), buffer) = receiver.recv_from(vec![0; 100]).await.unwrap();
        assert_eq!((&buffer[..count], address), (&text("recv_from")[..], from));
        send("recv_msg").await;
        let datagram = receiver.recv_msg().await.unwrap();
        assert_eq!((&*datagram, *datagram.address()), (&text("recv_msg")[..], from));
        assert_eq!(datagram.meta().len, datagram.len());
        send("recv_msg_into").await;
        let (meta, buffer) = receiver.recv_msg_into(vec![0; 100]).await.unwrap();
        assert_eq!((&buffer[..meta.len], meta.address), (&text("recv_msg_into")[..], from));
        send("recv_many").await;
        let datagram = receiver.recv_many().recv().await.unwrap();
        assert_eq!(&*datagram, text("recv_many"));
        send("peek").await;
        let (count, buffer) = receiver.peek(vec![0; 100]).await.unwrap();
        assert_eq!(&buffer[..count], text("peek"));
        let ((count, address), _) = receiver.peek_from(vec![0; 3]).await.unwrap();
        assert_eq!((count, address), (3, from));
        let mut memory = [0; 100];
        let (count, address) = receiver.try_recv_from(&mut memory).unwrap();
        assert_eq!((&memory[..count], address), (&text("peek")[..], from));
        assert_eq!(receiver.try_recv(&mut memory).unwrap_err().kind(), ErrorKind::WouldBlock);
        let polled = poll_fn(|context| {
            let polled = receiver.poll_recv_from(context, &mut memory);
            if polled.is_pending() {
                sender.try_send_to(b"by poll", to).unwrap();
            }
            polled
        });
        assert_eq!(polled.await.unwrap(), (7, from));
        send("readable").await;
        receiver.readable().await.unwrap();
        assert_eq!(receiver.try_recv(&mut memory).unwrap(), text("readable").len());
    }
}

#[test]
fn a_datagram_arrives_whole_and_with_its_sender_by_each_form_of_receiving() {
    run(async {
        let (receiver, sender) = two().await;
        receive_by_each_form(&receiver, &sender).await;
    });
}

#[test]
fn a_datagram_arrives_over_ipv6() {
    if lacks_ipv6() {
        return skip("no IPv6 on the loopback interface");
    }
    run(async {
        let (receiver, sender) = (bound("[::1]:0").await, bound("[::1]:0").await);
        receive_by_each_form(&receiver, &sender).await;
    });
}

/// The kernel's buffer rings and multishot receives came later than what is required.
#[test]
fn a_datagram_arrives_by_each_form_where_the_kernel_has_no_provided_buffers() {
    if needs_kernel_ring("it lets io_uring_register fail") {
        return;
    }
    let calls =
        Calls { number: libc::SYS_io_uring_register, second_argument: Some(REGISTER_BUFFER_RING) };
    refusing(calls, libc::EINVAL, || {
        run(async {
            let (receiver, sender) = two().await;
            receive_by_each_form(&receiver, &sender).await;
        });
    });
}

#[test]
fn a_socket_of_both_families_answers_either() {
    if lacks_ipv6() {
        return skip("no IPv6 on the loopback interface");
    }
    run(async {
        let options = UdpOptions::new().v6_only(false);
        let both = UdpSocket::bind_with("[::]:0", &options).await.unwrap();
        assert!(!both.only_v6().unwrap());
        let port = both.local_addr().unwrap().port();
        for ip in [Ipv4Addr::LOCALHOST.into(), std::net::IpAddr::from(Ipv6Addr::LOCALHOST)] {
            let client = UdpSocket::bind((ip, 0)).await.unwrap();
            client.send_to("ping", (ip, port)).await.0.unwrap();
            let datagram = both.recv_msg().await.unwrap();
            let from = *datagram.address();
            both.send_to(datagram.into_lease(), from).await.0.unwrap();
            let ((count, address), _) = client.recv_from(vec![0; 10]).await.unwrap();
            assert_eq!((count, address), (4, SocketAddr::from((ip, port))));
        }
    });
}

#[test]
fn a_datagram_without_bytes_is_received_as_one() {
    run(async {
        let (near, far) = connected().await;
        for _ in 0..3 {
            far.send("").await.0.unwrap();
            assert_eq!(near.recv(vec![0; 10]).await.unwrap().0, 0);
            far.send("").await.0.unwrap();
            let datagram = near.recv_msg().await.unwrap();
            assert_eq!((datagram.len(), datagram.segments().count()), (0, 1));
            assert_eq!(*datagram.address(), far.local_addr().unwrap());
            far.send("").await.0.unwrap();
            far.send("next").await.0.unwrap();
            // Into a buffer without room.
            assert_eq!(near.recv(Vec::new()).await.unwrap().0, 0);
            assert_eq!(near.recv(vec![0; 10]).await.unwrap().0, 4);
        }
    });
}

#[test]
fn a_datagram_that_is_longer_than_the_buffer_is_reported() {
    run(async {
        let (near, far) = connected().await;
        let sent = pattern(1, 1000);
        let is_cut = |error: &Error| raw_os_error(error) == Some(libc::EMSGSIZE);
        far.send(sent.clone()).await.0.unwrap();
        let BufResult(result, buffer) = near.recv(vec![0; 100].into_boxed_slice()).await;
        let error = result.unwrap_err();
        assert!(is_cut(&error), "{error}");
        assert!(error.to_string().contains("1000 bytes"), "{error}");
        assert_eq!(buffer[..], sent[..100]);
        far.send(sent.clone()).await.0.unwrap();
        let (meta, buffer) = near.recv_msg_into(vec![0; 100].into_boxed_slice()).await.unwrap();
        assert_eq!((meta.len, &buffer[..]), (1000, &sent[..100]));
        far.send(sent.clone()).await.0.unwrap();
        near.readable().await.unwrap();
        assert!(is_cut(&near.try_recv(&mut [0; 100]).unwrap_err()));
        // A lease has room for it.
        far.send(sent.clone()).await.0.unwrap();
        assert_eq!(*near.recv_msg().await.unwrap(), sent[..]);
    });
}

#[test]
fn buffers_for_datagrams_that_are_too_small_cut_none_in_silence() {
    bounded(|| {
        let runtime = Runtime::builder().datagram_buffers(8, 1024).build().unwrap();
        runtime.block_on(async {
            let (near, far) = connected().await;
            far.send(pattern(1, 5000)).await.0.unwrap();
            far.send(pattern(2, 500)).await.0.unwrap();
            let error = near.recv_msg().await.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(libc::EMSGSIZE), "{error}");
            assert_eq!(*near.recv_msg().await.unwrap(), pattern(2, 500)[..]);
        });
    });
}

#[test]
fn the_longest_datagram_is_sent_and_a_longer_one_is_refused() {
    run(async {
        let (near, far) = connected().await;
        let longest = pattern(3, 65_507);
        far.send(longest.clone()).await.0.unwrap();
        assert_eq!(*near.recv_msg().await.unwrap(), longest[..]);
        far.send(longest.clone()).await.0.unwrap();
        let (count, buffer) = near.recv(vec![0; 70_000]).await.unwrap();
        assert_eq!(buffer[..count], longest[..]);
        let BufResult(result, buffer) = far.send(pattern(3, 65_508)).await;
        assert_eq!(raw_os_error(&result.unwrap_err()), Some(libc::EMSGSIZE));
        assert_eq!(buffer.len(), 65_508);
    });
}

/// A port that refuses datagrams, and the socket that holds it, which is connected to itself.
async fn refusing_port() -> (UdpSocket, SocketAddr) {
    let held = bound("127.0.0.1:0").await;
    let address = held.local_addr().unwrap();
    held.connect(address).await.unwrap();
    (held, address)
}

/// The kernel reports it once, to the operation that comes next; the socket goes on.
#[test]
fn a_refusal_is_reported_once_and_the_socket_can_be_used_on() {
    run(async {
        let near = bound("127.0.0.1:0").await;
        let (_held, address) = refusing_port().await;
        near.connect(address).await.unwrap();
        for form in 0..3 {
            near.send("lost").await.0.unwrap();
            let result = match form {
                0 => near.recv(vec![0; 10]).await.0.map(drop),
                1 => near.recv_msg().await.map(drop),
                _ => {
                    near.readable().await.unwrap();
                    near.try_recv(&mut [0; 10]).map(drop)
                }
            };
            assert_eq!(result.unwrap_err().kind(), ErrorKind::ConnectionRefused);
            assert!(near.take_error().unwrap().is_none(), "once");
        }
        let far = bound("127.0.0.1:0").await;
        near.connect(far.local_addr().unwrap()).await.unwrap();
        far.send_to("found", near.local_addr().unwrap()).await.0.unwrap();
        assert_eq!(*near.recv_msg().await.unwrap(), *b"found");
    });
}

/// A dropped receive meets the error. Without a place for it, it would be reported to nothing.
#[test]
fn a_refusal_that_a_dropped_receive_has_met_is_reported_to_the_next_operation() {
    run(async {
        let near = bound("127.0.0.1:0").await;
        let (_held, address) = refusing_port().await;
        near.connect(address).await.unwrap();
        for form in 0..4 {
            assert!(times(2, near.recv(vec![0; 10])).await.is_none());
            assert!(times(2, near.recv(vec![0; 10])).await.is_none());
            let receive = near.recv(vec![0; 10]);
            let mut receive = Box::pin(receive);
            assert!(crate::common::poll::once(receive.as_mut()).await.is_pending());
            yield_times(2).await;
            near.send("lost").await.0.unwrap();
            drop(receive);
            yield_times(3).await;
            let error = match form {
                0 => near.recv(vec![0; 10]).await.0.unwrap_err(),
                1 => near.recv_msg().await.unwrap_err(),
                2 => near.take_error().unwrap().expect("the error is kept"),
                _ => near.send("next").await.0.unwrap_err(),
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "form {form}");
            assert!(near.take_error().unwrap().is_none(), "once");
        }
    });
}

#[test]
fn options_are_read_as_they_were_set() {
    run(async {
        let options = UdpOptions::new().broadcast(true).recv_buffer_size(50_000).reuse_addr(true);
        let socket = UdpSocket::bind_with("127.0.0.1:0", &options).await.unwrap();
        assert!(socket.broadcast().unwrap());
        assert_eq!(socket.recv_buffer_size().unwrap(), 100_000);
        socket.set_broadcast(false).unwrap();
        socket.set_ttl(33).unwrap();
        socket.set_tos(0x1c).unwrap();
        socket.set_send_buffer_size(60_000).unwrap();
        socket.set_multicast_loop_v4(false).unwrap();
        socket.set_multicast_ttl_v4(7).unwrap();
        socket.set_multicast_if_v4(Ipv4Addr::LOCALHOST).unwrap();
        assert!(!socket.broadcast().unwrap());
        assert_eq!((socket.ttl().unwrap(), socket.tos().unwrap()), (33, 0x1c));
        assert_eq!(socket.send_buffer_size().unwrap(), 120_000);
        assert!(!socket.multicast_loop_v4().unwrap());
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 7);
        assert_eq!(socket.multicast_if_v4().unwrap(), Ipv4Addr::LOCALHOST);
        assert_eq!(socket.set_tos(256).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(raw_os_error(&socket.set_ttl(256).unwrap_err()), Some(libc::EINVAL));
        if lacks_ipv6() {
            return skip("no IPv6 on the loopback interface");
        }
        let socket =
            UdpSocket::bind_with("[::1]:0", &UdpOptions::new().v6_only(true)).await.unwrap();
        socket.set_ttl(34).unwrap();
        socket.set_tos(0x20).unwrap();
        socket.set_multicast_loop_v6(false).unwrap();
        socket.set_multicast_hops_v6(9).unwrap();
        socket.set_multicast_if_v6(1).unwrap();
        assert_eq!((socket.ttl().unwrap(), socket.tos().unwrap()), (34, 0x20));
        assert!(socket.only_v6().unwrap() && !socket.multicast_loop_v6().unwrap());
        assert_eq!(
            (socket.multicast_hops_v6().unwrap(), socket.multicast_if_v6().unwrap()),
            (9, 1)
        );
    });
}

#[test]
fn a_member_of_a_group_receives_what_is_sent_to_it_until_it_leaves() {
    run(async {
        let group = Ipv4Addr::new(239, 255, 77, 1);
        let member = bound("0.0.0.0:0").await;
        let to = SocketAddr::from((group, member.local_addr().unwrap().port()));
        let sender = bound("127.0.0.1:0").await;
        sender.set_multicast_if_v4(Ipv4Addr::LOCALHOST).unwrap();
        sender.set_multicast_loop_v4(true).unwrap();
        member.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        sender.send_to("to all", to).await.0.unwrap();
        assert_eq!(*member.recv_msg().await.unwrap(), *b"to all");
        let again = member.join_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
        member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).unwrap();
        sender.send_to("to none", to).await.0.unwrap();
        let direct = SocketAddr::from((Ipv4Addr::LOCALHOST, to.port()));
        sender.send_to("to one", direct).await.0.unwrap();
        assert_eq!(*member.recv_msg().await.unwrap(), *b"to one");
        let source = Ipv4Addr::LOCALHOST;
        member.join_ssm_v4(source, group, Ipv4Addr::LOCALHOST).unwrap();
        sender.send_to("of a source", to).await.0.unwrap();
        assert_eq!(*member.recv_msg().await.unwrap(), *b"of a source");
        member.leave_ssm_v4(source, group, Ipv4Addr::LOCALHOST).unwrap();
        assert!(member.leave_multicast_v4(group, Ipv4Addr::LOCALHOST).is_err());
    });
}

/// What a server bound to all addresses needs to answer from the one that it was asked at, and what
/// QUIC needs.
#[test]
fn congestion_marks_and_the_destination_are_received_and_set() {
    run(async {
        let (near, far) = (bound("0.0.0.0:0").await, bound("0.0.0.0:0").await);
        let port = near.local_addr().unwrap().port();
        near.set_recv_pktinfo(true).unwrap();
        near.set_recv_tos(true).unwrap();
        for ecn in [Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce), None] {
            let source = Ipv4Addr::new(127, 0, 0, 3).into();
            let options = SendOptions::to(([127, 0, 0, 2], port)).ecn(ecn).src_ip(source);
            for form in 0..3 {
                match form {
                    0 => drop(far.send_msg("marked", &options).await.0.unwrap()),
                    1 => drop(far.try_send_msg(b"marked", &options).unwrap()),
                    _ => {
                        let sent =
                            poll_fn(|context| far.poll_send_msg(context, b"marked", &options));
                        assert_eq!(sent.await.unwrap(), 6);
                    }
                }
                let meta = match form {
                    0 => *near.recv_msg().await.unwrap().meta(),
                    1 => near.recv_msg_into(vec![0; 100]).await.unwrap().0,
                    _ => {
                        poll_fn(|context| near.poll_recv_msg(context, &mut [0; 100])).await.unwrap()
                    }
                };
                assert_eq!(
                    (meta.ecn, meta.dst_ip),
                    (ecn, Some(Ipv4Addr::new(127, 0, 0, 2).into()))
                );
                assert_eq!((meta.address.ip(), meta.interface), (source, Some(1)));
            }
        }
    });
}

#[test]
fn one_call_sends_and_receives_many_datagrams_of_one_size() {
    run(async {
        let (near, far) = connected().await;
        if far.max_send_segments() == 1 || near.set_gro(true).is_err() {
            return skip("the kernel has no GSO or no GRO");
        }
        assert!(near.gro().unwrap());
        let sent = pattern(9, 10 * 1200 + 7);
        far.send_msg(sent.clone(), &SendOptions::new().segment_size(1200)).await.0.unwrap();
        let mut received: Vec<Vec<u8>> = Vec::new();
        while received.len() < 11 {
            let datagram: Datagram = near.recv_msg().await.unwrap();
            received.extend(datagram.segments().map(<[u8]>::to_vec));
        }
        assert!(received[..10].iter().all(|segment| segment.len() == 1200));
        assert_eq!(received.concat(), sent);
        let too_many = SendOptions::new().segment_size(10);
        assert!(far.send_msg(vec![0; 60_000], &too_many).await.0.is_err());
    });
}

#[test]
fn several_datagrams_are_sent_by_one_submission_and_each_has_its_result() {
    run(async {
        let (near, far) = two().await;
        let to = near.local_addr().unwrap();
        let before = annulus::metrics().enter_calls;
        let sent = far
            .send_many((0..40).map(|seed| {
                let length = if seed == 7 { 70_000 } else { usize::from(seed) };
                (pattern(seed, length), to)
            }))
            .await;
        assert!(annulus::metrics().enter_calls - before <= 2, "one submission");
        for (seed, BufResult(result, buffer)) in (0..40).zip(sent) {
            match result {
                Ok(count) => assert_eq!((count, buffer), (seed, pattern(seed as u8, seed))),
                Err(error) => {
                    assert_eq!((seed, raw_os_error(&error)), (7, Some(libc::EMSGSIZE)));
                    assert_eq!(buffer.len(), 70_000);
                }
            }
        }
        for seed in (0..40).filter(|&seed| seed != 7) {
            assert_eq!(*near.recv_msg().await.unwrap(), pattern(seed, usize::from(seed))[..]);
        }
    });
}

#[test]
fn a_socket_leaves_the_runtime_with_what_a_dropped_receive_had() {
    run(async {
        let (near, far) = connected().await;
        let mut stream = near.recv_many();
        assert!(times(2, stream.recv()).await.is_none());
        far.send("first").await.0.unwrap();
        far.send("second").await.0.unwrap();
        yield_times(3).await;
        let (std, kept) = near.into_std().await.unwrap();
        far.send("third").await.0.unwrap();
        // What the kernel had not given to the receive is in the socket.
        let mut texts: Vec<Vec<u8>> = kept.iter().map(|datagram| datagram.to_vec()).collect();
        assert!(!texts.is_empty(), "the receive had at least one");
        while texts.len() < 3 {
            let mut buffer = [0; 10];
            let count = std.recv(&mut buffer).unwrap();
            texts.push(buffer[..count].to_vec());
        }
        assert_eq!(texts, [b"first".as_slice(), b"second", b"third"]);
        let back = UdpSocket::from_std(std);
        far.send("fourth").await.0.unwrap();
        assert_eq!(*back.recv_msg().await.unwrap(), *b"fourth");
    });
}

#[test]
fn an_endpoint_sends_and_receives() {
    run(async {
        let server = datagram_endpoint("127.0.0.1:0").await.unwrap();
        let client = open_datagram_endpoint(server.local_addr().unwrap()).await.unwrap();
        client.send("ask").await.0.unwrap();
        let asked = server.recv().await.unwrap();
        assert_eq!(*asked.address(), client.local_addr().unwrap());
        server.send_to("answer", *asked.address()).await.0.unwrap();
        assert_eq!(*client.recv().await.unwrap(), *b"answer");
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        server.close().await;
        client.send("ask").await.0.unwrap();
        assert_eq!(client.recv().await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn binding_names_what_has_failed() {
    run(async {
        let socket = bound("127.0.0.1:0").await;
        let address = socket.local_addr().unwrap();
        let error = UdpSocket::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&format!("bind UDP {address}")), "{error}");
        // The first that can be had.
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let other = UdpSocket::bind(vec![address, free]).await.unwrap();
        assert_ne!(other.local_addr().unwrap(), address);
        assert_eq!(other.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        let no_peer = other.send("to none").await.0.unwrap_err();
        assert_eq!(raw_os_error(&no_peer), Some(libc::EDESTADDRREQ));
    });
}
