//! What must survive: the journal of events, the duplicate check, threads, quarantine and gaps.
//!
//! Nothing outside this module sees SQL. All writes go through [`Store::write`]: one writer commits
//! whatever has queued up as one transaction, so many requests share one fsync. SQLite is the
//! embedded default; a second backend implements the same [`Tx`] methods.

mod answers;
mod lease;
mod migrations;
mod postgres;
mod sql;
mod sqlite;
mod tables;
mod tail;
mod writer;

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

pub use lease::{Claim, Leadership, LeaseRow, Term, Won};
pub use postgres::{PostgresSettings, UrlError};
pub use sqlite::backup::{BACKUP_MARK, Copied, copy, made};
pub(crate) use sqlite::beside;
pub use tables::access::{ApiSession, ApiToken, SecretHash};
pub use tables::accounts::{AccountState, Cost, DayCost};
pub use tables::ahead::Foresight;
pub use tables::audit::Audited;
pub use tables::cases::Case;
pub use tables::compliance::{CheckRow, ComplianceRow, LookUp};
pub use tables::conversations::{ConversationPlace, ListedRow, MessageQuery};
pub use tables::echoes::Echo;
pub use tables::feeds::{Feed, FeedMark};
pub use tables::gaps::{
    Gap, GapEnd, GapMethod, GapRead, GapReason, NewGap, ReadState, ReplayEnd, ReplayOrder,
};
pub use tables::gone_files::{FileMark, GoneFile};
pub use tables::journal::{
    EventPage, EventQuery, JournalRow, Lane, NewRow, RepublishChunk, Seen, Summary,
};
pub use tables::keeper::RegisteredWebhook;
pub use tables::ledger::{
    CommandFilter, CommandQuery, CommandRow, CommandState, Hold, NewCommand, OutcomeRow, Told,
    Wait, Waiting,
};
pub use tables::linking::{LinkOffer, Linking};
pub use tables::persons::{Deliveries, Delivery, Leaving, Page, PostKey, PostsOf, Proof, SeenOf};
pub use tables::quarantine::{KeptDelivery, NewQuarantined, QuarantineReason, Quarantined};
pub use tables::registry::{AppRow, LinkRow};
pub use tables::sends::{SendKind, SendRow, SendState};
pub use tables::sightings::Decided;
pub use tables::storms::{Held, HeldConversation, NewHeld, StormRow};
pub use tables::threads::{ConversationRow, PostRow, ThreadsSweep};
pub use tables::traffic::{Traffic, hour_of};
pub use tables::tx::Tx;

use answers::Gathered;
use postgres::{Listener, Pool, Postgres};
use sqlite::{Reader, Sqlite};
use tail::Tail;
use writer::Writer;

/// How often, and after which pauses, the log is tried to be emptied.
const PURGE_TRIES: u32 = 100;
const PURGE_PAUSE: Duration = Duration::from_millis(50);
/// Between attempts to open a store whose server does not answer.
const OPEN_PAUSE: Duration = Duration::from_secs(2);

/// Where the store lies and how large it may grow.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    pub place: StorePlace,
    /// Most bytes in use: of the database file, or of the database with the bodies of its journal;
    /// at 90 % ingest is refused.
    pub max_bytes: u64,
    /// How long bodies and the duplicate check are kept.
    pub retention: Duration,
}

/// Where the store lies.
#[derive(Clone, Debug)]
pub enum StorePlace {
    /// File of an SQLite database, of one process; its folder must exist.
    Sqlite(PathBuf),
    /// A database that several replicas share.
    Postgres(Box<PostgresSettings>),
}

impl From<PathBuf> for StorePlace {
    fn from(path: PathBuf) -> Self {
        Self::Sqlite(path)
    }
}

impl StorePlace {
    /// The file of the database, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for StorePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(settings) => settings.fmt(f),
        }
    }
}

impl StoreSettings {
    /// Above this ingest answers 503; the rest of `max_bytes` is for outcomes.
    pub fn ingest_limit(&self) -> u64 {
        self.max_bytes / 10 * 9
    }

    fn open_error(&self, error: impl ToString) -> StoreError {
        StoreError::Open {
            place: self.place.to_string(),
            reason: error.to_string(),
        }
    }

    /// What is held back in storms may take a tenth of the cap.
    pub fn held_limit(&self) -> u64 {
        self.max_bytes / 10
    }

    /// What is remembered of messages that nobody wanted may take a twentieth of the cap.
    pub fn sightings_limit(&self) -> u64 {
        self.max_bytes / 20
    }

    /// What quarantined deliveries may take: a tenth of the cap.
    pub fn quarantine_limit(&self) -> u64 {
        self.max_bytes / 10
    }
}

