//! Models of two shards that call each other, checked by loom: `task::loom_tests` says how.
//!
//! The mesh has a lock of the standard library, on which a model must not block: all of its threads
//! are one. So a shard joins while no other is in the mesh.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::{Context, Poll, Waker};

use loom::sync::Notify;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::run_on::run_on;
use super::{Mesh, Port};
use crate::runtime::remote::{Attachment, FlushRequest, RemoteQueue};
use crate::task::{Executor, JoinError, RuntimeId};
use crate::trace::SlowPolls;

/// Checks a model with at most `max_preemptions`, whatever the environment says: each further one
/// makes it take several times as long.
fn check(max_preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(max_preemptions);
    builder.check(model);
}

/// A flag that the model does not see: it is only for what the tests assert.
type Flag = Arc<std::sync::atomic::AtomicBool>;

type Call = Pin<Box<dyn Future<Output = Result<(), JoinError>>>>;

/// A shard with an event loop of nothing but messages.
struct Side {
    executor: Executor,
    bell: Arc<Notify>,
    port: Rc<Port>,
}

impl Side {
    fn join(mesh: &Arc<Mesh>, index: usize) -> Self {
        let bell = Arc::new(Notify::new());
        let its = Arc::clone(&bell);
        let ring = Arc::new(move || its.notify());
        let executor = Executor::new(
            RuntimeId::of(&Rc::new(())),
            ring,
            Arc::new(|_| {}),
            SlowPolls::default(),
        );
        let attachment = Attachment {
            notifier: executor.notifier(),
            flush_request: FlushRequest::default(),
            incidents: Arc::new(|_| {}),
            max_polls_per_turn: 4,
        };
        Self { port: Rc::new(Port::new(mesh, index, attachment)), executor, bell }
    }

    /// A call that sets a flag on the other shard.
    fn call(&self, peer: usize, flag: &Flag) -> Call {
        let flag = Arc::clone(flag);
        Box::pin(run_on(Rc::clone(&self.port), peer, move || flag.store(true, Relaxed)))
    }

    fn receive(&self) {
        if self.executor.receive() && self.port.receive(&self.executor) {
            self.executor.notify();
        }
    }

    /// Makes turns until it is over, which `tasks` tell, and sleeps whenever the handshake allows
    /// it. What is lost shows as a model that never ends here.
    fn run(&self, mut tasks: impl FnMut() -> bool) {
        loop {
            self.receive();
            let is_over = tasks();
            self.port.flush();
            if is_over {
                return;
            }
            if self.executor.park() {
                self.bell.wait();
            }
        }
    }

    fn close(self) {
        self.port.close();
        self.executor.close();
    }
}

/// Opened by one thread for another. The wait of a loom `Notify` may end without a notification.
#[derive(Clone)]
struct Gate(Arc<(Notify, AtomicBool)>);

impl Gate {
    fn new() -> Self {
        Self(Arc::new((Notify::new(), AtomicBool::new(false))))
    }

    fn open(&self) {
        self.0.1.store(true, Release);
        self.0.0.notify();
    }

    fn wait(&self) {
        while !self.0.1.load(Acquire) {
            self.0.0.wait();
        }
    }
}

fn poll(call: &mut Call) -> Poll<Result<(), JoinError>> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Starts the second of two shards on a thread of its own. Returns the first once both can call.
fn with_second(second: impl FnOnce(Side) + 'static) -> (Side, thread::JoinHandle<()>) {
    let mesh = Arc::new(Mesh::new(2, 1));
    let side = Side::join(&mesh, 0);
    let joined = Gate::new();
    let has_joined = joined.clone();
    let other = thread::spawn(move || {
        let side = Side::join(&mesh, 1);
        has_joined.open();
        second(side);
    });
    joined.wait();
    (side, other)
}

/// The second shard answers the first one's call and sends one of its own in the same turn, for
/// which it signals once. The first one may look at its queues at any moment of that.
#[test]
fn an_answer_and_a_request_that_are_sent_at_once_both_arrive() {
    check(1, || {
        let flags = [(); 2].map(|()| Flag::default());
        let its = flags.clone();
        let over = Gate::new();
        let is_over = over.clone();
        let (side, other) = with_second(move |side| {
            let (mut call, is_answered) = (side.call(0, &its[0]), Cell::new(false));
            side.run(|| {
                if its[1].load(Relaxed) && !is_answered.get() {
                    is_answered.set(poll(&mut call).map(Result::unwrap).is_ready());
                }
                is_answered.get()
            });
            // Its end would be one more signal.
            is_over.wait();
            side.close();
        });
        let (mut call, mut is_answered) = (side.call(1, &flags[1]), false);
        side.run(|| {
            is_answered = is_answered || poll(&mut call).map(Result::unwrap).is_ready();
            is_answered && flags[0].load(Relaxed)
        });
        over.open();
        side.close();
        other.join().unwrap();
    });
}

/// The target looks at its queues once and ends. The sender learns whether its call was run.
#[test]
fn a_call_that_was_run_is_answered_although_its_target_ends() {
    check(2, || {
        let flag = Flag::default();
        let (side, other) = with_second(|side| {
            side.receive();
            side.close();
        });
        let (mut call, mut result) = (side.call(1, &flag), Poll::Pending);
        side.run(|| {
            result = poll(&mut call);
            result.is_ready()
        });
        let Poll::Ready(result) = result else { unreachable!() };
        assert_eq!(result.is_ok(), flag.load(Relaxed), "{result:?}");
        side.close();
        other.join().unwrap();
    });
}

/// The sender ends right after it has sent a call. The target runs it.
#[test]
fn a_call_is_run_although_its_sender_ends() {
    check(2, || {
        let flag = Flag::default();
        let its = Arc::clone(&flag);
        let (side, other) = with_second(move |side| {
            side.run(|| its.load(Relaxed));
            side.close();
        });
        let mut call = side.call(1, &flag);
        assert!(poll(&mut call).is_pending());
        drop(call);
        side.close();
        other.join().unwrap();
    });
}
