//! What the service talks about. No I/O, no clock: time is an argument.

pub mod access;
pub mod account;
pub mod activity;
pub mod attachment;
pub mod command;
pub mod event;
pub mod filter;
pub mod ids;
pub mod message;
pub mod money;
pub mod outcome;
pub mod price;
pub mod registry;
pub mod reply;
pub mod storm;
pub mod term;
pub mod text;
