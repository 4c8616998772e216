#![forbid(unsafe_code)]
//! hyper's servers and clients on the annulus runtime.
