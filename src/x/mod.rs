//! All that is particular to X: its signatures, its JSON, its ways.

pub mod challenge;
pub mod client;
pub mod normalize;
pub mod redact;
pub mod signature;
mod wire;