/// What a caller can do about a failed store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal has reached `store.max_bytes`: try later.
    #[error("the store is full: {used} of at most {limit} bytes are in use")]
    Full { used: u64, limit: u64 },
    /// Not committed in time; it may still land, unless its turn had not come by then.
    #[error("the store did not commit within {0:?}")]
    Late(Duration),
    /// Disk full, read-only, I/O fault: nothing was written, try later.
    #[error("the store cannot be used: {0}")]
    Unusable(Arc<dyn std::error::Error + Send + Sync>),
    /// The database cannot be opened, and will not be until somebody mends it or `store.url`.
    #[error("store.url: cannot open the store {place}: {reason}")]
    Open { place: String, reason: String },
    /// The server of the database does not answer: try later.
    #[error("store.url: the store {place} cannot be reached: {reason}")]
    Unreachable { place: String, reason: String },
    /// A stored value that this version cannot read.
    #[error("the store holds an unreadable {what}: {value}")]
    Corrupt { what: &'static str, value: String },
    /// No answer came: the service is stopping, or the work itself panicked.
    #[error("the store is closed, or the work handed to it panicked")]
    Closed,
    /// Another replica leads by now: what this one does as the leader is over.
    #[error("another replica leads now")]
    Deposed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unusable(Arc::new(error))
    }
}

impl StoreError {
    /// The same failure, told to another caller of the same commit.
    fn again(&self) -> Self {
        match self {
            Self::Full { used, limit } => Self::Full {
                used: *used,
                limit: *limit,
            },
            Self::Late(limit) => Self::Late(*limit),
            Self::Unusable(error) => Self::Unusable(Arc::clone(error)),
            Self::Open { place, reason } => Self::Open {
                place: place.clone(),
                reason: reason.clone(),
            },
            Self::Unreachable { place, reason } => Self::Unreachable {
                place: place.clone(),
                reason: reason.clone(),
            },
            Self::Corrupt { what, value } => Self::Corrupt {
                what,
                value: value.clone(),
            },
            Self::Closed => Self::Closed,
            Self::Deposed => Self::Deposed,
        }
    }
}

/// Locks `<database>.lock`: the database itself must stay open to the command line.
fn lock(settings: &StoreSettings, path: &Path) -> Result<File, StoreError> {
    let mut path = path.to_owned().into_os_string();
    path.push(".lock");
    let file = File::create(path).map_err(|error| settings.open_error(error))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => settings.open_error("another process serves from it"),
        TryLockError::Error(error) => settings.open_error(error),
    })?;
    Ok(file)
}

/// Where reads run.
#[derive(Clone)]
enum Reads {
    Sqlite(Reader),
    Postgres(Pool),
}

/// Handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    settings: StoreSettings,
    writer: Writer,
    reads: Reads,
    tail: Arc<Tail>,
    /// Hears of other replicas.
    _listener: Option<Arc<Listener>>,
    /// See [`Store::open_exclusive`].
    lock: Option<Arc<File>>,
    /// See [`Store::in_term`].
    term: Option<Term>,
}

impl Store {
    /// Opens (and creates or migrates) the database, beside whoever else has it open: for the
    /// command line.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the file cannot be opened, made or migrated, or the server refuses;
    /// [`StoreError::Unreachable`] after a few seconds, when there is no server.
    pub fn open(settings: StoreSettings) -> Result<Self, StoreError> {
        Self::open_locked(settings, None)
    }

    /// As [`Store::open`], for a process that serves: two relays on one journal would publish
    /// everything twice. A file is locked; the lock goes with the last handle, or with the process.
    /// Replicas on one server settle among them who does what.
    ///
    /// # Errors
    /// [`StoreError::Open`] also when another process serves from this database file.
    pub fn open_exclusive(settings: StoreSettings) -> Result<Self, StoreError> {
        let lock = match settings.place.file() {
            Some(path) => Some(Arc::new(lock(&settings, path)?)),
            None => None,
        };
        Self::open_locked(settings, lock)
    }

