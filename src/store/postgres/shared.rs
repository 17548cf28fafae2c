//! What statements come to in PostgreSQL.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::store::StoreError;
use crate::store::sql::{Result, Value};

type Converted<T> = std::result::Result<T, Box<dyn Error + Sync + Send>>;

/// A value that outlives the call it was given to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kept {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<Value<'_>> for Kept {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

impl Kept {
    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

fn put(value: Value<'_>, kind: &Type, out: &mut BytesMut) -> Converted<IsNull> {
    match value {
        Value::Null => Ok(IsNull::Yes),
        Value::Integer(number) => match *kind {
            Type::BOOL => (number != 0).to_sql(kind, out),
            Type::INT4 => i32::try_from(number)?.to_sql(kind, out),
            _ => number.to_sql(kind, out),
        },
        // No text of PostgreSQL can hold U+0000. Stored with a sign of it, such a text is not quite
        // what was meant; refused, it would come again for ever.
        Value::Text(text) if text.contains('\0') => {
            text.replace('\0', "\u{fffd}").to_sql(kind, out)
        }
        Value::Text(text) => text.to_sql(kind, out),
        Value::Blob(bytes) => bytes.to_sql(kind, out),
    }
}

impl ToSql for Kept {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Converted<IsNull> {
        put(self.as_value(), kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Converted<IsNull> {
        put(*self, kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Converted<Self> {
        Ok(match *kind {
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::BOOL => Self::Integer(bool::from_sql(kind, raw)?.into()),
            Type::TEXT => Self::Text(FromSql::from_sql(kind, raw)?),
            Type::BYTEA => Self::Blob(raw),
            _ => return Err(format!("a value of the type {kind}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Converted<Self> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

pub(in crate::store) fn value(row: &tokio_postgres::Row, column: usize) -> Result<Value<'_>> {
    row.try_get(column).map_err(|error| StoreError::Corrupt {
        what: "column of a row",
        value: told(&error),
    })
}

/// An error in words, without values of rows.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// A statement in PostgreSQL's words: `?3` is the third parameter. Also which of them, counted from
/// 0, stand for `$1`, `$2`, ...: those that the statement does not use cannot be given.
pub(super) fn translated(sql: &str) -> (String, Vec<usize>) {
    let (mut text, mut used) = (String::with_capacity(sql.len()), Vec::new());
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(char) = rest.next() {
        quoted ^= char == '\'';
        if quoted || char != '?' {
            text.push(char);
            continue;
        }
        let mut number = 0;
        while let Some(digit) = rest.peek().and_then(|char| char.to_digit(10)) {
            number = number * 10 + digit as usize;
            rest.next();
        }
        let parameter = number.saturating_sub(1);
        let known = used.iter().position(|used| *used == parameter);
        let place = known.unwrap_or_else(|| {
            used.push(parameter);
            used.len() - 1
        });
        text.push_str(&format!("${}", place + 1));
    }
    (text, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_in_the_order_of_their_use() {
        let (text, used) =
            translated("SELECT '?1' WHERE a = ?12 AND b = ?3 AND (c = ?12 OR ?3 = '')");
        assert_eq!(
            text,
            "SELECT '?1' WHERE a = $1 AND b = $2 AND (c = $1 OR $2 = '')"
        );
        assert_eq!(used, [11, 2]);
    }
}
