//! Gathering tuples: their members have different types and are polled in place, unboxed.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures_util::future::{maybe_done, try_maybe_done};

use super::gather::Gather;
use super::try_gather::TryGather;
use crate::task::coop;

/// The kind of [`Gather`] and [`TryGather`] that is a tuple.
#[derive(Debug)]
pub struct Tuple(());

macro_rules! tuples {
    ($(($($member:ident $value:ident)+))+) => {$(
        impl<$($member: IntoFuture),+> Gather<Tuple> for ($($member,)+) {
            type Outputs = ($($member::Output,)+);

            #[allow(non_snake_case, reason = "a member is named like its type")]
            fn gather(self) -> impl Future<Output = Self::Outputs> {
                let ($($member,)+) = self;
                // Not in the async block: the future owns a handle even before its first poll.
                $(let $member = $member.into_future();)+
                async move {
                    poll_fn(|context| coop::poll_spend(context)).await;
                    $(let mut $member = pin!(maybe_done($member));)+
                    poll_fn(|context| {
                        let mut pending = false;
                        $(pending |= $member.as_mut().poll(context).is_pending();)+
                        if pending { Poll::Pending } else { Poll::Ready(()) }
                    })
                    .await;
                    ($($member.take_output().expect("every member has ended"),)+)
                }
            }
        }

        impl<Error, $($value,)+ $($member),+> TryGather<Tuple> for ($($member,)+)
        where
            $($member: IntoFuture<Output = Result<$value, Error>>,)+
        {
            type Values = ($($value,)+);
            type Error = Error;

            #[allow(non_snake_case, reason = "a member is named like its type")]
            fn try_gather(self) -> impl Future<Output = Result<Self::Values, Error>> {
                let ($($member,)+) = self;
                $(let $member = $member.into_future();)+
                async move {
                    poll_fn(|context| coop::poll_spend(context)).await;
                    $(let mut $member = pin!(try_maybe_done($member));)+
                    poll_fn(|context| {
                        let mut pending = false;
                        $(match $member.as_mut().poll(context) {
                            Poll::Pending => pending = true,
                            Poll::Ready(Ok(())) => {}
                            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        })+
                        if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
                    })
                    .await?;
                    Ok(($($member.take_output().expect("every member has ended"),)+))
                }
            }
        }
    )+};
}

tuples! {
    (A A1)
    (A A1 B B1)
    (A A1 B B1 C C1)
    (A A1 B B1 C C1 D D1)
    (A A1 B B1 C C1 D D1 E E1)
    (A A1 B B1 C C1 D D1 E E1 F F1)
    (A A1 B B1 C C1 D D1 E E1 F F1 G G1)
    (A A1 B B1 C C1 D D1 E E1 F F1 G G1 H H1)
    (A A1 B B1 C C1 D D1 E E1 F F1 G G1 H H1 I I1)
    (A A1 B B1 C C1 D D1 E E1 F F1 G G1 H H1 I I1 J J1)
    (A A1 B B1 C C1 D D1 E E1 F F1 G G1 H H1 I I1 J J1 K K1)
    (A A1 B B1 C C1 D D1 E E1 F F1 G G1 H H1 I I1 J J1 K K1 L L1)
}
