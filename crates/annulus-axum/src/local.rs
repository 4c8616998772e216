//! Handlers whose futures are not `Send`.
//!
//! axum wants a handler's future to be `Send`, since Tokio may move it to another thread. Annulus
//! does not: a request is served by the thread that accepted its connection. [`ThreadBound`] makes
//! any value `Send` by checking that; [`local`] puts the future of a handler into one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use annulus::task::ThreadBound;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};

/// Makes a handler of a function whose future is not `Send`.
///
/// The function itself is what axum calls a handler in all else: it takes extractors, the last of
/// which may consume the body, and returns what can be a response. It may sleep, use the
/// connections and files of the runtime, hold an `Rc` over an `await`. Where it has none of that,
/// it needs no `local`.
///
/// What extractors return still has to be `Send`. To share what is not with handlers, put it into a
/// [`ThreadBound`] in the router's state: one router for each shard, made on its thread.
///
/// # Panics
///
/// The handler does, if it is called on a thread without a runtime.
///
/// # Example
///
/// ```
/// use std::cell::RefCell;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use annulus::task::ThreadBound;
/// use annulus_axum::local;
/// use axum::Router;
/// use axum::extract::{Path, State};
/// use axum::routing::get;
///
/// type Visits = Arc<ThreadBound<RefCell<u64>>>;
///
/// async fn hello(State(visits): State<Visits>, Path(name): Path<String>) -> String {
///     annulus::time::sleep(Duration::from_millis(1)).await; // Not `Send`, and so neither is this.
///     let mut visits = visits.borrow_mut();
///     *visits += 1;
///     format!("hello, {name}, visitor {visits}\n")
/// }
///
/// annulus::run(async {
///     let visits = Arc::new(ThreadBound::new(RefCell::new(0)));
///     let app: Router =
///         Router::new().route("/hello/{name}", get(local(hello))).with_state(visits);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub fn local<F>(handler: F) -> Local<F> {
    Local { handler }
}

/// The handler that [`local`] makes.
#[derive(Clone, Copy)]
pub struct Local<F> {
    handler: F,
}

impl<F> fmt::Debug for Local<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("handler", &std::any::type_name::<F>()).finish()
    }
}

/// The future of a handler. axum boxes those of others, too.
type Boxed = ThreadBound<Pin<Box<dyn Future<Output = Response>>>>;

fn boxed(future: impl Future<Output = Response> + 'static) -> Boxed {
    ThreadBound::new(Box::pin(future))
}

impl<F, Fut, R, S> Handler<((),), S> for Local<F>
where
    F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = R> + 'static,
    R: IntoResponse,
{
    type Future = Boxed;

    fn call(self, _: Request, _: S) -> Boxed {
        boxed(async move { (self.handler)().await.into_response() })
    }
}

macro_rules! handlers {
    ([$($part:ident),*], $last:ident) => {
        #[allow(non_snake_case, unused_mut)]
        impl<F, Fut, S, R, M, $($part,)* $last> Handler<(M, $($part,)* $last,), S> for Local<F>
        where
            F: FnOnce($($part,)* $last,) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = R> + 'static,
            S: Send + Sync + 'static,
            R: IntoResponse,
            $($part: FromRequestParts<S> + Send + 'static,)*
            $last: FromRequest<S, M> + Send + 'static,
        {
            type Future = Boxed;

            fn call(self, request: Request, state: S) -> Boxed {
                let (mut parts, body) = request.into_parts();
                boxed(async move {
                    $(
                        let $part = match $part::from_request_parts(&mut parts, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return rejection.into_response(),
                        };
                    )*
                    let request = Request::from_parts(parts, body);
                    let $last = match $last::from_request(request, &state).await {
                        Ok(value) => value,
                        Err(rejection) => return rejection.into_response(),
                    };
                    (self.handler)($($part,)* $last,).await.into_response()
                })
            }
        }
    };
}

// As many as axum has.
handlers!([], T1);
handlers!([T1], T2);
handlers!([T1, T2], T3);
handlers!([T1, T2, T3], T4);
handlers!([T1, T2, T3, T4], T5);
handlers!([T1, T2, T3, T4, T5], T6);
handlers!([T1, T2, T3, T4, T5, T6], T7);
handlers!([T1, T2, T3, T4, T5, T6, T7], T8);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8], T9);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9], T10);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9, T10], T11);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11], T12);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12], T13);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13], T14);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14], T15);
handlers!([T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15], T16);
