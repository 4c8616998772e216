//! Which cores a thread may run on.

use std::{io, mem};

use super::check;

/// Binds the calling thread, and those it starts from here on, to these cores.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    // SAFETY: a set of cores is plain bits, for which all zeroes are a value.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for &core in cores {
        if core >= libc::CPU_SETSIZE as usize {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no core {core}")));
        }
        // SAFETY: the number was checked to lie within the set.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set is valid for reads of the size given; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

/// While it lives, the calling thread, and those that it starts, are bound to some cores.
pub(crate) struct Pinned {
    before: Vec<usize>,
}

impl Pinned {
    pub(crate) fn to(cores: &[usize]) -> io::Result<Self> {
        let before = allowed()?;
        pin(cores)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The next scenario of this process chooses among all of them again.
        let _ = pin(&self.before);
    }
}

/// The cores that the calling thread may use, in ascending order.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: as in `pin`.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is valid for writes of the size given; 0 is the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    let cores = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: every number is within the set.
    Ok(cores.filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_pinned_may_use_all_its_cores_again() {
        let before = allowed().unwrap();
        let pinned = Pinned::to(&before[..1]).unwrap();
        assert_eq!(allowed().unwrap(), before[..1]);
        drop(pinned);
        assert_eq!(allowed().unwrap(), before);
    }
}
