#![forbid(unsafe_code)]
//! axum on the annulus runtime.
