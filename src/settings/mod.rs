//! Tables of settings into types that later code cannot trip over, all faults at once: those of the
//! configuration, and apps, accounts and filters as an administrator enters them.

pub(crate) mod declared;
mod fault;
pub(crate) mod reader;
pub mod secret;
pub(crate) mod toml;
pub(crate) mod value;
pub mod written;

pub use declared::Known;
pub(crate) use fault::Faults;
pub use fault::{Fault, SettingsFaults};
pub use value::{BaseUrl, CALLBACK, SecretKey, webhook_path};
