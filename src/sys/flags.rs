//! The set-up flags that make a ring fast, and the order in which a kernel that lacks some is asked
//! for fewer.

/// A set-up flag that makes a ring better but that it can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// No index array between the submission queue and its SQEs (6.6).
    NoSubmissionArray,
    /// Completions are posted when this thread enters, not by interrupting it (6.1).
    DeferTaskrun,
    /// The kernel may skip locks, since one thread submits (6.0).
    SingleIssuer,
    /// Completions do not interrupt this thread (5.19); what `DeferTaskrun` does better.
    CoopTaskrun,
    /// A bit in shared memory says that completions wait to be posted (5.19).
    ShowTaskrun,
    /// A bad SQE does not keep the ones behind it from being submitted (5.18).
    SubmitAll,
}

/// What is asked for, best first. Each step leaves out what an older kernel lacks.
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

/// What is asked for where a kernel thread submits (SQPOLL): it also posts the completions.
pub(super) const STEPS_WITH_THREAD: &[&[Flag]] = {
    use Flag::{NoSubmissionArray, SingleIssuer, SubmitAll};
    &[&[NoSubmissionArray, SingleIssuer, SubmitAll], &[SingleIssuer, SubmitAll], &[SubmitAll], &[]]
};
