//! The writer's side of PostgreSQL.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::listener::Notice;
use super::session::Session;
use super::settings::PostgresSettings;
use super::{CHANNEL, WRITERS_LOCK, schema};
use crate::store::StoreError;
use crate::store::sql::{Conn, Value};
use crate::store::tables::ahead::Beginning;
use crate::store::tables::tx::Changes;
use crate::store::writer::{Engine, Open, Work};

/// How long after a failed attempt the next one is made; writes fail at once until then.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// A writer looks up rows by their keys: plans made anew for each set of them would cost as much as
/// what they find, and none made while a table was small may go through it later.
const SET_UP: &str = "SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;";

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

fn connect(settings: &PostgresSettings) -> Result<Session, StoreError> {
    let session = Session::connect(settings)?;
    session.batch(SET_UP)?;
    Ok(session)
}

fn begin_on(session: &Session, open: &Open<'_>) -> Result<Beginning, StoreError> {
    session.begin_alone(WRITERS_LOCK)?;
    open(Conn::Postgres(session))
}

impl Postgres {
    /// Connects, and brings the database up to date.
    pub(in crate::store) fn open(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let session = connect(settings)?;
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

    /// A connection in a transaction that no other writer is in at the same time. What `open` asks
    /// begins it.
    fn begin(&mut self, open: &Open<'_>) -> Result<(Session, Beginning), StoreError> {
        if let Some(session) = self.session.take() {
            match begin_on(&session, open) {
                Ok(beginning) => return Ok((session, beginning)),
                // Another replica has been at it for long.
                Err(error) if session.roll_back() => {
                    self.session = Some(session);
                    return Err(error);
                }
                Err(error) => tracing::info!(%error, "the database is connected to anew"),
            }
        }
        let session = self.connect()?;
        let beginning = begin_on(&session, open)?;
        Ok((session, beginning))
    }

    fn connect(&mut self) -> Result<Session, StoreError> {
        if let Some(Failure { error, times, at }) = &self.failure {
            let pause = PAUSES.get(*times).or(PAUSES.last()).copied();
            if at.elapsed() < pause.unwrap_or_default() {
                return Err(error.again());
            }
        }
        let session = connect(&self.settings);
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
    fn transact(&mut self, open: &Open<'_>, work: &mut Work<'_>) -> Result<(), StoreError> {
        let (session, beginning) = self.begin(open)?;
        let committed = work(Conn::Postgres(&session), beginning)
            .and_then(|changes| self.commit(&session, changes));
        // After a fault a new connection is the safe way on.
        if committed.is_ok() || session.roll_back() {
            self.session = Some(session);
        }
        committed
    }
}
