#![forbid(unsafe_code)]
//! Libraries of the Tokio ecosystem on the annulus runtime.
