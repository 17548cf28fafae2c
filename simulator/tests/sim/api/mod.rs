//! The API side, over HTTP as apps use it.

mod auth;
mod client;
mod control;
mod faults;
mod limits;
mod media;
mod messages;
mod posts;
mod reads;
mod replies;
