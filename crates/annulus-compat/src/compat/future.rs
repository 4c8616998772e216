//! A future inside of Tokio's context.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Compat;

impl<F: Future> Future for Compat<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.entered(|future| future.poll(cx))
    }
}
