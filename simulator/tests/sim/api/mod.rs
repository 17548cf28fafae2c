//! The API side, over HTTP as apps use it.

mod auth;
mod client;
mod compliance;
mod control;
mod faults;
mod limits;
mod load;
mod media;
mod message_media;
mod messages;
mod posts;
mod reads;
mod replay;
mod replies;
mod rules;
mod stream;
mod usage;
