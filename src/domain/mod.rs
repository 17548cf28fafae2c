//! What the service talks about. No I/O, no clock: time is an argument.

pub mod activity;
pub mod ids;
pub mod message;
