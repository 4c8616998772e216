//! The public probe: what this machine's io_uring can do.

use std::fs;

pub use super::capabilities::Facility;
use super::capabilities::{opcodes, optional, required_features, required_opcodes};
use super::setup::{self, Size};
use crate::error::SetupError;

/// What [`probe`] found.
#[derive(Clone, Debug)]
pub struct Probe {
    kernel: String,
    facilities: Vec<Facility>,
}

impl Probe {
    /// The kernel's release, as `uname -r` says it. For people to read: nothing is decided by it.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// Everything that the library uses of io_uring, required things first.
    pub fn facilities(&self) -> &[Facility] {
        &self.facilities
    }

    /// Whether a runtime can be on the kernel's ring here. Otherwise it is on the
    /// [portable](crate::RingKind::Portable) one.
    pub fn is_sufficient(&self) -> bool {
        self.facilities.iter().all(|facility| facility.supported || facility.without.is_some())
    }

    /// Whether nothing is missing.
    pub fn is_full(&self) -> bool {
        self.facilities.iter().all(|facility| facility.supported)
    }
}

/// Finds out what this machine's io_uring can do. It needs no runtime and leaves nothing behind.
///
/// # Errors
///
/// The reason why there is no io_uring at all, with the remedy. Runtimes are on the portable ring
/// then.
///
/// # Example
///
/// ```
/// let probe = annulus::probe()?;
/// for facility in probe.facilities() {
///     println!("{:36} Linux {:5} {}", facility.name, facility.since, facility.supported);
/// }
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub fn probe() -> Result<Probe, SetupError> {
    let (ring, flags) = setup::raw_ring(Size { submissions: 8, completions: 16 }, None)?;
    let opcodes = opcodes(&ring)?;
    let required = required_features(&ring).chain(required_opcodes(&opcodes));
    let facilities = required.chain(optional(&ring, flags, &opcodes)).collect();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(Probe { kernel: release.trim().to_owned(), facilities })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_lists_each_facility_once() {
        let probe = probe().unwrap();
        let mut names: Vec<_> = probe.facilities().iter().map(|facility| facility.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(probe.is_sufficient());
    }
}
