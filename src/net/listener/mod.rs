//! What the listeners of stream sockets share.

pub(super) mod backoff;
