//! The operations of a chain, as a tuple.

use super::link::{AnyLink, Link, Linked};
use crate::op::operation::Operation;

/// How many operations a chain has at most.
pub(super) const MOST: usize = 8;

/// An operation of a chain.
#[expect(private_bounds, reason = "what a chain does with it is not public")]
pub trait Part: AnyPart {
    /// What it returns.
    type Output;

    #[doc(hidden)]
    fn into_output(self) -> Self::Output;
}

/// What a chain does with its operations.
///
/// # Safety
///
/// The link is a part of this, and always the same.
pub(crate) unsafe trait AnyPart: 'static {
    fn any(&mut self) -> &mut dyn AnyLink;
}

// SAFETY: it is the link.
unsafe impl<O: Link> AnyPart for Linked<O> {
    fn any(&mut self) -> &mut dyn AnyLink {
        self
    }
}

impl<O: Link> Part for Linked<O> {
    type Output = <O as Operation>::Output;

    fn into_output(self) -> Self::Output {
        self.into_output()
    }
}

/// The operations of a chain: a tuple of one to eight.
#[expect(private_bounds, reason = "what a chain does with it is not public")]
pub trait Links: AnyLinks {
    /// What each of them returns.
    type Outputs;

    #[doc(hidden)]
    fn into_outputs(self) -> Self::Outputs;
}

/// What a chain does with the tuple.
///
/// # Safety
///
/// There are [`LENGTH`](Self::LENGTH) links, and each index has its own.
pub(crate) unsafe trait AnyLinks: 'static {
    const LENGTH: usize;

    fn link(&mut self, at: usize) -> &mut dyn AnyLink;
}

/// The operations of a chain that has room for one more: a tuple of fewer than eight.
#[diagnostic::on_unimplemented(message = "a chain has at most eight operations")]
pub trait Push {
    /// The tuple with one more.
    type With<T>;

    #[doc(hidden)]
    fn push<T>(self, link: T) -> Self::With<T>;
}

impl Push for () {
    type With<T> = (T,);

    fn push<T>(self, link: T) -> Self::With<T> {
        (link,)
    }
}

macro_rules! links {
    ($($part:ident . $at:tt),+) => {
        impl<$($part: Part),+> Links for ($($part,)+) {
            type Outputs = ($($part::Output,)+);

            fn into_outputs(self) -> Self::Outputs {
                ($(self.$at.into_output(),)+)
            }
        }

        // SAFETY: the links are those of the fields.
        unsafe impl<$($part: Part),+> AnyLinks for ($($part,)+) {
            const LENGTH: usize = [$($at),+].len();

            fn link(&mut self, at: usize) -> &mut dyn AnyLink {
                match at {
                    $($at => self.$at.any(),)+
                    _ => unreachable!("a link beyond the end of the chain"),
                }
            }
        }
    };
}

macro_rules! push {
    ($($part:ident . $at:tt),+) => {
        impl<$($part),+> Push for ($($part,)+) {
            type With<T> = ($($part,)+ T);

            fn push<T>(self, link: T) -> Self::With<T> {
                ($(self.$at,)+ link)
            }
        }
    };
}

links!(A.0);
links!(A.0, B.1);
links!(A.0, B.1, C.2);
links!(A.0, B.1, C.2, D.3);
links!(A.0, B.1, C.2, D.3, E.4);
links!(A.0, B.1, C.2, D.3, E.4, F.5);
links!(A.0, B.1, C.2, D.3, E.4, F.5, G.6);
links!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7);
push!(A.0);
push!(A.0, B.1);
push!(A.0, B.1, C.2);
push!(A.0, B.1, C.2, D.3);
push!(A.0, B.1, C.2, D.3, E.4);
push!(A.0, B.1, C.2, D.3, E.4, F.5);
push!(A.0, B.1, C.2, D.3, E.4, F.5, G.6);
