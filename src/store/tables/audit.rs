//! Who has changed what. An entry is written in the transaction of the change it tells of.

use jiff::Timestamp;
use serde_json::Value;

use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::access::Actor;
use crate::store::StoreError;
use crate::store::sql::params;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Audited {
    pub id: u64,
    pub at: Timestamp,
    /// As [`Actor`] is written.
    pub who: String,
    /// Kind of object and what was done: `token.create`.
    pub action: String,
    /// Id or name of what was changed; empty where there is none.
    pub object: String,
    /// More about it, an object.
    pub detail: Value,
}

impl Tx<'_> {
    /// Notes a change, along with it. `action` is `kind.verb` (`token.create`), `object` the id or
    /// name of what is changed, `detail` a JSON object without secrets (`Value::Null` for nothing).
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn audit(
        &self,
        who: &Actor,
        action: &str,
        object: &str,
        detail: &Value,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let detail = match detail {
            Value::Null => "{}".to_owned(),
            detail => detail.to_string(),
        };
        self.run(
            "INSERT INTO audit (at, who, action, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![millis(at), who.to_string(), action, object, detail],
        )
    }

    /// Changes, newest first; those before the entry `before` where given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn audited(&self, before: Option<u64>, limit: usize) -> Result<Vec<Audited>, StoreError> {
        self.rows(
            "SELECT id, at, who, action, object, detail FROM audit
             WHERE id < ?1 OR ?1 IS NULL ORDER BY id DESC LIMIT ?2",
            params![before.map(stored), count(limit)],
            |row| {
                let detail: String = row.get(5)?;
                Ok(Audited {
                    id: number(row.get(0)?),
                    at: timestamp(row.get(1)?),
                    who: row.get(2)?,
                    action: row.get(3)?,
                    object: row.get(4)?,
                    detail: serde_json::from_str(&detail).unwrap_or(Value::String(detail)),
                })
            },
        )
    }

    /// Forgets at most `limit` entries older than `before`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM audit WHERE id IN
               (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)",
            params![millis(before), count(limit)],
        )
    }
}
