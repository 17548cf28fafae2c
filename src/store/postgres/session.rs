//! One connection, for one thread at a time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use futures_util::future::maybe_done;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::bulk::{Group, Inserting, Queue, asking, columns};
use super::settings::PostgresSettings;
use super::shared::{Kept, told, translated};
use crate::store::StoreError;
use crate::store::sql::{Each, Question, Result, Row, Value};

/// Longer than the server lets a statement run: then the connection is dead.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);
/// For how long the size of the database is taken as known: it is looked up file by file.
const SIZE_KNOWN: Duration = Duration::from_secs(5);
/// A commit is on the disk before X hears 200; nothing waits for ever, not even for another replica
/// that hangs in the middle of its transaction.
const SET_UP: &str = "SET synchronous_commit = on;
    SET statement_timeout = '30s';
    SET lock_timeout = '15s';
    SET idle_in_transaction_session_timeout = '10s';
    SET client_min_messages = warning;";

/// A connection, driven by the thread that waits for its answers.
pub(in crate::store) struct Session {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    /// By their text.
    statements: RefCell<HashMap<String, Arc<Prepared>>>,
    /// Questions for many sets of parameters, by the text of one.
    questions: RefCell<HashMap<String, Arc<Prepared>>>,
    /// Sent with the next statement that answers: a round trip for each would take most of the time.
    later: RefCell<Queue>,
    changes: Cell<u64>,
    round_trips: Cell<u64>,
    sound: Cell<bool>,
    /// It has not answered in time.
    dead: Cell<bool>,
    /// Bytes of files other than the journal's, and when they were looked up.
    files: Cell<Option<(Instant, u64)>>,
}

pub(super) struct Prepared {
    statement: Statement,
    /// See [`translated`].
    used: Vec<usize>,
    pub inserting: Option<Inserting>,
    /// The same for many rows, once it was needed.
    of_many: OnceLock<Statement>,
}

/// A statement to be sent, with its parameters.
type Sending<'v> = (Statement, Vec<Box<dyn ToSql + Sync + 'v>>);

/// A question to be sent.
struct Asked<'q> {
    statement: Statement,
    params: Vec<Box<dyn ToSql + Sync + 'q>>,
    of_many: bool,
    each: Each<'q>,
}

fn boxed<'v, T: ToSql + Sync + 'v>(params: Vec<T>) -> Vec<Box<dyn ToSql + Sync + 'v>> {
    let params = params.into_iter();
    params
        .map(|value| Box::new(value) as Box<dyn ToSql + Sync + 'v>)
        .collect()
}

fn fault(reason: String) -> StoreError {
    let error: Box<dyn std::error::Error + Send + Sync> = reason.into();
    StoreError::Unusable(error.into())
}

/// A runtime for the thread that it is used on.
pub(super) fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| fault(error.to_string()))
}

/// Polls once.
async fn polled<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Why there is no connection.
pub(super) fn connect_error(settings: &PostgresSettings, error: &Error) -> StoreError {
    let (place, reason) = (settings.to_string(), told(error));
    // What will not mend itself: a password, a database, a role, a right.
    let refused = error.code().is_some_and(|code| {
        *code == SqlState::INVALID_PASSWORD
            || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            || *code == SqlState::INVALID_CATALOG_NAME
            || *code == SqlState::INSUFFICIENT_PRIVILEGE
    });
    match refused {
        true => StoreError::Open { place, reason },
        false => StoreError::Unreachable { place, reason },
    }
}

