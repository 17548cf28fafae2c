//! One thread writes. It commits whatever has queued up as one transaction: one fsync for many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::cases::Recent;
use super::tx::Tx;
use super::{BUSY_TIMEOUT, SMALL_CACHE, create, reconnect, schema};
use crate::store::tail::Tail;
use crate::store::{StoreError, StoreSettings};

/// Writes that may wait; more wait in their callers, who give up after their own limit.
const QUEUE: usize = 4096;
/// Most writes in one transaction: bounds what one disk fault refuses.
const BATCH: usize = 512;
/// Pages in the write-ahead log beyond which the writer itself lets it start over: a checkpoint
/// beside a busy writer copies but can never reset.
const WAL_RESTART_FRAMES: i64 = 8192;
/// Short: a commit that comes while the disk takes a checkpoint waits for all of that.
const CHECKPOINT_PERIOD: Duration = Duration::from_millis(100);
/// How long the writer waits for readers to leave the log before it lets it start over.
const RESTART_TIMEOUT: Duration = Duration::from_millis(50);

/// A queued write: runs inside the transaction, answers after the commit.
trait Job: Send {
    /// After an error what it wrote must be undone.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Write<T, F> {
    work: Option<F>,
    /// What the work returned; [`StoreError::Closed`] until it has run.
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        // A panic (its hook has told of it) is the end of this work, not of the writer.
        self.result =
            catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or(Err(StoreError::Closed));
        self.result.as_ref().map(drop).map_err(StoreError::again)
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // The caller may have stopped waiting; the write stands all the same.
        let _gone = reply.send(result.and_then(|value| committed.map(|()| value)));
    }
}

/// Handle to the writer thread, which ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    pub(crate) fn start(settings: &StoreSettings, tail: Arc<Tail>) -> Result<Self, StoreError> {
        let mut conn = create(&settings.path).map_err(|error| settings.open_error(error))?;
        schema::migrate(&mut conn).map_err(|error| settings.open_error(error))?;
        let (queue, jobs) = mpsc::channel(QUEUE);
        let restart_wal = Arc::new(AtomicBool::new(false));
        spawn_checkpoints(settings, &restart_wal)?;
        let thread = WriterThread {
            path: settings.path.clone(),
            conn: Some(conn),
            tail,
            known_sequence: None,
            recent: None,
            restart_wal,
        };
        spawn("store-writer", move || thread.run(jobs))?;
        Ok(Self { queue })
    }

    pub(crate) async fn submit<T, F>(
        &self,
        work: F,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let job = Box::new(Write {
            work: Some(work),
            result: Err(StoreError::Closed),
            reply,
        });
        self.queue
            .send(job)
            .await
            .map_err(|_closed| StoreError::Closed)
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map(drop)
        .map_err(|error| StoreError::Open {
            path: name.into(),
            reason: error.to_string(),
        })
}

struct WriterThread {
    path: PathBuf,
    conn: Option<Connection>,
    tail: Arc<Tail>,
    /// Next sequence after our last commit; another process may have moved on since.
    known_sequence: Option<u64>,
    /// As of our last commit.
    recent: Option<Recent>,
    restart_wal: Arc<AtomicBool>,
}

impl WriterThread {
    fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::new();
        while jobs.blocking_recv_many(&mut batch, BATCH) > 0 {
            let committed = self.commit(&mut batch);
            if let Err(error) = &committed {
                tracing::error!(%error, writes = batch.len(), "a commit failed");
                // After a fault a new connection is the safe way on.
                self.conn = None;
            }
            for job in batch.drain(..) {
                job.answer(committed.as_ref().map(drop).map_err(StoreError::again));
            }
        }
    }

    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => reconnect(&self.path)?,
        };
        let conn = self.conn.insert(conn);
        if self.restart_wal.swap(false, Ordering::Relaxed) {
            restart_wal(conn)?;
        }
        let transaction =
            conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let first = next_sequence(&transaction)?;
        if self.known_sequence.is_some_and(|known| known != first) {
            self.tail.skip_to(first);
            self.recent = None;
        }
        let mut tx = Tx::new(&transaction, first);
        // Taken: should the commit fail, the next one reads again what is on disk.
        let recent = self.recent.take();
        tx.recent = Some(recent.map_or_else(|| Recent::load(&transaction), Ok)?);
        for job in batch {
            tx.share(|tx| job.run(tx))?;
        }
        tx.enter_cases()?;
        let (ledger_changed, echoes_changed) = (tx.ledger_changed.get(), tx.echoes_changed.get());
        let bodies_changed = tx.bodies_changed.get();
        let (next, appended, recent) = (tx.next_sequence, tx.appended, tx.recent);
        transaction.commit()?;
        self.known_sequence = Some(next);
        self.recent = recent;
        match bodies_changed {
            // What is in memory may be as it was before.
            true => self.tail.skip_to(next),
            false => self.tail.push(first, next, appended),
        }
        if ledger_changed {
            self.tail.ledger_changed().notify_one();
        }
        if echoes_changed {
            self.tail.echoes_changed().notify_one();
        }
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

fn next_sequence(conn: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(sequence) FROM seen")?
        .query_row([], |row| row.get(0))?;
    Ok(super::tx::number(last.unwrap_or(0)) + 1)
}

/// Copies the write-ahead log into the database beside the writer: done by the writer, it doubled
/// the slowest commits.
fn spawn_checkpoints(
    settings: &StoreSettings,
    restart_wal: &Arc<AtomicBool>,
) -> Result<(), StoreError> {
    let path = settings.path.clone();
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
