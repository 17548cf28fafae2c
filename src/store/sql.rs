//! One text of SQL for every engine: what its statements are given, and how their rows are read.
//!
//! Statements are written in what SQLite and PostgreSQL have in common: `?1` for parameters (every
//! number a `BIGINT`), `ON CONFLICT ... DO`, `RETURNING`, flags compared with `= 1`, sums cast to
//! `BIGINT`, named subqueries, columns on the right of `DO UPDATE SET` with their table, and a
//! parameter that may be NULL is compared with a column before `IS NULL` asks for it (PostgreSQL
//! learns its type so). What differs beyond that is a function of the engine.

use std::borrow::Cow;

use super::StoreError;
use super::postgres::{Session, shared as postgres};
use super::sqlite::shared as sqlite;

/// What reading a row comes to.
pub(super) type Result<T> = std::result::Result<T, StoreError>;

/// A value as both engines have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl Value<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Integer(_) => "a number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        }
    }
}

/// A value by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Owned {
    Integer(i64),
    Text(String),
}

/// What can be given to a statement.
pub(super) trait ToValue {
    fn to_value(&self) -> Value<'_>;
}

/// What can be read from a row.
pub(super) trait FromValue: Sized {
    /// `None`: it is of another kind.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Owned {
    fn to_value(&self) -> Value<'_> {
        match self {
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value).map(|number| number != 0)
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(bytes) => bytes.try_into().ok(),
            _ => None,
        }
    }
}

impl FromValue for Owned {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(Self::Integer(number)),
            Value::Text(text) => Some(Self::Text(text.to_owned())),
            Value::Null | Value::Blob(_) => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// The parameters of a statement, from `?1` on.
pub(super) trait Params {
    fn values(&self) -> Vec<Value<'_>>;
}

impl Params for &[&dyn ToValue] {
    fn values(&self) -> Vec<Value<'_>> {
        self.iter().map(|value| value.to_value()).collect()
    }
}

impl Params for [&dyn ToValue; 0] {
    fn values(&self) -> Vec<Value<'_>> {
        Vec::new()
    }
}

macro_rules! params_of_arrays {
    ($($count:literal)+) => {$(
        impl<T: ToValue> Params for [T; $count] {
            fn values(&self) -> Vec<Value<'_>> {
                self.iter().map(ToValue::to_value).collect()
            }
        }
    )+};
}

params_of_arrays!(1 2 3 4);

/// Parameters of several kinds.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::store::sql::ToValue),*] as &[&dyn $crate::store::sql::ToValue]
    };
}
pub(super) use params;

/// A row of an answer.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// A column, counted from 0.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it holds another kind of value.
    pub(super) fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        let value = self.value(column)?;
        T::from_value(value).ok_or_else(|| StoreError::Corrupt {
            what: "column of a row",
            value: format!("{} in column {column}", value.kind()),
        })
    }

    fn value(&self, column: usize) -> Result<Value<'_>> {
        match self {
            Self::Sqlite(row) => sqlite::value(row, column),
            Self::Postgres(row) => postgres::value(row, column),
        }
    }
}

/// A stored id of X that cannot be one.
pub(super) fn unreadable_id() -> StoreError {
    StoreError::Corrupt {
        what: "id",
        value: "0".to_owned(),
    }
}

/// A query that is put once for each set of parameters.
pub(super) struct Question<'q> {
    pub sql: &'q str,
    pub sets: Vec<Vec<Value<'q>>>,
    pub each: Each<'q>,
}

/// Is handed the rows found, each with the place of its set.
pub(super) type Each<'q> = Box<dyn FnMut(usize, &Row<'_>) -> Result<()> + 'q>;

/// The connection that a transaction runs on.
#[derive(Clone, Copy)]
pub(super) enum Conn<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a Session),
}

impl Conn<'_> {
    /// Runs a statement; how many rows it changed.
    pub(super) fn execute(self, sql: &str, params: &[Value<'_>]) -> Result<usize> {
        match self {
            Self::Sqlite(conn) => sqlite::execute(conn, sql, params),
            Self::Postgres(session) => session.execute(sql, params),
        }
    }

    /// Runs a statement of which nobody asks how many rows it changed: it may be sent later, at the
    /// latest with the next one that answers, or with the commit, and fails there.
    pub(super) fn run(self, sql: &str, params: &[Value<'_>]) -> Result<()> {
        match self {
            Self::Sqlite(conn) => sqlite::execute(conn, sql, params).map(drop),
            Self::Postgres(session) => session.run(sql, params),
        }
    }

    /// Hands the rows of an answer to `each`, until it has seen enough (false).
    pub(super) fn query(
        self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool>,
    ) -> Result<()> {
        match self {
            Self::Sqlite(conn) => sqlite::query(conn, sql, params, each),
            Self::Postgres(session) => session.query(sql, params, each),
        }
    }

    /// Puts questions that do not depend on each other. Where each would cost a round trip, all of them
    /// together cost one.
    pub(super) fn ask(self, questions: Vec<Question<'_>>) -> Result<()> {
        let conn = match self {
            Self::Sqlite(conn) => conn,
            Self::Postgres(session) => return session.ask(questions),
        };
        for question in questions {
            let Question {
                sql,
                sets,
                mut each,
            } = question;
            for (place, set) in sets.iter().enumerate() {
                sqlite::query(conn, sql, set, &mut |row| each(place, row).map(|()| true))?;
            }
        }
        Ok(())
    }

    /// Whether others may write too, and each question costs a round trip.
    pub(super) fn is_shared(self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// How many rows were changed so far: tells, compared, whether something was written.
    pub(super) fn changes(self) -> u64 {
        match self {
            Self::Sqlite(conn) => conn.total_changes(),
            Self::Postgres(session) => session.changes(),
        }
    }

    /// How often a server was waited for so far; never where there is none.
    pub(super) fn round_trips(self) -> u64 {
        match self {
            Self::Sqlite(_) => 0,
            Self::Postgres(session) => session.round_trips(),
        }
    }

    /// False once the engine has ended the transaction by itself, after a fault.
    pub(super) fn is_sound(self) -> bool {
        match self {
            // On a full disk SQLite may undo the transaction.
            Self::Sqlite(conn) => !conn.is_autocommit(),
            Self::Postgres(session) => session.is_sound(),
        }
    }

    /// The clock of the database, in milliseconds since 1970; `None` where it has none of its own.
    pub(super) fn clock(self) -> Result<Option<i64>> {
        let Self::Postgres(session) = self else {
            return Ok(None);
        };
        let sql = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";
        let mut now = None;
        session.query(sql, &[], &mut |row| {
            now = Some(row.get(0)?);
            Ok(false)
        })?;
        Ok(now)
    }

    /// Bytes of the database in use, free pages not counted; where it [is shared](Self::is_shared)
    /// without those of the journal, which are counted by its bodies: its files keep their size when
    /// rows go.
    pub(super) fn used_bytes(self) -> Result<u64> {
        match self {
            Self::Sqlite(conn) => sqlite::used_bytes(conn),
            Self::Postgres(session) => session.bytes_beside_journal(),
        }
    }
}
