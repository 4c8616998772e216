//! The error of a group: every failure of its children and its body.

use std::error::Error;
use std::{fmt, io};

/// The errors of a [`task_group`](fn@super::task_group).
///
/// They are those of its children and its body, in the order in which they happened. Without any,
/// the group was cancelled.
#[doc(alias = "ExceptionGroup")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupError<E> {
    errors: Vec<E>,
}

impl<E> GroupError<E> {
    pub(super) fn new(errors: Vec<E>) -> Self {
        Self { errors }
    }

    /// The errors, in the order in which they happened.
    #[doc(alias = "ExceptionGroup.exceptions")]
    pub fn errors(&self) -> &[E] {
        &self.errors
    }

    /// Returns the errors by value.
    pub fn into_errors(self) -> Vec<E> {
        self.errors
    }

    /// Whether the group was cancelled, and nothing had failed.
    pub fn is_cancelled(&self) -> bool {
        self.errors.is_empty()
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.errors.split_first() else {
            return f.write_str("the group was cancelled");
        };
        write!(f, "{} failed in a group: {first}", self.errors.len())?;
        others.iter().try_for_each(|error| write!(f, "; {error}"))
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|error| error as &(dyn Error + 'static))
    }
}

/// Its kind is that of the first error, or `Interrupted` if the group was cancelled.
impl From<GroupError<io::Error>> for io::Error {
    fn from(error: GroupError<io::Error>) -> Self {
        let kind = error.errors.first().map_or(io::ErrorKind::Interrupted, io::Error::kind);
        io::Error::new(kind, error)
    }
}
