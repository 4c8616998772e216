//! Several tasks that accept from one listener.
//!
//! The race: the accept in flight wakes one task, for a connection that any of them may take. If
//! that task's future is dropped before it is polled, or has its connection, another must be woken,
//! or it waits beside a connection that has arrived.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::mem;
use std::net::TcpStream as Peer;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use annulus::net::{ListenOptions, TcpListener, UnixListener};
use annulus::spawn;
use annulus::time::timeout;

use crate::common::manual_executor::WakeCount;
use crate::common::poll::{times, until, yield_times};
use crate::common::random::seeded;
use crate::common::watchdog::run;

/// A waker that counts.
fn counted() -> (Arc<WakeCount>, Waker) {
    let wakes = Arc::new(WakeCount::default());
    (Arc::clone(&wakes), wakes.into())
}

async fn listener() -> (Rc<TcpListener>, impl Fn() -> Peer) {
    let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    (listener, move || Peer::connect(address).unwrap())
}

#[test]
fn tasks_that_accept_at_once_are_served_in_the_order_in_which_they_wait() {
    run(async {
        let (listener, connect) = listener().await;
        let served = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..3)
            .map(|task| {
                let (listener, served) = (Rc::clone(&listener), Rc::clone(&served));
                spawn(async move {
                    for _ in 0..2 {
                        let (_, peer) = listener.accept().await.unwrap();
                        served.borrow_mut().push((task, peer));
                    }
                })
            })
            .collect();
        yield_times(1).await;
        let mut peers = Vec::new();
        for number in 0..6 {
            peers.push(connect());
            until(|| served.borrow().len() > number).await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let peers = peers.iter().map(|peer| peer.local_addr().unwrap());
        let expected: Vec<_> = [0, 1, 2, 0, 1, 2].into_iter().zip(peers).collect();
        assert_eq!(*served.borrow(), expected);
    });
}

#[test]
fn an_accept_that_is_dropped_once_it_was_woken_wakes_the_next() {
    run(async {
        let (listener, connect) = listener().await;
        let ((first_wakes, first), (second_wakes, second)) = (counted(), counted());
        let mut next = pin!(listener.accept());
        {
            let mut dropped = pin!(listener.accept());
            assert!(dropped.as_mut().poll(&mut Context::from_waker(&first)).is_pending());
            assert!(next.as_mut().poll(&mut Context::from_waker(&second)).is_pending());
            let _peer = connect();
            until(|| first_wakes.count() > 0).await;
            assert_eq!(second_wakes.count(), 0);
        }
        assert_eq!(second_wakes.count(), 1);
        assert!(next.as_mut().poll(&mut Context::from_waker(&second)).is_ready());
    });
}

#[test]
fn a_task_that_polls_is_woken_when_a_future_that_came_later_is_dropped_with_its_wake() {
    run(async {
        let (listener, connect) = listener().await;
        let ((polls_wakes, polls), (future_wakes, future)) = (counted(), counted());
        assert!(listener.poll_accept(&mut Context::from_waker(&polls)).is_pending());
        {
            let mut dropped = pin!(listener.accept());
            assert!(dropped.as_mut().poll(&mut Context::from_waker(&future)).is_pending());
            assert!(listener.poll_accept(&mut Context::from_waker(&polls)).is_pending());
            let _peer = connect();
            until(|| future_wakes.count() > 0).await;
            assert_eq!(polls_wakes.count(), 0);
        }
        assert_eq!(polls_wakes.count(), 1);
        assert!(listener.poll_accept(&mut Context::from_waker(&polls)).is_ready());
    });
}

#[test]
fn a_task_that_has_lost_interest_in_its_poll_keeps_no_connection_from_others() {
    run(async {
        let (listener, connect) = listener().await;
        assert!(listener.poll_accept(&mut Context::from_waker(Waker::noop())).is_pending());
        let _peer = connect();
        listener.accept().await.unwrap();
        assert!(listener.poll_accept(&mut Context::from_waker(Waker::noop())).is_pending());
        let _peer = connect();
        poll_fn(|context| listener.poll_accept(context)).await.unwrap();
    });
}

thread_local! {
    /// What [`Inline`] accepts from, and how often it has.
    static ACCEPTING: RefCell<Option<Rc<TcpListener>>> = const { RefCell::new(None) };
    static ACCEPTED: Cell<usize> = const { Cell::new(0) };
}

/// A waker that polls where it is woken, as executors do that run a task at once.
struct Inline;

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let Some(listener) = ACCEPTING.with_borrow(Clone::clone) else { return };
        let accepted = listener.poll_accept(&mut Context::from_waker(&self.into()));
        ACCEPTED.set(ACCEPTED.get() + usize::from(accepted.is_ready()));
    }
}

