//! The API side, over HTTP as apps use it.

mod auth;
mod client;
mod console;
mod control;
mod desk;
mod faults;
mod limits;
mod linking;
mod media;
mod messages;
mod posts;
mod reads;
mod replies;
mod subscriptions;
mod webhooks;
