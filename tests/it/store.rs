//! The store, through its public API only: a second backend runs the same cases.

mod access;
mod disk;
mod journal;
mod side;
mod support;
mod tail;
mod writer;
