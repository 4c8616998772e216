//! Which CPUs a thread may run on.
//!
//! A thread inherits this from the one that starts it. So a pinned thread remembers what it could
//! use before ([`Unpinned`]), for the threads that it starts and that must not share its CPU.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

/// More than any kernel supports.
const MOST_CPUS: usize = 1 << 16;

const BITS: usize = u64::BITS as usize;

thread_local! {
    /// What this thread could use before it was pinned.
    static BEFORE: RefCell<Option<Arc<[usize]>>> = const { RefCell::new(None) };
}

/// The CPUs that the calling thread may run on, in ascending order.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    let mut mask = vec![0_u64; 1024 / BITS];
    loop {
        let bytes = size_of_val(&*mask);
        // SAFETY: the call writes at most `bytes` bytes, which the mask has.
        let result = unsafe { libc::sched_getaffinity(0, bytes, mask.as_mut_ptr().cast()) };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        // The kernel has more CPUs than the mask has bits.
        if error.raw_os_error() != Some(libc::EINVAL) || mask.len() * BITS >= MOST_CPUS {
            return Err(error);
        }
        mask.resize(mask.len() * 2, 0);
    }
    let is_set = |cpu: &usize| mask[cpu / BITS] & (1 << (cpu % BITS)) != 0;
    Ok((0..mask.len() * BITS).filter(is_set).collect())
}

/// Has the calling thread run on these CPUs only.
///
/// # Errors
///
/// `EINVAL` if the machine has none of them, or the thread's cpuset allows none.
pub(crate) fn pin(cpus: &[usize]) -> io::Result<()> {
    let before = allowed_cpus()?;
    set_allowed(cpus)?;
    BEFORE.with_borrow_mut(|kept| {
        kept.get_or_insert_with(|| before.into());
    });
    Ok(())
}

fn set_allowed(cpus: &[usize]) -> io::Result<()> {
    let Some(&last) = cpus.iter().max() else { return Err(invalid()) };
    if last >= MOST_CPUS {
        return Err(invalid());
    }
    let mut mask = vec![0_u64; last / BITS + 1];
    for cpu in cpus {
        mask[cpu / BITS] |= 1 << (cpu % BITS);
    }
    let bytes = size_of_val(&*mask);
    // SAFETY: the call reads at most `bytes` bytes, which the mask has.
    let result = unsafe { libc::sched_setaffinity(0, bytes, mask.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

/// The CPUs that a thread could use before it was pinned, for the threads that it starts.
pub(crate) struct Unpinned(Option<Arc<[usize]>>);

impl Unpinned {
    /// That of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        Self(BEFORE.try_with(|kept| kept.borrow().clone()).ok().flatten())
    }

    /// Frees the calling thread, which inherited the CPUs of a pinned one.
    pub(crate) fn apply(&self) {
        if let Some(cpus) = &self.0 {
            // If the cpuset has changed meanwhile, the thread stays where it is.
            let _ = set_allowed(cpus);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Runs `test` on a thread of its own, whose CPUs it may change.
    fn on_a_thread(test: fn()) {
        thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_pinned_thread_runs_on_its_cpu_and_frees_the_threads_that_it_starts() {
        on_a_thread(|| {
            let all = allowed_cpus().unwrap();
            assert!(!all.is_empty());
            let last = *all.last().unwrap();
            pin(&[last]).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [last]);
            let unpinned = Unpinned::of_this_thread();
            let started = thread::spawn(move || {
                assert_eq!(allowed_cpus().unwrap(), [last], "a thread inherits");
                unpinned.apply();
                assert_eq!(allowed_cpus().unwrap(), all);
            });
            started.join().unwrap();
        });
    }

    #[test]
    fn a_thread_that_is_pinned_twice_remembers_what_it_could_use_at_first() {
        on_a_thread(|| {
            let all = allowed_cpus().unwrap();
            pin(&all[..1]).unwrap();
            pin(&all[..1]).unwrap();
            Unpinned::of_this_thread().apply();
            assert_eq!(allowed_cpus().unwrap(), all);
        });
    }

    #[test]
    fn cpus_that_the_machine_does_not_have_are_refused() {
        on_a_thread(|| {
            for none in [&[][..], &[MOST_CPUS - 1], &[usize::MAX]] {
                assert_eq!(pin(none).unwrap_err().raw_os_error(), Some(libc::EINVAL));
            }
            Unpinned::of_this_thread().apply();
        });
    }
}
