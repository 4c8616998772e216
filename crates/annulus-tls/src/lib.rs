#![forbid(unsafe_code)]
//! TLS by rustls on the annulus runtime.
