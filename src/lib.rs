//! X (Twitter) as a channel of a helpdesk.

pub mod app;
pub mod attachments;
pub mod broker;
pub mod config;
pub mod domain;
pub mod flow;
pub mod http;
pub mod sealing;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod x;
