//! The writer's side of SQLite: its transactions, and the write-ahead log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::{BUSY_TIMEOUT, SMALL_CACHE, create, reconnect, schema};
use crate::store::sql::Conn;
use crate::store::writer::{Engine, Open, Work, spawn};
use crate::store::{StoreError, StoreSettings};

/// Pages in the write-ahead log beyond which the writer itself lets it start over: a checkpoint
/// beside a busy writer copies but can never reset.
const WAL_RESTART_FRAMES: i64 = 8192;
/// Short: a commit that comes while the disk takes a checkpoint waits for all of that.
const CHECKPOINT_PERIOD: Duration = Duration::from_millis(100);
/// How long the writer waits for readers to leave the log before it lets it start over.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// The writing connection.
pub(in crate::store) struct Sqlite {
    path: PathBuf,
    /// None after a fault: then a new connection is the safe way on.
    conn: Option<Connection>,
    restart_wal: Arc<AtomicBool>,
}

impl Sqlite {
    /// Opens the database, made or brought up to date where need be.
    pub(in crate::store) fn open(
        settings: &StoreSettings,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let mut conn = create(path).map_err(|error| settings.open_error(error))?;
        schema::migrate(&mut conn).map_err(|error| settings.open_error(error))?;
        let restart_wal = Arc::new(AtomicBool::new(false));
        spawn_checkpoints(path, &restart_wal)?;
        Ok(Self {
            path: path.to_owned(),
            conn: Some(conn),
            restart_wal,
        })
    }
}

impl Engine for Sqlite {
    fn transact(&mut self, open: &Open<'_>, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => reconnect(&self.path)?,
        };
        if self.restart_wal.swap(false, Ordering::Relaxed) {
            restart_wal(&conn)?;
        }
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let beginning = open(Conn::Sqlite(&transaction))?;
        work(Conn::Sqlite(&transaction), beginning)?;
        transaction.commit()?;
        self.conn = Some(conn);
        Ok(())
    }
}

/// Lets the write-ahead log start over. A reader that is still in it puts that off until the next
/// checkpoint: better a longer log than writers that wait for a long read.
fn restart_wal(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(RESTART_TIMEOUT)?;
    let restarted = conn.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_row| Ok(()));
    if let Err(error) = restarted {
        tracing::warn!(%error, "the write-ahead log could not start over");
    }
    conn.busy_timeout(BUSY_TIMEOUT)
}

/// Copies the write-ahead log into the database beside the writer: done by the writer, it doubled
/// the slowest commits.
fn spawn_checkpoints(path: &Path, restart_wal: &Arc<AtomicBool>) -> Result<(), StoreError> {
    let path = path.to_owned();
    let restart_wal = Arc::downgrade(restart_wal);
    spawn("store-checkpoint", move || {
        let mut conn = None;
        while let Some(restart_wal) = restart_wal.upgrade() {
            conn = checkpoint(conn, &path, &restart_wal)
                .inspect_err(|error| tracing::debug!(%error, "a checkpoint was put off"))
                .ok();
            drop(restart_wal);
            thread::sleep(CHECKPOINT_PERIOD);
        }
    })
}

fn checkpoint(
    conn: Option<Connection>,
    path: &Path,
    restart_wal: &AtomicBool,
) -> rusqlite::Result<Connection> {
    let conn = match conn {
        Some(conn) => conn,
        None => {
            let conn = reconnect(path)?;
            conn.pragma_update(None, "cache_size", SMALL_CACHE)?;
            conn
        }
    };
    let frames: i64 = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get("log"))?;
    restart_wal.store(frames > WAL_RESTART_FRAMES, Ordering::Relaxed);
    Ok(conn)
}
