//! Brings a database up to date, one replica at a time.

use super::WRITERS_LOCK;
use super::session::Session;
use super::settings::PostgresSettings;
use crate::store::StoreError;
use crate::store::migrations::{self, TooNew};
use crate::store::sql::Value;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version BIGINT PRIMARY KEY,
    oldest_reader BIGINT NOT NULL, -- versions below it cannot use the database
    at TIMESTAMPTZ NOT NULL DEFAULT now())";

/// Applies the steps that are missing, in one transaction. A newer database is left as it is, and
/// used, unless it says that versions like this one cannot.
pub(super) fn migrate(session: &Session, settings: &PostgresSettings) -> Result<(), StoreError> {
    let step = apply(session);
    if !matches!(step, Ok(Ok(()))) {
        session.roll_back();
    }
    step?.map_err(|too_new| StoreError::Open {
        place: settings.to_string(),
        reason: too_new.to_string(),
    })
}

fn apply(session: &Session) -> Result<Result<(), TooNew>, StoreError> {
    // It may take long, and others may be long at it.
    session.begin(&format!(
        "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0;
         SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
    ))?;
    session.batch(TABLE)?;
    let (mut found, mut oldest_reader) = (0, 0);
    session.query(
        "SELECT coalesce(max(version), 0), coalesce(max(oldest_reader), 0) FROM schema_version",
        &[],
        &mut |row| {
            (found, oldest_reader) = (row.get(0)?, row.get(1)?);
            Ok(false)
        },
    )?;
    if let Err(too_new) = migrations::may_use(found, oldest_reader) {
        return Ok(Err(too_new));
    }
    for (version, migration) in migrations::after(found) {
        session.batch(&migration.for_postgres())?;
        let values = [version, migrations::oldest_reader(version)].map(Value::Integer);
        let sql = "INSERT INTO schema_version (version, oldest_reader) VALUES (?1, ?2)";
        session.run(sql, &values)?;
    }
    session.commit()?;
    Ok(Ok(()))
}
