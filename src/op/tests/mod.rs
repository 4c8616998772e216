//! Tests of operations from within.

mod scripted;
