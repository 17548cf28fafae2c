//! The store of several replicas: one database, in which one of them writes at a time.
//!
//! A connection pooler that hands out connections by transaction cannot stand between: statements
//! are prepared once for each connection, and one connection listens.

mod bulk;
mod engine;
mod listener;
mod reader;
mod schema;
mod session;
mod settings;
pub(super) mod shared;

pub(super) use engine::Postgres;
pub(super) use listener::Listener;
pub(super) use reader::Pool;
pub(super) use session::Session;
pub use settings::{PostgresSettings, UrlError};

/// What writers take turns by; it stands for the whole database. ("twitter" as a number.)
const WRITERS_LOCK: i64 = 0x0074_7769_7474_6572;
/// Where a commit tells other replicas what it has changed.
const CHANNEL: &str = "twitter_channel";
/// Connects, and no more.
pub(super) fn try_out(settings: &PostgresSettings) -> Result<(), super::StoreError> {
    Session::connect(settings).map(drop)
}

/// Where words of people stand.
const WITH_WORDS: &str = "VACUUM journal, seen, posts, conversations, cases, commands, sends, \
    quarantine, echoes, held, sightings, answered";

/// Has the room of deleted rows cleared: until then they stand in it still. Waits for other
/// transactions, and may take as long as going through all tables.
pub(super) fn purge(settings: &PostgresSettings) -> Result<(), super::StoreError> {
    Session::connect(settings)?.batch_patiently(WITH_WORDS)
}