impl Session {
    /// # Errors
    /// [`StoreError::Unreachable`]: try later. [`StoreError::Open`]: in vain.
    pub(super) fn connect(settings: &PostgresSettings) -> Result<Self> {
        let runtime = runtime()?;
        let tls = settings.tls().map_err(|reason| StoreError::Open {
            place: settings.to_string(),
            reason,
        })?;
        let client = runtime.block_on(async {
            let (client, connection) = settings.config().connect(tls).await?;
            // Ends with the client; what it fails with, the client tells.
            drop(Handle::current().spawn(connection));
            client.batch_execute(SET_UP).await?;
            Ok::<_, Error>(client)
        });
        Ok(Self {
            client: client.map_err(|error| connect_error(settings, &error))?,
            runtime: Some(runtime),
            statements: RefCell::default(),
            questions: RefCell::default(),
            later: RefCell::default(),
            changes: Cell::new(0),
            round_trips: Cell::new(0),
            sound: Cell::new(true),
            dead: Cell::new(false),
            files: Cell::new(None),
        })
    }

    fn wait<T>(&self, work: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        let Some(runtime) = &self.runtime else {
            return Err(StoreError::Closed);
        };
        self.round_trips.set(self.round_trips.get() + 1);
        let answer = runtime.block_on(async { timeout(ANSWER_LIMIT, work).await });
        let result = match answer {
            Ok(answer) => answer.map_err(|error| fault(told(&error))),
            Err(_elapsed) => {
                self.dead.set(true);
                Err(fault("the database does not answer".to_owned()))
            }
        };
        // PostgreSQL ends a transaction with the first failure in it.
        result.inspect_err(|_| self.sound.set(false))
    }

