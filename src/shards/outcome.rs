//! What the closure of a shard may return.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the closure of a shard may return: a value, a `Result`, or an [`ExitCode`].
///
/// An `Err`, and an exit code other than [`ExitCode::SUCCESS`], is a failure of the shard, also
/// inside of an `Ok`. A value is none. Implemented are the types of the standard library that are
/// often returned, and for any other type an `Option`, a `Vec` or a tuple of it: `(value,)`.
///
/// # Example
///
/// For a type of your own an empty implementation suffices:
///
/// ```
/// use annulus::Shards;
/// use annulus::shards::ShardOutcome;
///
/// struct Served(u64);
///
/// impl ShardOutcome for Served {}
///
/// let served = Shards::builder().count(2).run(async |_| Served(1))?;
/// assert_eq!(served.iter().map(|served| served.0).sum::<u64>(), 2);
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the closure of a shard cannot return `{Self}`",
    label = "returns a value, a `Result` with an error that can be shown, or an `ExitCode`",
    note = "for a type of yours, `impl annulus::shards::ShardOutcome for {Self} {{}}` makes it a \
            value; a value of any other type can be returned in a tuple: `(value,)`"
)]
pub trait ShardOutcome {
    /// Why the shard has failed, if it has.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Whether a process whose shard returned this has succeeded, which is asked for by
    /// [`annulus::main`](macro@crate::main).
    ///
    /// By default it has unless the shard has failed. A shard that has done what it was asked to,
    /// with a result of which the exit status is to tell, has not failed: the others continue, and
    /// it does not restart. One that returns a
    /// [`ShutdownReport`](crate::net::ShutdownReport) with aborted connections has ended so.
    fn is_success(&self) -> bool {
        self.failure().is_none()
    }
}

impl<T: ShardOutcome, E: Display> ShardOutcome for Result<T, E> {
    fn failure(&self) -> Option<String> {
        match self {
            Ok(value) => value.failure(),
            Err(error) => Some(error.to_string()),
        }
    }

    fn is_success(&self) -> bool {
        self.as_ref().is_ok_and(T::is_success)
    }
}

impl ShardOutcome for ExitCode {
    fn failure(&self) -> Option<String> {
        (*self != Self::SUCCESS).then(|| format!("{self:?}"))
    }
}

macro_rules! value {
    ([$($generic:ident),*] $type:ty) => {
        impl<$($generic),*> ShardOutcome for $type {}
    };
}

macro_rules! values {
    ($($generics:tt: $($type:ty),+;)+) => {
        $($(value! { $generics $type })+)+
    };
}

values! {
    []: (), Infallible, bool, char, String, &str, Duration, Instant, IpAddr, SocketAddr;
    []: u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64;
    [T]: Option<T>, Vec<T>, VecDeque<T>, BTreeSet<T>, Box<T>, Arc<T>;
    [T, S]: HashSet<T, S>;
    [K, V]: BTreeMap<K, V>;
    [K, V, S]: HashMap<K, V, S>;
    [A]: (A,);
    [A, B]: (A, B);
    [A, B, C]: (A, B, C);
    [A, B, C, D]: (A, B, C, D);
    [A, B, C, D, E]: (A, B, C, D, E);
    [A, B, C, D, E, F]: (A, B, C, D, E, F);
}

impl<T, const N: usize> ShardOutcome for [T; N] {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_and_an_exit_code_of_failure_are_failures() {
        assert_eq!(Err::<u8, _>("no port").failure().as_deref(), Some("no port"));
        assert!(ExitCode::FAILURE.failure().is_some());
        assert!(Ok::<_, String>(ExitCode::FAILURE).failure().is_some());
        assert!(!Ok::<_, String>(ExitCode::FAILURE).is_success());
        assert!(!Err::<(), _>("no port").is_success());
    }

    #[test]
    fn values_and_success_are_no_failures() {
        assert_eq!(Ok::<_, String>(1).failure(), None);
        assert_eq!(ExitCode::SUCCESS.failure(), None);
        assert_eq!(Ok::<_, String>(ExitCode::SUCCESS).failure(), None);
        assert_eq!(false.failure(), None);
        assert_eq!(None::<u8>.failure(), None);
        assert_eq!((1, "two").failure(), None);
    }

    #[test]
    fn a_value_that_tells_of_no_success_is_no_failure_inside_of_an_ok_either() {
        struct Incomplete;
        impl ShardOutcome for Incomplete {
            fn is_success(&self) -> bool {
                false
            }
        }
        assert_eq!(Ok::<_, String>(Incomplete).failure(), None);
        assert!(!Ok::<_, String>(Incomplete).is_success());
    }
}
