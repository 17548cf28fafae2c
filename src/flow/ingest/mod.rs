//! From a delivery of X to the journal.

mod directs;
mod posts;
mod threads;
mod work;
