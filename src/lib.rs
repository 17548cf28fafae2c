//! X (Twitter) as a channel of a helpdesk.

pub mod app;
pub mod broker;
pub mod config;
pub mod domain;
pub mod flow;
pub mod http;
pub mod store;
pub mod telemetry;
pub mod x;
