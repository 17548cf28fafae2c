//! A store on a database of its own, and rows to put into it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use twitter_channel::domain::ids::{AccountId, EventId};
use twitter_channel::store::{
    JournalRow, NewRow, PostgresSettings, Store, StoreError, StorePlace, StoreSettings, Tx,
};

use crate::support::fresh::FreshDatabase;

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Which of the stores is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// A place for one database, removed with the value.
pub(super) struct Database {
    dir: TempDir,
    server: Option<FreshDatabase>,
}

impl Database {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            server: (engine == Engine::Postgres).then(FreshDatabase::new),
        }
    }

    pub(super) fn is_file(&self) -> bool {
        self.server.is_none()
    }

    /// The file, where it is one.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    pub(super) fn settings(&self) -> StoreSettings {
        match &self.server {
            None => settings(&self.path()),
            Some(server) => on_server(&server.url()),
        }
    }

    /// For `store.url`.
    pub(super) fn url(&self) -> String {
        match &self.server {
            None => format!("sqlite://{}", self.path().display()),
            Some(server) => server.url(),
        }
    }

    pub(super) fn open(&self) -> Store {
        Store::open(self.settings()).unwrap()
    }

    /// Runs a statement in it, beside the store; how many rows it changed.
    pub(super) fn execute(&self, sql: &str) -> u64 {
        match &self.server {
            Some(server) => server.execute(sql).unwrap(),
            None => self.file().execute(sql, []).unwrap() as u64,
        }
    }

    /// What a query finds: a number.
    pub(super) fn number(&self, sql: &str) -> i64 {
        match &self.server {
            None => self.file().query_row(sql, [], |row| row.get(0)).unwrap(),
            Some(server) => server.number(sql),
        }
    }

    fn file(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// Size of the write-ahead log.
    pub(super) fn wal_bytes(&self) -> u64 {
        std::fs::metadata(self.dir.path().join("store.db-wal")).map_or(0, |meta| meta.len())
    }
}

pub(super) fn settings(path: &Path) -> StoreSettings {
    StoreSettings {
        place: path.to_owned().into(),
        max_bytes: 1 << 30,
        retention: Duration::from_secs(30 * 24 * 3600),
    }
}

pub(super) fn on_server(url: &str) -> StoreSettings {
    let settings = PostgresSettings::parse(&url.into()).unwrap();
    StoreSettings {
        place: StorePlace::Postgres(Box::new(settings)),
        ..self::settings(Path::new(""))
    }
}

/// A new store and the place that must outlive it.
pub(super) fn fresh(engine: Engine) -> (Database, Store) {
    let database = Database::new(engine);
    let store = database.open();
    (database, store)
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn account(id: u64) -> AccountId {
    AccountId(id.to_string().parse().unwrap())
}

pub(super) fn event(number: u64) -> EventId {
    EventId::new("1", "message.received", &number.to_string(), number)
}

pub(super) fn row_of(number: u64, body: impl Into<Bytes>) -> NewRow {
    NewRow {
        id: event(number),
        event_type: "message.received",
        routing_key: "message.received.post.1".to_owned(),
        correlation_id: format!("post:{number}"),
        subject: format!("post/{number}"),
        time: at(number.cast_signed()),
        mandatory: true,
        case: None,
        body: body.into(),
    }
}

pub(super) fn row(number: u64) -> NewRow {
    row_of(number, format!("body {number}"))
}

pub(super) fn keyed(number: u64, routing_key: &str) -> NewRow {
    NewRow {
        routing_key: routing_key.to_owned(),
        ..row(number)
    }
}

/// Appends event `number`, written at second `number`.
pub(super) async fn append(store: &Store, number: u64) -> u64 {
    write(store, move |tx| {
        tx.append(row(number), at(number.cast_signed()))
    })
    .await
}

pub(super) async fn append_all(store: &Store, numbers: impl IntoIterator<Item = u64>) {
    let numbers: Vec<u64> = numbers.into_iter().collect();
    write(store, move |tx| {
        for number in numbers {
            tx.append(row(number), at(number.cast_signed()))?;
        }
        Ok(())
    })
    .await;
}

pub(super) async fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.write(work).await.unwrap()
}

pub(super) async fn read<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> T {
    store.read(work).await.unwrap()
}

pub(super) fn sequences(rows: &[JournalRow]) -> Vec<u64> {
    rows.iter().map(|row| row.sequence).collect()
}

/// All rows of the journal, in order.
pub(super) async fn journal(store: &Store) -> Vec<u64> {
    let rows = read(store, |tx| tx.journal_after(0, usize::MAX, usize::MAX)).await;
    sequences(&rows)
}

/// Runs beside the test, which awaits it or does not care.
pub(super) fn beside<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    TaskTracker::new().spawn(task)
}