    /// Waits until the server of the database can be spoken to, and says so; for ever, unless it is
    /// dropped. A file is there or not: what is wrong with either, opening it tells.
    pub async fn reachable(settings: &StoreSettings) {
        let StorePlace::Postgres(place) = &settings.place else {
            return;
        };
        loop {
            let place = place.clone();
            let tried = tokio::task::spawn_blocking(move || postgres::try_out(&place)).await;
            match tried {
                Ok(Err(StoreError::Unreachable { place, reason })) => {
                    tracing::warn!(place, reason, "waiting for the store");
                }
                _ => return,
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
    }

    fn open_locked(settings: StoreSettings, lock: Option<Arc<File>>) -> Result<Self, StoreError> {
        let tail = Arc::new(Tail::default());
        let (writer, reads, listener) = match &settings.place {
            StorePlace::Sqlite(path) => {
                let writer = Writer::start(Sqlite::open(&settings, path)?, Arc::clone(&tail))?;
                let reader = Reader::open(path).map_err(|error| settings.open_error(error))?;
                (writer, Reads::Sqlite(reader), None)
            }
            StorePlace::Postgres(place) => {
                // A thread that may wait: this one may be one of those that must not.
                let engine = std::thread::scope(|scope| {
                    let open = scope.spawn(|| Postgres::open(place));
                    open.join().unwrap_or(Err(StoreError::Closed))
                })?;
                let listener = Listener::start(place, engine.writer(), Arc::clone(&tail))?;
                let writer = Writer::start(engine, Arc::clone(&tail))?;
                (writer, Reads::Postgres(Pool::new(place)), Some(listener))
            }
        };
        Ok(Self {
            settings,
            writer,
            reads,
            tail,
            _listener: listener.map(Arc::new),
            lock,
            term: None,
        })
    }

    /// Lets another process serve from it, though handles may live on for a moment.
    pub fn release(&self) {
        if let Some(Err(error)) = self.lock.as_ref().map(|lock| lock.unlock()) {
            tracing::warn!(%error, "the store stays locked until the process ends");
        }
    }

    /// A new one in a folder, for tests.
    #[cfg(test)]
    pub(crate) fn open_in(folder: &std::path::Path) -> Self {
        let settings = StoreSettings {
            place: folder.join("store.db").into(),
            max_bytes: 1 << 30,
            retention: Duration::from_hours(24),
        };
        Self::open(settings).unwrap()
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// Runs `work` in the writer's next transaction; returns once that is on disk.
    ///
    /// Work should refuse before it writes: an error after that undoes the transaction for all who
    /// share it, and they get the same error.
    ///
    /// # Errors
    /// What `work` returned (then nothing of it is stored), or why the commit failed.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let foresight = Foresight::default();
        self.writer
            .submit(self.guarded(work), (foresight, false), reply)
            .await?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// As [`Store::write`], but gives up waiting after `limit`; the write may still land. For many
    /// callers at once: they must be polled whenever they are woken, since one wakes the others.
    ///
    /// # Errors
    /// [`StoreError::Late`], and those of [`Store::write`].
    pub async fn write_within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let foresight = Foresight::default();
        self.write_foreseen(limit, foresight, work).await
    }

    /// Whether it is faster for those who write to tell what they are going to ask for.
    pub fn looks_ahead(&self) -> bool {
        matches!(self.reads, Reads::Postgres(_))
    }

    /// As [`Store::write_within`], for work that tells what it is going to ask for.
    ///
    /// # Errors
    /// Those of [`Store::write_within`].
    pub async fn write_foreseen<T: Send + 'static>(
        &self,
        limit: Duration,
        foresight: Foresight,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let write = async {
            self.writer
                .submit(self.guarded(work), (foresight, true), reply)
                .await?;
            Gathered::new(answer)
                .await
                .unwrap_or(Err(StoreError::Closed))
        };
        tokio::time::timeout(limit, write)
            .await
            .unwrap_or(Err(StoreError::Late(limit)))
    }

    /// Runs a reading `work` on a connection of its own, off the async threads.
    ///
    /// # Errors
    /// What `work` returned, or [`StoreError::Closed`] when the service is stopping.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_term()?;
        let reads = self.reads.clone();
        let read = move || match reads {
            Reads::Sqlite(reader) => reader.run(work),
            Reads::Postgres(pool) => pool.run(work),
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or(Err(StoreError::Closed))
    }

    /// Empties the write-ahead log, in which what was deleted stands still; on a server the room of
    /// deleted rows is cleared (its own logs and backups are the business of who runs it).
    ///
    /// # Errors
    /// [`StoreError::Late`] when others read from it all the time.
    pub async fn purge_log(&self) -> Result<(), StoreError> {
        match self.settings.place.clone() {
            StorePlace::Sqlite(path) => purge_file(path).await,
            StorePlace::Postgres(place) => {
                let purged = tokio::task::spawn_blocking(move || postgres::purge(&place)).await;
                purged.unwrap_or(Err(StoreError::Closed))
            }
        }
    }

    /// The next rows to publish after `cursor`: at most `rows` of them and about `bytes`. From
    /// memory while the relay keeps up, else from disk. What another process appended shows at once
    /// on a server, in a file within a second, where it fires no [`Store::appended`].
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub async fn after(
        &self,
        cursor: u64,
        rows: usize,
        bytes: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        self.check_term()?;
        if let Some(window) = self.tail.after(cursor, rows, bytes) {
            return Ok(window);
        }
        self.read(move |tx| tx.journal_after(cursor, rows, bytes))
            .await
    }

    /// Fires after each commit that added a command, or changed one for the scheduler to hear of.
    pub fn ledger_changed(&self) -> &Notify {
        self.tail.ledger_changed()
    }

    /// Fires after each commit that let a delivery wait, or ended such a wait.
    pub fn echoes_changed(&self) -> &Notify {
        self.tail.echoes_changed()
    }

    /// Fires after each commit that appended to the journal.
    pub fn appended(&self) -> &Notify {
        self.tail.appended()
    }
}

async fn purge_file(path: PathBuf) -> Result<(), StoreError> {
    for _ in 0..PURGE_TRIES {
        let path = path.clone();
        let purged = tokio::task::spawn_blocking(move || sqlite::purge_log(&path)).await;
        if purged.map_or(Err(StoreError::Closed), |purged| Ok(purged?))? {
            return Ok(());
        }
        tokio::time::sleep(PURGE_PAUSE).await;
    }
    Err(StoreError::Late(PURGE_PAUSE * PURGE_TRIES))
}
