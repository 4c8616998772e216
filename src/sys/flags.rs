//! The set-up flags that make a ring fast, and in which order a kernel that lacks some is asked for
//! fewer.

/// A set-up flag that makes a ring better but that it can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// No indirection between the submission queue and its entries (6.6).
    NoSubmissionArray,
    /// Completions are prepared when this thread asks, not when it is interrupted (6.1).
    DeferTaskrun,
    /// The kernel may skip locks, since one thread submits (6.0).
    SingleIssuer,
    /// No interrupt to prepare completions (5.19); what `DeferTaskrun` does better.
    CoopTaskrun,
    /// A bit in shared memory says that completions are waiting to be prepared (5.19).
    ShowTaskrun,
    /// A bad entry does not keep the ones behind it from being submitted (5.18).
    SubmitAll,
}

/// What is asked for, best first. Each step gives up what the one before it had too much of.
pub(super) const STEPS: &[&[Flag]] = {
    use Flag::{
        CoopTaskrun, DeferTaskrun, NoSubmissionArray, ShowTaskrun, SingleIssuer, SubmitAll,
    };
    &[
        &[NoSubmissionArray, DeferTaskrun, SingleIssuer, ShowTaskrun, SubmitAll],
        &[DeferTaskrun, SingleIssuer, ShowTaskrun, SubmitAll],
        &[SingleIssuer, CoopTaskrun, ShowTaskrun, SubmitAll],
        &[CoopTaskrun, ShowTaskrun, SubmitAll],
        &[SubmitAll],
        &[],
    ]
};

/// What is asked for where a thread of the kernel's submits: it also prepares the completions.
pub(super) const STEPS_WITH_THREAD: &[&[Flag]] = {
    use Flag::{NoSubmissionArray, SingleIssuer, SubmitAll};
    &[&[NoSubmissionArray, SingleIssuer, SubmitAll], &[SingleIssuer, SubmitAll], &[SubmitAll], &[]]
};
