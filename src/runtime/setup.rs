//! Making what a [`Builder`] describes: the ring, the driver on it, and the executor.

use std::cell::{Cell, RefCell};
use std::env;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use super::bell::Bell;
use super::builder::Builder;
use super::context::Shared;
use super::napi::NapiOptions;
use super::remote::{CallQueue, FlushRequest, RemoteCalls, RemoteQueue};
use super::shield::ShieldedWork;
use crate::driver::{Driver, Settings};
use crate::error::{Describe, Incident, IncidentHook, Reporter, SetupError};
use crate::sys::capabilities::Capabilities;
use crate::sys::setup::{MOST_SUBMISSIONS, NewRing, kernel_ring, portable_ring};
use crate::sys::{Ring, WorkerLimits};
use crate::task::{Executor, RuntimeId};

/// The default limits of kernel threads. More of those for files would only wait for each other's
/// locks: with 256 of them, 128 writes with a sync each took twice the processor time that they
/// take with 8. (A close that lingers takes one for as long as its peer does not read, so it is not
/// 8.) The limit of the others is more than is ever useful, and no danger to the machine.
const DEFAULT_KERNEL_WORKERS: WorkerLimits = WorkerLimits { files: 32, others: 256 };

/// Makes a runtime of the calling thread.
pub(super) fn set_up(builder: Builder) -> Result<Rc<Shared>, SetupError> {
    let reporter = builder.incidents.is_none().then(|| Arc::new(Reporter::new()));
    let incidents = builder.incidents.clone().unwrap_or_else(|| {
        let reporter = reporter.clone().expect("without a hook there is a reporter");
        Arc::new(move |incident| reporter.report(incident))
    });
    let (ring, capabilities) = make_ring(&builder, &incidents)?;
    let bell = Bell::new().describe("eventfd").map_err(SetupError::Other)?;
    let bell = Arc::new(bell);
    let (fd, hook) = (bell.as_raw_fd(), Arc::clone(&incidents));
    let settings = Settings {
        max_timers_per_turn: builder.max_polls_per_turn,
        buffers: builder.buffers,
        file_slots: builder.direct_descriptors,
        is_clock_paused: builder.starts_paused,
    };
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

/// Makes the ring, as the builder wants it.
fn make_ring(
    builder: &Builder,
    incidents: &IncidentHook,
) -> Result<(Ring, Capabilities), SetupError> {
    let limits = builder.max_kernel_workers.map(|max| WorkerLimits { files: max, others: max });
    if env::var_os("ANNULUS_RING").is_some_and(|ring| ring == "portable") {
        let limits = limits.unwrap_or(DEFAULT_KERNEL_WORKERS);
        let (mut ring, capabilities) = portable_ring(builder.size, limits)?;
        ring.make_direct_descriptors(builder.direct_descriptors);
        return Ok((ring.into(), capabilities));
    }
    let NewRing { mut ring, capabilities, submissions: granted } =
        kernel_ring(builder.size, builder.sqpoll)?;
    if let Some(batch) = builder.min_wait {
        ring.wait_for_batches(batch)?;
    }
    if let Some(NapiOptions { timeout, prefer }) = builder.napi {
        ring.busy_poll(timeout, prefer)?;
    }
    match limits {
        Some(limits) => ring.bound_workers(limits)?,
        // Older kernels cannot apply the default, which the user did not ask for.
        None => drop(ring.bound_workers(DEFAULT_KERNEL_WORKERS)),
    }
    if builder.direct_descriptors > 0 {
        ring.make_direct_descriptors(builder.direct_descriptors, capabilities)?;
    }
    let requested = builder.size.submissions;
    if granted < requested.min(MOST_SUBMISSIONS) {
        incidents(&Incident::SmallerRing { requested, granted });
    }
    Ok((ring.into(), capabilities))
}
