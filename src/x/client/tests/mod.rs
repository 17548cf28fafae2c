//! The client against an X on this machine.

mod answers;
mod certainty;
mod compliance;
mod credentials;
mod dm_media;
mod errors;
mod media;
mod pages;
mod requests;
mod stream;
