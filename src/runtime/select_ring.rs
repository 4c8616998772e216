//! Which ring a runtime gets: what its [`Builder`] says, else what the environment says, else
//! io_uring, and the portable ring where io_uring is unavailable.
//!
//! A shortage is never a reason for the portable ring. It passes, and what is short (descriptors,
//! memory) the portable ring would need as well. And a server that is slower since its last
//! restart, for no reason that lasts, is worse than one that says why it did not start.

use std::env;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::builder::Builder;
use super::napi::NapiOptions;
use crate::error::{Incident, IncidentHook, SetupError};
use crate::sys::capabilities::Capabilities;
use crate::sys::setup::{MOST_SUBMISSIONS, NewRing, kernel_ring, portable_ring};
use crate::sys::{Ring, RingKind, WorkerLimits};

/// The environment variable that chooses where the builder does not.
const VARIABLE: &str = "ANNULUS_RING";

/// The default limits of the threads for what blocks. More of those for files would only wait for
/// each other's locks: with 256 of them, 128 writes with a sync each took twice the processor time
/// that they take with 8. (A close that lingers takes one for as long as its peer does not read, so
/// it is not 8.) The limit of the others is more than is ever useful, and no danger to the machine.
const DEFAULT_WORKERS: WorkerLimits = WorkerLimits { files: 32, others: 256 };

/// Whether this process has reported that it is on the portable ring. Each of its shards is, for
/// the same reason.
static IS_REPORTED: AtomicBool = AtomicBool::new(false);

/// Makes the ring, as the builder and the environment want it.
///
/// # Errors
///
/// Why the ring that was chosen cannot be made, or if the environment chooses none that there is.
pub(super) fn select_ring(
    builder: &Builder,
    incidents: &IncidentHook,
) -> Result<(Ring, Capabilities), SetupError> {
    match chosen(builder.ring, env::var_os(VARIABLE).as_deref())? {
        RingKind::Portable => portable(builder),
        RingKind::Kernel => kernel_ring(builder.size, builder.sqpoll)
            .and_then(|new| configured(new, builder, incidents)),
        RingKind::Auto => match kernel_ring(builder.size, builder.sqpoll) {
            Ok(new) => configured(new, builder, incidents),
            Err(error) if error.is_unavailable() => {
                let ring = portable(builder)?;
                if !IS_REPORTED.swap(true, Ordering::Relaxed) {
                    incidents(&Incident::PortableRing { reason: error.reason().to_string() });
                }
                Ok(ring)
            }
            Err(error) => Err(error),
        },
    }
}

/// What is wanted by the builder, or else by the environment.
fn chosen(wanted: RingKind, variable: Option<&OsStr>) -> Result<RingKind, SetupError> {
    let Some(value) = variable.filter(|_| wanted == RingKind::Auto) else { return Ok(wanted) };
    match value.to_str() {
        // Empty where a file of variables, or `ANNULUS_RING= program`, takes a choice back.
        Some("" | "auto") => Ok(RingKind::Auto),
        Some("kernel") => Ok(RingKind::Kernel),
        Some("portable") => Ok(RingKind::Portable),
        _ => Err(SetupError::InvalidVariable {
            name: VARIABLE,
            value: value.to_string_lossy().into_owned(),
            expected: "auto, kernel or portable",
        }),
    }
}

/// How many threads there may be for what blocks, if the builder says so.
fn workers(builder: &Builder) -> Option<WorkerLimits> {
    builder.max_kernel_workers.map(|max| WorkerLimits { files: max, others: max })
}

/// The portable ring. SQPOLL and NAPI options have no effect on it.
fn portable(builder: &Builder) -> Result<(Ring, Capabilities), SetupError> {
    let limits = workers(builder).unwrap_or(DEFAULT_WORKERS);
    let (mut ring, capabilities) = portable_ring(builder.size, limits)?;
    ring.make_direct_descriptors(builder.direct_descriptors)?;
    Ok((ring.into(), capabilities))
}

/// The kernel's ring, with the builder's options.
fn configured(
    new: NewRing,
    builder: &Builder,
    incidents: &IncidentHook,
) -> Result<(Ring, Capabilities), SetupError> {
    let NewRing { mut ring, capabilities, submissions: granted } = new;
    if let Some(batch) = builder.min_wait {
        ring.wait_for_batches(batch)?;
    }
    if let Some(NapiOptions { timeout, prefer }) = builder.napi {
        ring.busy_poll(timeout, prefer)?;
    }
    match workers(builder) {
        Some(limits) => ring.bound_workers(limits)?,
        // Older kernels cannot apply the default, which the user did not ask for.
        None => drop(ring.bound_workers(DEFAULT_WORKERS)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use RingKind::{Auto, Kernel, Portable};

    #[test]
    fn the_environment_chooses_where_the_builder_does_not() {
        let chosen = |wanted, variable| chosen(wanted, Some(OsStr::new(variable))).unwrap();
        let by_variable = ["", "auto", "kernel", "portable"].map(|name| chosen(Auto, name));
        assert_eq!(by_variable, [Auto, Auto, Kernel, Portable]);
        assert_eq!(super::chosen(Auto, None).unwrap(), Auto);
        for wanted in [Kernel, Portable] {
            for variable in ["auto", "kernel", "portable", "nonsense"] {
                assert_eq!(chosen(wanted, variable), wanted);
            }
        }
    }

    #[test]
    fn a_variable_that_names_no_ring_is_refused_in_one_line_that_says_what_it_may_be() {
        for value in ["epoll", "Portable", "kernel ", "two\nlines"] {
            let error = chosen(Auto, Some(OsStr::new(value))).unwrap_err().to_string();
            let expected = "set it to auto, kernel or portable, or unset it";
            assert!(error.contains("ANNULUS_RING") && error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