    fn prepared(&self, sql: &str) -> Result<Arc<Prepared>> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(Arc::clone(known));
        }
        let (text, used) = translated(sql);
        let statement = self.wait(self.client.prepare(&text))?;
        let prepared = Arc::new(Prepared {
            inserting: Inserting::of(&text, statement.params()),
            of_many: OnceLock::new(),
            statement,
            used,
        });
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Runs statements one by one that give no rows; for what is done once.
    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        self.flush()?;
        self.wait(self.client.batch_execute(sql))
    }

    /// Runs statements outside of transactions that may take any time.
    pub(super) fn batch_patiently(&self, sql: &str) -> Result<()> {
        let Some(runtime) = &self.runtime else {
            return Err(StoreError::Closed);
        };
        let run = async {
            self.client
                .batch_execute("SET statement_timeout = 0")
                .await?;
            for statement in sql.split(';') {
                self.client.batch_execute(statement).await?;
            }
            Ok(())
        };
        let run: std::result::Result<(), Error> = runtime.block_on(run);
        run.map_err(|error| fault(told(&error)))
    }

    /// Sends a statement along with the next one that answers.
    pub(in crate::store) fn run(&self, sql: &str, params: &[Value<'_>]) -> Result<()> {
        let prepared = self.prepared(sql)?;
        let params = prepared.bound(params).into_iter().map(Kept::from).collect();
        self.changes.set(self.changes.get() + 1);
        let mut later = self.later.borrow_mut();
        later.push(prepared, params);
        let is_full = later.is_full();
        drop(later);
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Sends what was to be sent later, and waits for it.
    pub(super) fn flush(&self) -> Result<()> {
        let later = self.outgoing()?;
        if later.is_empty() {
            return Ok(());
        }
        self.wait(self.send(&later, async { Ok(()) }))
    }

    /// Takes what was to be sent later.
    fn outgoing(&self) -> Result<Vec<Sending<'static>>> {
        let groups = mem::take(&mut *self.later.borrow_mut()).groups;
        groups
            .into_iter()
            .map(|group| self.sending(group))
            .collect()
    }

    fn sending(&self, group: Group) -> Result<Sending<'static>> {
        let Group { prepared, rows, .. } = group;
        match &prepared.inserting {
            Some(inserting) if rows.len() > 1 => {
                let statement = match prepared.of_many.get() {
                    Some(known) => known.clone(),
                    None => self.wait(self.client.prepare(&inserting.text))?,
                };
                prepared.of_many.get_or_init(|| statement.clone());
                Ok((statement, boxed(columns(rows))))
            }
            _ => {
                let values = rows.into_iter().flatten().collect();
                Ok((prepared.statement.clone(), boxed::<Kept>(values)))
            }
        }
    }

    /// Forgets what was to be sent later.
    pub(super) fn forget(&self) {
        self.later.take();
    }

    /// Sends statements and then what `last` sends, without waiting in between.
    async fn send<T>(
        &self,
        later: &[Sending<'_>],
        last: impl Future<Output = std::result::Result<T, Error>>,
    ) -> std::result::Result<T, Error> {
        let mut sent = Vec::with_capacity(later.len());
        for (statement, params) in later {
            let params = params.iter().map(Box::as_ref);
            let run = self.client.execute_raw(statement, params);
            let mut run = Box::pin(maybe_done(run));
            // What is polled is on its way.
            let _begun = polled(run.as_mut()).await;
            sent.push(run);
        }
        let mut last = pin!(last);
        let at_once = polled(last.as_mut()).await;
        for mut run in sent {
            run.as_mut().await;
            run.as_mut().take_output().transpose()?;
        }
        match at_once {
            Poll::Ready(answer) => answer,
            Poll::Pending => last.await,
        }
    }

    /// Runs a statement; how many rows it changed.
    pub(in crate::store) fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<usize> {
        let prepared = self.prepared(sql)?;
        let params = prepared.bound(params);
        let later = self.outgoing()?;
        let run = self.client.execute_raw(&prepared.statement, params);
        let changed = self.wait(self.send(&later, run))?;
        self.changes.set(self.changes.get() + changed);
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Hands rows to `each` until that has seen enough; the rest of them is dropped.
    pub(in crate::store) fn query(
        &self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        let prepared = self.prepared(sql)?;
        let params = prepared.bound(params);
        // Those that return rows may have written.
        if !sql.trim_start().starts_with("SELECT") {
            self.changes.set(self.changes.get() + 1);
        }
        let later = self.outgoing()?;
        let read = async {
            let rows = self.client.query_raw(&prepared.statement, &params).await?;
            let mut rows = pin!(rows);
            while let Some(row) = rows.try_next().await? {
                match each(&Row::Postgres(&row)) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        };
        self.wait(self.send(&later, read))?
    }

    /// Puts all questions in one round trip.
    pub(in crate::store) fn ask(&self, questions: Vec<Question<'_>>) -> Result<()> {
        let mut asked = Vec::with_capacity(questions.len());
        for question in questions {
            asked.extend(self.asked(question)?);
        }
        let later = self.outgoing()?;
        self.wait(self.send(&later, self.answers(asked)))?
    }

    /// A question as it is put: by itself, or for many sets of parameters at once.
    fn asked<'q>(&self, question: Question<'q>) -> Result<Option<Asked<'q>>> {
        let Question { sql, sets, each } = question;
        let (prepared, params) = match sets.as_slice() {
            [] => return Ok(None),
            [set] => {
                let prepared = self.prepared(sql)?;
                let params = boxed(prepared.bound(set));
                (prepared, params)
            }
            sets => {
                let prepared = self.question(sql)?;
                let params = boxed(columns(sets.iter().map(|set| prepared.bound(set))));
                (prepared, params)
            }
        };
        Ok(Some(Asked {
            statement: prepared.statement.clone(),
            params,
            of_many: sets.len() > 1,
            each,
        }))
    }

    /// Sends all of them, and then hands over what each one found.
    async fn answers(&self, asked: Vec<Asked<'_>>) -> std::result::Result<Result<()>, Error> {
        let mut answers = Vec::with_capacity(asked.len());
        for Asked {
            statement,
            params,
            of_many,
            each,
        } in asked
        {
            let query = async move {
                let params = params.iter().map(Box::as_ref);
                self.client.query_raw(&statement, params).await
            };
            let mut rows = Box::pin(maybe_done(query));
            // What is polled is on its way.
            let _begun = polled(rows.as_mut()).await;
            answers.push((rows, of_many, each));
        }
        for (mut rows, of_many, mut each) in answers {
            rows.as_mut().await;
            let Some(rows) = rows.as_mut().take_output().transpose()? else {
                continue;
            };
            let mut rows = pin!(rows);
            while let Some(row) = rows.try_next().await? {
                if let Err(error) = answered(&row, of_many, &mut *each) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }

    fn question(&self, sql: &str) -> Result<Arc<Prepared>> {
        if let Some(known) = self.questions.borrow().get(sql) {
            return Ok(Arc::clone(known));
        }
        let (text, used) = translated(sql);
        let one = self.prepared(sql)?;
        let text = asking(&text, one.statement.params())
            .ok_or_else(|| fault(format!("it cannot be asked for many: {sql}")))?;
        let question = Arc::new(Prepared {
            statement: self.wait(self.client.prepare(&text))?,
            used,
            inserting: None,
            of_many: OnceLock::new(),
        });
        let mut questions = self.questions.borrow_mut();
        questions.insert(sql.to_owned(), Arc::clone(&question));
        Ok(question)
    }

    pub(in crate::store) fn changes(&self) -> u64 {
        self.changes.get()
    }

    pub(in crate::store) fn round_trips(&self) -> u64 {
        self.round_trips.get()
    }

    pub(in crate::store) fn is_sound(&self) -> bool {
        self.sound.get()
    }

    /// Begins a transaction; also finds out whether the connection still stands.
    pub(super) fn begin(&self, sql: &str) -> Result<()> {
        self.sound.set(true);
        self.batch(sql)
    }

    /// Begins a transaction that no other one with this lock is in at the same time, along with the
    /// first statement that answers: each statement after the lock sees what the one before it has
    /// committed.
    pub(super) fn begin_alone(&self, lock: i64) -> Result<()> {
        self.sound.set(true);
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED", &[])?;
        self.run("SELECT pg_advisory_xact_lock(?1)", &[Value::Integer(lock)])
    }

    pub(super) fn commit(&self) -> Result<()> {
        self.run("COMMIT", &[])?;
        self.flush()
    }

    /// Undoes the transaction; false: only a new connection helps.
    pub(super) fn roll_back(&self) -> bool {
        self.forget();
        let stands = !self.dead.get() && !self.client.is_closed();
        stands && self.wait(self.client.batch_execute("ROLLBACK")).is_ok()
    }

    /// Bytes of all files but the journal's.
    pub(in crate::store) fn bytes_beside_journal(&self) -> Result<u64> {
        if let Some((at, known)) = self.files.get()
            && at.elapsed() < SIZE_KNOWN
        {
            return Ok(known);
        }
        let sql = "SELECT pg_database_size(current_database()) - pg_total_relation_size('journal')";
        let mut files = 0;
        self.query(sql, &[], &mut |row| {
            files = row.get::<i64>(0)?.max(0).cast_unsigned();
            Ok(false)
        })?;
        self.files.set(Some((Instant::now(), files)));
        Ok(files)
    }
}

/// Hands over a row of an answer, with the place of its question.
fn answered(
    row: &tokio_postgres::Row,
    of_many: bool,
    each: &mut dyn FnMut(usize, &Row<'_>) -> Result<()>,
) -> Result<()> {
    // See [`asking`].
    let place: i64 = match of_many {
        true => Row::Postgres(row).get(row.len().saturating_sub(1))?,
        false => 1,
    };
    let place = usize::try_from(place).unwrap_or_default();
    each(place.saturating_sub(1), &Row::Postgres(row))
}

impl Prepared {
    /// Those of the parameters that the statement uses.
    fn bound<'a>(&self, params: &[Value<'a>]) -> Vec<Value<'a>> {
        let used = self.used.iter();
        used.map(|place| params.get(*place).copied().unwrap_or(Value::Null))
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // On an async thread a runtime must not be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
