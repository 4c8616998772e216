//! What a process has used, from `/proc`.

use std::ops::Sub;
use std::time::Duration;
use std::{fs, io};

use crate::os::clock::ticks_per_second;

/// Processor time and context switches of a process, all threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Time on a processor, exact.
    pub(crate) cpu: Duration,
    /// The part of it in user space, as the kernel's sampling splits it.
    pub(crate) user: Duration,
    /// The part of it in the kernel, likewise.
    pub(crate) system: Duration,
    pub(crate) switches: u64,
    /// Time in which its threads could have run, but others had the processor.
    pub(crate) waited: Duration,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let (user, system) = split_of(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
            .ok_or_else(|| malformed("stat"))?;
        let mut usage = Self { user, system, ..Self::default() };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may end while it is looked at.
            let Ok(schedstat) = fs::read_to_string(task.join("schedstat")) else { continue };
            let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
            let (cpu, waited) = times_of(&schedstat).ok_or_else(|| malformed("schedstat"))?;
            usage.cpu += cpu;
            usage.waited += waited;
            usage.switches += switches(&status);
        }
        // Threads that have ended count in `stat` only, which is coarser.
        usage.cpu = usage.cpu.max(user + system);
        Ok(usage)
    }
}

impl Sub for Usage {
    type Output = Self;

    /// What was used between two looks.
    fn sub(self, earlier: Self) -> Self {
        let cpu = self.cpu.saturating_sub(earlier.cpu);
        let user = self.user.saturating_sub(earlier.user);
        let system = self.system.saturating_sub(earlier.system);
        // The split is in ticks; scaled, it adds up to the exact sum.
        let sampled = user + system;
        let share =
            if sampled.is_zero() { 0.0 } else { user.as_secs_f64() / sampled.as_secs_f64() };
        let user = cpu.mul_f64(share);
        let switches = self.switches.saturating_sub(earlier.switches);
        let waited = self.waited.saturating_sub(earlier.waited);
        Self { cpu, user, system: cpu - user, switches, waited }
    }
}

/// What the memory of a process comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes that belong to this process alone, and would be given back if it ended.
    pub(crate) private: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let kilobytes = |key| kilobytes_of(&text, key).ok_or_else(|| malformed("smaps_rollup"));
        let private = kilobytes("Private_Clean:")? + kilobytes("Private_Dirty:")?;
        Ok(Self { private: private * 1024 })
    }
}

/// The value of a line like `Slab:   1234 kB`.
pub(crate) fn kilobytes_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// User and system time of `/proc/PID/stat`: its 14th and 15th fields. The second is the program's
/// name in parentheses, which may hold spaces and parentheses itself.
fn split_of(stat: &str) -> Option<(Duration, Duration)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64))
    };
    Some((next()?, next()?))
}

/// The first two fields of `schedstat`: nanoseconds on a processor, and waiting for one.
fn times_of(schedstat: &str) -> Option<(Duration, Duration)> {
    let mut fields = schedstat.split_ascii_whitespace();
    let mut next = || fields.next()?.parse().ok().map(Duration::from_nanos);
    Some((next()?, next()?))
}

/// The context switches of `status`, of both kinds.
fn switches(status: &str) -> u64 {
    let lines = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
    lines.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
}

fn malformed(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's {file} reads like no other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_survives_a_strange_program_name() {
        let ticks = ticks_per_second();
        let stat = format!("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 {} {} 0 0", 3 * ticks, ticks / 2);
        assert_eq!(split_of(&stat), Some((Duration::from_secs(3), Duration::from_millis(500))));
        assert_eq!(split_of("nonsense"), None);
    }

    #[test]
    fn times_are_the_first_two_fields() {
        let nanoseconds = Duration::from_nanos;
        assert_eq!(times_of("1500 7 3\n"), Some((nanoseconds(1500), nanoseconds(7))));
        assert_eq!(times_of("1500"), None);
    }

    #[test]
    fn switches_of_both_kinds_add_up() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(switches(status), 42);
    }

    #[test]
    fn kilobytes_are_found_by_their_key() {
        let text = "Rss:  10 kB\nPrivate_Dirty:       112 kB\n";
        assert_eq!(kilobytes_of(text, "Private_Dirty:"), Some(112));
        assert_eq!(kilobytes_of(text, "Pss:"), None);
    }

    #[test]
    fn the_split_is_scaled_to_the_exact_sum() {
        let ms = Duration::from_millis;
        let usage = |cpu, user, system, switches, waited| Usage {
            cpu: ms(cpu),
            user: ms(user),
            system: ms(system),
            switches,
            waited: ms(waited),
        };
        let used = usage(500, 70, 110, 8, 30) - usage(100, 50, 50, 3, 10);
        let expected = usage(400, 100, 300, 5, 20);
        assert_eq!(used, expected);
    }

    #[test]
    fn this_process_can_be_read() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.cpu > Duration::ZERO);
        assert!(Memory::of(std::process::id()).unwrap().private > 0);
    }
}
