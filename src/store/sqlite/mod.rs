//! The embedded store: one file, one writer, readers beside it.

pub(super) mod backup;
mod engine;
pub(super) mod schema;
pub(super) mod shared;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::StoreError;
use super::sql::Conn;
use super::tables::tx::Tx;
pub(super) use engine::Sqlite;

/// How long to wait for another process's transaction (the command line writes too).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long emptying the log waits for readers.
const PURGE_TIMEOUT: Duration = Duration::from_millis(50);
/// Pages held in memory by the connection that reads and by the one that copies the log, KiB: what
/// they look at is mostly in the system's own cache. The writer's has four times as much.
const SMALL_CACHE: i64 = -2048;
/// A write-ahead log that a long read has let grow beyond this is cut when it starts over.
const WAL_KEPT_BYTES: i64 = 128 * 1024 * 1024;

/// The file, or folder, that lies beside a database file under its name and `suffix`.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.to_owned().into_os_string();
    path.push(suffix);
    path.into()
}

/// Opens the database, made when it is not there.
pub(super) fn create(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_CREATE)
}

/// Opens the database, which has been there: a new, empty file in its place would be a loss unseen.
fn reconnect(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::empty())
}

fn connect(path: &Path, create: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(64);
    // Without it some statements are compiled anew for each new value that is bound to them.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Takes effect on an empty file only. Two event bodies fit a page instead of one.
    conn.pragma_update(None, "page_size", 8192)?;
    conn.pragma_update(None, "journal_mode", "wal")?;
    // FULL: a commit is on the disk, not in its cache, before X hears 200.
    conn.pragma_update(None, "synchronous", "full")?;
    // Checkpoints run beside the writer, see `engine`.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    conn.pragma_update(None, "cache_size", -8192)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    // What is deleted is overwritten: texts of people must not stay in free pages.
    conn.pragma_update(None, "secure_delete", true)?;
    Ok(conn)
}

/// Empties the write-ahead log: what was deleted stands in it still. False where somebody reads from
/// it just now.
pub(super) fn purge_log(path: &Path) -> rusqlite::Result<bool> {
    let conn = reconnect(path)?;
    // Writers wait as long.
    conn.busy_timeout(PURGE_TIMEOUT)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, bool>("busy")
    });
    match busy {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        busy => busy.map(|busy| !busy),
    }
}

/// A connection for reads, shared by whoever reads.
#[derive(Clone)]
pub(super) struct Reader {
    path: PathBuf,
    conn: Arc<Mutex<Option<Connection>>>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let conn = Self::connect(path)?;
        Ok(Self {
            path: path.to_owned(),
            conn: Arc::new(Mutex::new(Some(conn))),
        })
    }

    fn connect(path: &Path) -> rusqlite::Result<Connection> {
        let conn = reconnect(path)?;
        conn.pragma_update(None, "query_only", true)?;
        conn.pragma_update(None, "cache_size", SMALL_CACHE)?;
        Ok(conn)
    }

    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let conn = match slot.take() {
            Some(conn) => conn,
            None => Self::connect(&self.path)?,
        };
        // One snapshot for all that `work` reads.
        let result = conn
            .unchecked_transaction()
            .map_err(StoreError::from)
            .and_then(|snapshot| work(&Tx::new(Conn::Sqlite(&snapshot), 0)));
        // After a disk fault a new connection is the safe way on.
        if !matches!(result, Err(StoreError::Unusable(_))) {
            *slot = Some(conn);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn held_commands_are_found_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = create(&folder.path().join("journal.db")).unwrap();
        schema::migrate(&mut conn).unwrap();
        let plan = "EXPLAIN QUERY PLAN SELECT sequence FROM commands
                    WHERE finished_at IS NULL AND hold = ?1 AND hold <> '' ORDER BY sequence";
        let step: String = conn
            .query_row(plan, ["files"], |row| row.get("detail"))
            .unwrap();
        assert!(step.contains("commands_held"), "{step}");
    }

    #[test]
    fn statements_are_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = create(&folder.path().join("journal.db")).unwrap();
        schema::migrate(&mut conn).unwrap();
        for sql in [
            "SELECT text FROM sends WHERE command = ?1 ORDER BY part",
            "SELECT plan FROM commands WHERE sequence = ?1",
            "SELECT plan FROM commands WHERE id = ?1",
        ] {
            let mut statement = conn.prepare(sql).unwrap();
            for value in [1, 2, 3] {
                assert!(!statement.exists([value]).unwrap());
            }
            let again = statement.get_status(StatementStatus::RePrepare);
            assert_eq!(again, 0, "{sql}");
        }
    }
}
