//! RabbitMQ: what the service declares there, how it publishes and looks, the contract's messages.
//!
//! Every part owns a connection of its own, visible by name in the broker's management page: a
//! connection the broker blocks for publishing must not hold up the consumer. Nothing here but the
//! consumer retries or waits without limit; the callers decide when to try again.

pub mod check;
pub mod commands;
pub mod connection;
pub mod consumer;
pub mod dead;
pub mod dead_queue;
pub mod delivery;
pub mod inbox;
pub mod link;
mod login;
pub mod messages;
mod outcomes;
mod outlet;
pub mod proto;
pub mod publisher;
pub mod redact;
pub mod rights;
pub mod settings;
pub mod tls;
pub mod topology;
