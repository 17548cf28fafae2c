//! The writer's side of PostgreSQL.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::listener::Notice;
use super::session::Session;
use super::settings::PostgresSettings;
use super::{CHANNEL, WRITERS_LOCK, schema};
use crate::store::StoreError;
use crate::store::sql::{Conn, Value};
use crate::store::tables::tx::Changes;
use crate::store::writer::Engine;

/// How long after a failed attempt the next one is made; writes fail at once until then.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// The writing connection.
pub(in crate::store) struct Postgres {
    settings: PostgresSettings,
    session: Option<Session>,
    /// By which our listener knows our own changes.
    writer: u64,
    failure: Option<Failure>,
}

/// Why there is no connection, and how often in a row, and since when.
struct Failure {
    error: StoreError,
    times: usize,
    at: Instant,
}

/// Tells writers of one process apart, and of several: see [`Notice`].
fn new_writer() -> u64 {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    let random: u64 = rand::random();
    random ^ WRITERS.fetch_add(1, Ordering::Relaxed)
}

impl Postgres {
    /// Connects, and brings the database up to date.
    pub(in crate::store) fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let session = Session::connect(settings)?;
        schema::migrate(&session, settings)?;
        Ok(Self {
            settings: settings.clone(),
            session: Some(session),
            writer: new_writer(),
            failure: None,
        })
    }

    /// What its notices are signed with.
    pub(in crate::store) fn writer(&self) -> u64 {
        self.writer
    }

    /// A connection in a transaction that no other writer is in at the same time.
    fn begin(&mut self) -> Result<Session, StoreError> {
        // Each statement after the lock sees what the writer before has committed.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
        );
        if let Some(session) = self.session.take() {
            match session.begin(&begin) {
                Ok(()) => return Ok(session),
                // Another replica has been at it for long.
                Err(error) if session.roll_back() => {
                    self.session = Some(session);
                    return Err(error);
                }
                Err(error) => tracing::info!(%error, "the database is connected to anew"),
            }
        }
        let session = self.connect()?;
        session.begin(&begin)?;
        Ok(session)
    }

    fn connect(&mut self) -> Result<Session, StoreError> {
        if let Some(Failure { error, times, at }) = &self.failure {
            let pause = PAUSES.get(*times).or(PAUSES.last()).copied();
            if at.elapsed() < pause.unwrap_or_default() {
                return Err(error.again());
            }
        }
        let session = Session::connect(&self.settings);
        self.failure = session.as_ref().err().map(|error| Failure {
            error: error.again(),
            times: self.failure.as_ref().map_or(1, |before| before.times + 1),
            at: Instant::now(),
        });
        session
    }

    fn commit(&self, session: &Session, changes: Changes) -> Result<(), StoreError> {
        if changes.bytes > 0 {
            let sql = "UPDATE sizes SET bytes = bytes + ?1 WHERE name = 'journal'";
            session.run(sql, &[Value::Integer(changes.bytes.cast_signed())])?;
        }
        if let Some(notice) = Notice::of(self.writer, changes) {
            let notice = notice.to_string();
            let values = [Value::Text(CHANNEL), Value::Text(&notice)];
            session.run("SELECT pg_notify(?1, ?2)", &values)?;
        }
        session.commit()
    }
}

impl Engine for Postgres {
    fn transact(
        &mut self,
        work: &mut dyn FnMut(Conn<'_>) -> Result<Changes, StoreError>,
    ) -> Result<(), StoreError> {
        let session = self.begin()?;
        let committed =
            work(Conn::Postgres(&session)).and_then(|changes| self.commit(&session, changes));
        // After a fault a new connection is the safe way on.
        if committed.is_ok() || session.roll_back() {
            self.session = Some(session);
        }
        committed
    }
}