#[test]
fn a_task_that_polls_where_it_is_woken_misses_no_connection() {
    run(async {
        let (listener, connect) = listener().await;
        ACCEPTING.set(Some(Rc::clone(&listener)));
        let inline = Waker::from(Arc::new(Inline));
        {
            let mut dropped = pin!(listener.accept());
            assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert!(listener.poll_accept(&mut Context::from_waker(&inline)).is_pending());
        }
        // Its poll after the drop was part of it, and waits for the kernel.
        let _peer = connect();
        until(|| ACCEPTED.get() > 0).await;
        ACCEPTING.set(None);
    });
}

#[test]
fn a_listener_whose_accept_was_forgotten_is_closed_as_any_other() {
    run(async {
        let (listener, connect) = listener().await;
        let mut forgotten = Box::pin(listener.accept());
        assert!(forgotten.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let peer = connect();
        mem::forget(forgotten);
        let listener = Rc::try_unwrap(listener).unwrap();
        let rest = listener.close().await;
        assert_eq!(rest[0].1, peer.local_addr().unwrap());
        assert_eq!(rest.len(), 1);
    });
}

/// Each client waits to be closed by the server: one that is lost would wait for ever.
#[test]
fn tasks_that_drop_their_accepts_serve_every_client() {
    const CLIENTS: usize = 1000;
    run(async {
        let (listener, _) = listener().await;
        let address = listener.local_addr().unwrap();
        let clients = thread::spawn(move || {
            for _ in 0..CLIENTS {
                std::io::Read::read(&mut Peer::connect(address).unwrap(), &mut [0]).unwrap();
            }
        });
        let served = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let (listener, served) = (Rc::clone(&listener), Rc::clone(&served));
                spawn(async move {
                    let mut random = seeded();
                    let serve = |accepted: std::io::Result<_>| {
                        drop(accepted.unwrap());
                        served.set(served.get() + 1);
                    };
                    while served.get() < CLIENTS {
                        let limit = Duration::from_micros(random.u64(0..200));
                        let accepted = match task {
                            0 => {
                                let poll = poll_fn(|context| listener.poll_accept(context));
                                timeout(limit, poll).await
                            }
                            _ => timeout(limit, listener.accept()).await,
                        };
                        accepted.into_iter().for_each(serve);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(served.get(), CLIENTS);
        clients.join().unwrap();
    });
}

/// One of them is given to the standard library, which makes the socket block, for all who have it.
#[test]
fn listeners_of_one_socket_accept_on_when_one_of_them_is_taken_out() {
    run(async {
        let (first, connect) = listener().await;
        let second = first.as_fd().try_clone_to_owned().unwrap();
        let second = TcpListener::from(second);
        let accepting = spawn(async move {
            for _ in 0..3 {
                second.accept().await.unwrap();
            }
        });
        assert!(times(2, first.accept()).await.is_none());
        let first = Rc::into_inner(first).expect("no task has it");
        let (_first, accepted) = first.into_std().await.unwrap();
        assert!(accepted.is_empty());
        let _peers = [(); 3].map(|()| connect());
        accepting.await.unwrap();
    });
}

#[test]
fn tasks_share_a_unix_listener() {
    run(async {
        let listener = Rc::new(UnixListener::bind("").unwrap());
        let address = listener.local_addr().unwrap();
        let tasks = [(); 2].map(|()| {
            let listener = Rc::clone(&listener);
            spawn(async move { listener.accept().await.map(drop) })
        });
        let _peers =
            [(); 3].map(|()| std::os::unix::net::UnixStream::connect_addr(&address).unwrap());
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        poll_fn(|context| listener.poll_accept(context)).await.unwrap();
    });
}

/// There is one SQE for each connection, with a waker of its own.
#[test]
fn tasks_share_a_listener_with_direct_descriptors() {
    let runtime = annulus::Runtime::builder().direct_descriptors(16).build().unwrap();
    runtime.block_on(async {
        let options = ListenOptions::new();
        let listener = Rc::new(TcpListener::bind_with("127.0.0.1:0", &options).await.unwrap());
        let address = listener.local_addr().unwrap();
        let mut first = Box::pin(listener.accept());
        let mut second = Box::pin(listener.accept());
        let ((_, one), (wakes, two)) = (counted(), counted());
        assert!(first.as_mut().poll(&mut Context::from_waker(&one)).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&two)).is_pending());
        drop(first);
        assert_eq!(wakes.count(), 1);
        assert!(second.as_mut().poll(&mut Context::from_waker(&two)).is_pending());
        let _peer = Peer::connect(address).unwrap();
        until(|| wakes.count() == 2).await;
        assert!(second.as_mut().poll(&mut Context::from_waker(&two)).is_ready());
    });
}
