//! One test as it is declared: its name, what it needs of the kernel, where it runs.

use libtest_mimic::{Completion, Failed, Trial};
use uring_sys_tests::child::{self, Verdict};
use uring_sys_tests::feature::Feature;

/// The declaration of one test.
pub(crate) struct Case {
    name: &'static str,
    needs: &'static [Feature],
    own_process: bool,
    test: fn() -> Verdict,
}

impl Case {
    pub(crate) const fn new(
        name: &'static str,
        needs: &'static [Feature],
        test: fn() -> Verdict,
    ) -> Case {
        Case { name, needs, own_process: false, test }
    }

    /// The test changes its process, so it gets one of its own.
    pub(crate) const fn in_own_process(mut self) -> Case {
        self.own_process = true;
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the test in this process.
    pub(crate) fn run_here(&self) -> Verdict {
        (self.test)()
    }

    /// The test as the runner takes it; ignored, and saying why, when a need is missing.
    pub(crate) fn trial(&'static self) -> Trial {
        let missing = self.needs.iter().find(|feature| !feature.present());
        let Some(missing) = missing else {
            return Trial::ignorable_test(self.name, || self.run());
        };
        self.skipped(&format!("needs {missing}"))
    }

    /// The test as one that is ignored, for this reason.
    pub(crate) fn skipped(&'static self, reason: &str) -> Trial {
        let reason = format!("skipped: {reason}");
        let skipped = Completion::ignored_with(&reason);
        Trial::ignorable_test(self.name, || Ok(skipped)).with_kind(reason).with_ignored_flag(true)
    }

    fn run(&self) -> Result<Completion, Failed> {
        let verdict = if self.own_process { child::run(self.name)? } else { self.run_here() };
        Ok(match verdict {
            Verdict::Held => Completion::Completed,
            Verdict::Skipped(reason) => Completion::ignored_with(format!("skipped: {reason}")),
        })
    }
}

/// Declares the tests of a file: `name`, `name: [Needs]`, each with `@ in_own_process` behind it
/// where it changes its process.
macro_rules! cases {
    ($($name:ident $(: [$($need:ident),+])? $(@ $own:ident)?),+ $(,)?) => {
        pub(crate) const CASES: &[$crate::case::Case] = &[$(
            $crate::case::Case::new(
                stringify!($name),
                &[$($(uring_sys_tests::feature::Feature::$need),+)?],
                || uring_sys_tests::child::Verdict::from($name()),
            )$(.$own())?
        ),+];
    };
}
pub(crate) use cases;
