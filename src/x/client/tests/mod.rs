//! The client against an X on this machine.

mod answers;
mod certainty;
mod checks;
mod compliance;
mod credentials;
mod dm_media;
mod errors;
mod links;
mod media;
mod obstacles;
mod pages;
mod requests;
mod setting_up;
mod stream;
