//! A copy of the database while others write to it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, params};
use url::Url;

use super::beside;
use crate::store::StoreError;
use crate::store::tables::tx::{millis, number, timestamp};

/// By this small fact a copy is known for one, until the service was started on it.
pub const BACKUP_MARK: &str = "backup";

/// How long the copy waits for somebody else's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a copy holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    pub bytes: u64,
    /// All that was committed by then is in it.
    pub made: Timestamp,
    /// Bodies of events.
    pub events: u64,
    /// Of these, those that the broker has not confirmed.
    pub unpublished: u64,
    /// Commands without an outcome.
    pub open_commands: u64,
    /// The plans of those that have files.
    pub plans: Vec<String>,
}

/// Copies the database into a new file, marks that as a copy, checks it and puts it on the disk.
/// Blocks. The service goes on writing: the copy reads one snapshot, of which only the write-ahead
/// log grows.
///
/// # Errors
/// [`StoreError`]; a file that was begun is left to the caller.
pub fn copy(database: &Path, to: &Path, now: Timestamp) -> Result<Copied, StoreError> {
    make_private(to).map_err(|error| open_error(to, error))?;
    let path = to
        .to_str()
        .ok_or_else(|| open_error(to, "its name is no UTF-8"))?;
    // Not by `Store::open`: another version's program must not migrate a store that is served from.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(database, flags)?;
    source.busy_timeout(BUSY_TIMEOUT)?;
    source.execute("VACUUM INTO ?1", params![path])?;
    drop(source);
    let copied = finish(to, now)?;
    let file = File::open(to).map_err(|error| open_error(to, error))?;
    file.sync_all().map_err(|error| open_error(to, error))?;
    Ok(copied)
}

/// As of when the database in this file was copied; `None` where it is no copy by [`copy`], one that
/// the service was started on since, or cannot be read. Leaves no trace in the folder.
pub fn made(file: &Path) -> Option<Timestamp> {
    // A copy has no log. Where there is one, the mark may be taken away in it.
    if beside(file, "-wal").exists() {
        return None;
    }
    let mut url = Url::from_file_path(std::path::absolute(file).ok()?).ok()?;
    // Read-only alone, SQLite makes the files of a log.
    url.set_query(Some("immutable=1"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(url.as_str(), flags).ok()?;
    let marked = "SELECT value FROM meta WHERE key = ?1";
    let marked = database.query_row(marked, params![BACKUP_MARK], |row| row.get(0));
    let marked: String = marked.ok()?;
    marked.parse().ok().map(timestamp)
}

/// For its owner alone: it holds words of people.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    options.open(path).map(drop)
}

fn finish(path: &Path, now: Timestamp) -> Result<Copied, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(path, flags)?;
    let verdict: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt {
            what: "page, in the copy",
            value: verdict,
        });
    }
    copy.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![BACKUP_MARK, millis(now).to_string()],
    )?;
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0).map(number));
    let plans = "SELECT plan FROM commands WHERE has_files = 1 AND finished_at IS NULL";
    let mut plans = copy.prepare(plans)?;
    let plans = plans.query_map([], |row| row.get(0))?;
    let copied = Copied {
        bytes: std::fs::metadata(path).map_or(0, |file| file.len()),
        made: timestamp(millis(now)),
        events: count("SELECT count(*) FROM journal")?,
        unpublished: count(
            "SELECT count(*) FROM journal WHERE sequence >
               coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'relay_cursor'), 0)",
        )?,
        open_commands: count("SELECT count(*) FROM commands WHERE finished_at IS NULL")?,
        plans: plans.collect::<rusqlite::Result<_>>()?,
    };
    Ok(copied)
}

fn open_error(path: &Path, error: impl ToString) -> StoreError {
    StoreError::Open {
        place: path.display().to_string(),
        reason: error.to_string(),
    }
}
