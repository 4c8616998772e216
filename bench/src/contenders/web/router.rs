//! The application that all give to axum.

use axum::Router;
use axum::routing::get;

use crate::web::{BODY, LARGE, large_body};

pub(super) fn router() -> Router {
    Router::new().route("/", get(async || BODY)).route(LARGE, get(async || large_body()))
}
