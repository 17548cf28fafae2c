//! The client against an X on this machine.

mod answers;
mod certainty;
mod credentials;
mod errors;
mod media;
mod requests;
