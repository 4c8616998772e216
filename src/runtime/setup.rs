//! Making what a [`Builder`] describes: the ring, the driver on it, and the executor.

use std::cell::{Cell, RefCell};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use super::bell::Bell;
use super::builder::Builder;
use super::context::Shared;
use super::remote::{CallQueue, FlushRequest, RemoteCalls, RemoteQueue};
use super::select_ring::select_ring;
use super::shield::ShieldedWork;
use crate::driver::{Driver, Settings};
use crate::error::{Describe, Reporter, SetupError};
#[cfg(feature = "faults")]
use crate::sys::{Faults, Ring};
use crate::task::{Executor, RuntimeId};

/// Puts the faults that the builder or the environment asks for in front of a ring.
#[cfg(feature = "faults")]
fn with_faults(ring: Ring, faults: Option<Faults>) -> Result<Ring, SetupError> {
    let faults = match faults {
        None => Faults::from_env()?,
        faults => faults,
    };
    Ok(match faults {
        Some(faults) => ring.with_faults(&faults),
        None => ring,
    })
}

/// Makes a runtime of the calling thread.
pub(super) fn set_up(builder: Builder) -> Result<Rc<Shared>, SetupError> {
    let reporter = builder.incidents.is_none().then(|| Arc::new(Reporter::new()));
    let incidents = builder.incidents.clone().unwrap_or_else(|| {
        let reporter = reporter.clone().expect("without a hook there is a reporter");
        Arc::new(move |incident| reporter.report(incident))
    });
    let (ring, capabilities) = select_ring(&builder, &incidents)?;
    let bell = Bell::new().describe("eventfd").map_err(SetupError::Other)?;
    let bell = Arc::new(bell);
    let (fd, hook) = (bell.as_raw_fd(), Arc::clone(&incidents));
    let settings = Settings {
        max_timers_per_turn: builder.max_polls_per_turn,
        buffers: builder.buffers,
        file_slots: builder.direct_descriptors,
        is_clock_paused: builder.starts_paused,
    };
    #[cfg(feature = "faults")]
    let ring = with_faults(ring, builder.faults)?;
    let driver = Rc::new(Driver::new(ring, capabilities, fd, settings, hook));
    // The tasks keep the eventfd open for as long as a thread could ring it.
    let ring_bell = {
        let bell = Arc::clone(&bell);
        Arc::new(move || bell.ring())
    };
    let (hook, slow_polls) = (Arc::clone(&incidents), builder.slow_polls);
    let executor = Executor::new(RuntimeId::of(&driver), ring_bell, hook, slow_polls);
    let calls = CallQueue::new(builder.max_remote_calls, executor.notifier(), incidents);
    let remote_calls = Rc::new(RemoteCalls::new(calls, builder.max_polls_per_turn));
    Ok(Rc::new(Shared {
        executor,
        driver,
        bell,
        remote_queues: RefCell::new(vec![Rc::clone(&remote_calls) as Rc<dyn RemoteQueue>]),
        remote_calls,
        reporter,
        flush_request: FlushRequest::default(),
        max_polls_per_turn: builder.max_polls_per_turn,
        teardown_timeout: builder.teardown_timeout,
        shield_timeout: builder.shield_timeout,
        flush_timeout: builder.flush_timeout,
        shielded: ShieldedWork::default(),
        cancels_on_ctrl_c: builder.cancels_on_ctrl_c,
        inside: Cell::new(0),
    }))
}
