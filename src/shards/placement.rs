//! How many shards there are, and on which CPU each runs.

use std::io;
use std::num::NonZero;
use std::thread;

use super::cpu_list::CpuList;
use super::cpu_quota::cpu_quota;
use crate::sys::affinity;

/// What the user has asked for.
#[derive(Debug, Default)]
pub(super) struct PlacementOptions {
    pub(super) count: Option<usize>,
    pub(super) cpus: Option<CpuList>,
    pub(super) pin: Option<bool>,
}

/// Where one shard runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Wherever the system puts it.
    Anywhere,
    /// On one of these CPUs.
    OneOf(Vec<usize>),
    /// On this CPU.
    Pinned {
        cpu: usize,
        /// Whether the user has asked for it: then the shard does not start elsewhere.
        is_required: bool,
    },
}

impl PlacementOptions {
    /// The places of the shards, by index.
    ///
    /// # Errors
    ///
    /// If shards are to be pinned, and the system does not tell to which CPUs.
    pub(super) fn places(&self) -> io::Result<Vec<Place>> {
        let needs_allowed = self.pin == Some(true) && self.cpus.is_none();
        let allowed = match CpuList::allowed() {
            Err(error) if needs_allowed => return Err(error),
            allowed => allowed.unwrap_or(CpuList::from([])),
        };
        Ok(self.places_among(allowed.as_slice(), cpu_quota))
    }

    fn places_among(&self, allowed: &[usize], quota: impl Fn() -> Option<usize>) -> Vec<Place> {
        let (cpus, is_chosen) = match &self.cpus {
            Some(list) => (list.as_slice(), true),
            None => (allowed, false),
        };
        let count = self.count.unwrap_or_else(|| match (is_chosen, cpus.len()) {
            (true, cpus) => cpus,
            (false, 0) => thread::available_parallelism().map_or(1, NonZero::get),
            (false, cpus) => quota().map_or(cpus, |quota| quota.min(cpus)),
        });
        // With fewer shards than CPUs the first CPUs are not better than others, and every program
        // on the machine with such a quota would choose the same.
        let pins = self.pin.unwrap_or(is_chosen || count >= cpus.len());
        let is_required = is_chosen || self.pin == Some(true);
        let place = |index: usize| match cpus {
            [] => Place::Anywhere,
            _ if pins => Place::Pinned { cpu: cpus[index % cpus.len()], is_required },
            _ if is_chosen => Place::OneOf(cpus.to_vec()),
            _ => Place::Anywhere,
        };
        (0..count).map(place).collect()
    }
}

impl Place {
    /// Puts the calling thread there. Returns the CPU that it is pinned to.
    ///
    /// # Errors
    ///
    /// With the CPUs, if the system refuses. If the place is not required, the thread then runs
    /// anywhere.
    pub(super) fn take(&self) -> Result<Option<usize>, (CpuList, io::Error)> {
        match self {
            Self::Anywhere => Ok(None),
            Self::OneOf(cpus) => match affinity::pin(cpus) {
                Ok(()) => Ok(None),
                Err(error) => Err((cpus.clone().into(), error)),
            },
            Self::Pinned { cpu, is_required } => match affinity::pin(&[*cpu]) {
                Ok(()) => Ok(Some(*cpu)),
                Err(_) if !is_required => Ok(None),
                Err(error) => Err(([*cpu].into(), error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(options: &PlacementOptions, allowed: &[usize], quota: Option<usize>) -> Vec<Place> {
        options.places_among(allowed, || quota)
    }

    fn pinned(cpus: &[usize], is_required: bool) -> Vec<Place> {
        cpus.iter().map(|&cpu| Place::Pinned { cpu, is_required }).collect()
    }

    #[test]
    fn by_default_each_allowed_cpu_has_a_shard() {
        assert_eq!(
            places(&PlacementOptions::default(), &[2, 3, 7], None),
            pinned(&[2, 3, 7], false)
        );
        assert_eq!(
            places(&PlacementOptions::default(), &[2, 3, 7], Some(8)),
            pinned(&[2, 3, 7], false)
        );
    }

    #[test]
    fn a_quota_bounds_the_count_and_then_shards_are_not_pinned() {
        assert_eq!(
            places(&PlacementOptions::default(), &[0, 1, 2, 3], Some(2)),
            [const { Place::Anywhere }; 2]
        );
        let options = PlacementOptions { pin: Some(true), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[0, 1, 2, 3], Some(2)), pinned(&[0, 1], true));
    }

    #[test]
    fn more_shards_than_cpus_begin_at_the_first_again() {
        let options = PlacementOptions { count: Some(5), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[4, 6], None), pinned(&[4, 6, 4, 6, 4], false));
    }

    #[test]
    fn a_list_has_a_shard_for_each_of_its_cpus_in_order_whatever_the_quota() {
        let list = || Some(CpuList::from([8, 1]));
        let options = PlacementOptions { cpus: list(), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[0, 1], Some(1)), pinned(&[8, 1], true));
        let options =
            PlacementOptions { cpus: list(), pin: Some(false), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[0], None), vec![Place::OneOf(vec![8, 1]); 2]);
        let options =
            PlacementOptions { cpus: list(), count: Some(3), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[0], None), pinned(&[8, 1, 8], true));
    }

    #[test]
    fn without_pinning_shards_run_anywhere() {
        let options = PlacementOptions { pin: Some(false), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[0, 1], None), vec![Place::Anywhere; 2]);
        // A sandbox that does not tell.
        let options = PlacementOptions { count: Some(2), ..PlacementOptions::default() };
        assert_eq!(places(&options, &[], None), vec![Place::Anywhere; 2]);
        assert!(!places(&PlacementOptions::default(), &[], None).is_empty());
    }
}
