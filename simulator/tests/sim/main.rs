//! The simulator as its users see it: bodies against what X's pages show, and deliveries to a
//! little webhook.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure that is wanted"
)]

mod account_activity;
mod activity;
mod api;
mod control;
mod crc;
mod delivery;
mod filtered_stream;
mod stage;
mod webhook;
