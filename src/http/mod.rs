//! What is served over HTTP: a public listener for X and a private one for ops.

pub mod api;
mod console;
pub mod forward;
pub mod media;
pub mod private;
pub mod public;
mod server;

pub use server::{Farewell, Server, ServerSettings};
