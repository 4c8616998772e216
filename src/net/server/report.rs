//! What the end of a server reports.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::process::{ExitCode, Termination};

use crate::shards::ShardOutcome;

/// What became of the connections that a server had when it was shut down.
///
/// Those that had ended before are in no number. The reports of several servers, and of the shards
/// of one, are added.
///
/// # Example
///
/// ```
/// use annulus::net::ShutdownReport;
///
/// let of_no_server = ShutdownReport::default();
/// let all: ShutdownReport = [of_no_server, of_no_server].into_iter().sum();
/// assert_eq!(all.to_string(), "0 completed, 0 soft-cancelled, 0 aborted");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many connections ended within the grace period.
    pub completed: usize,
    /// How many ended after it, when they had been soft-cancelled.
    ///
    /// See [`ShutdownOptions::soft_grace`](super::ShutdownOptions::soft_grace).
    pub soft_cancelled: usize,
    /// How many connections were reset.
    ///
    /// Their handlers were cancelled, or had not begun, or the connections were in the backlog.
    pub aborted: usize,
}

impl ShutdownReport {
    /// The exit status of a process whose server has ended so: success (0), or failure (1) if
    /// connections were aborted.
    ///
    /// A process that ends so after SIGTERM has not been killed by it, which supervisors (systemd,
    /// Docker, Kubernetes) take for an orderly end. A report is also what `main` may return, alone
    /// or in an `Ok`.
    ///
    /// A shard that aborted connections has not failed: it ended as it was asked to. So the others
    /// continue with their own shutdown, and an `Err` of theirs goes before the report, of which
    /// only the exit status of [`annulus::main`](macro@crate::main) tells.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Termination for ShutdownReport {
    fn report(self) -> ExitCode {
        self.exit_code()
    }
}

impl ShardOutcome for ShutdownReport {
    fn is_success(&self) -> bool {
        self.aborted == 0
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { completed, soft_cancelled, aborted } = self;
        write!(f, "{completed} completed, {soft_cancelled} soft-cancelled, {aborted} aborted")
    }
}

impl Add for ShutdownReport {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for ShutdownReport {
    fn add_assign(&mut self, other: Self) {
        self.completed += other.completed;
        self.soft_cancelled += other.soft_cancelled;
        self.aborted += other.aborted;
    }
}

impl Sum for ShutdownReport {
    fn sum<I: Iterator<Item = Self>>(reports: I) -> Self {
        reports.fold(Self::default(), Self::add)
    }
}

impl<'a> Sum<&'a Self> for ShutdownReport {
    fn sum<I: Iterator<Item = &'a Self>>(reports: I) -> Self {
        reports.copied().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_added_number_by_number_and_shown_in_one_line() {
        let first = ShutdownReport { completed: 1, soft_cancelled: 2, aborted: 3 };
        let all: ShutdownReport = [first, first].iter().sum();
        assert_eq!(all, first + first);
        assert_eq!(all.to_string(), "2 completed, 4 soft-cancelled, 6 aborted");
    }

    #[test]
    fn only_aborted_connections_make_an_exit_status_of_failure() {
        let text = |report: ShutdownReport| format!("{:?}", report.report());
        let ended = ShutdownReport { completed: 1, soft_cancelled: 1, aborted: 0 };
        assert_eq!(text(ended), format!("{:?}", ExitCode::SUCCESS));
        let cut = ShutdownReport { aborted: 1, ..ended };
        assert_eq!(text(cut), format!("{:?}", ExitCode::FAILURE));
    }
}
