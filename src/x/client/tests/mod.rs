//! The client against an X on this machine.

mod answers;
mod certainty;
mod checks;
mod credentials;
mod errors;
mod links;
mod media;
mod obstacles;
mod requests;
mod setting_up;
