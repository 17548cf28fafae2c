//! The published contract: the messages of `proto/helpdesk/twitter/v1` with their JSON form.
//!
//! Writing emits every field under its name in the `.proto`. Commands are read by
//! [`commands`](super::commands), more strictly than generated code can.

pub use generated::*;

#[expect(
    clippy::allow_attributes,
    clippy::map_err_ignore,
    reason = "made by prost and pbjson, see build.rs"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/helpdesk.twitter.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/helpdesk.twitter.v1.serde.rs"));
}
