//! A contender of this library on the portable ring: the same program, in a process whose
//! environment chooses the ring. That of the others chooses io_uring, so that no contender is on
//! the portable ring where this machine has no other, or the harness's environment says so.

use super::Contender;
use super::variant::Variant;

/// What the library reads where a program leaves the choice of the ring to it.
const PORTABLE: &[(&str, &str)] = &[("ANNULUS_RING", "portable")];

/// The same, for io_uring.
pub(super) const KERNEL: &[(&str, &str)] = &[("ANNULUS_RING", "kernel")];

/// Those contenders of this library that are measured on the portable ring too.
const FORMS: &[(&str, &str)] = &[
    ("annulus", "annulus-portable"),
    ("annulus-owned", "annulus-owned-portable"),
    #[cfg(feature = "web")]
    ("annulus-hyper", "annulus-hyper-portable"),
];

/// The portable forms of contenders.
pub(super) fn forms(
    of: impl Iterator<Item = Box<dyn Contender>>,
) -> impl Iterator<Item = Box<dyn Contender>> {
    let portable = |contender: Box<dyn Contender>| {
        let (_, name) = *FORMS.iter().find(|(plain, _)| *plain == contender.name())?;
        let form = Variant::in_environment(contender, name, "on the portable ring", PORTABLE);
        Some(Box::new(form) as Box<dyn Contender>)
    };
    of.filter_map(portable)
}
