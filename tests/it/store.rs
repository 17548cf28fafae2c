//! The store, through its public API only: each case runs on both engines.

mod access;
mod disk;
mod journal;
mod postgres;
mod schema;
mod side;
mod support;
mod tail;
mod writer;
