//! The API side, over HTTP as apps use it.

mod auth;
mod client;
mod compliance;
mod console;
mod control;
mod desk;
mod faults;
mod limits;
mod linking;
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
mod subscriptions;
mod usage;
mod webhooks;
