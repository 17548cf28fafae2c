//! RabbitMQ: what is declared there, what is published, and the contract's messages.

pub mod messages;
pub mod proto;
