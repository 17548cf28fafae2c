//! Migrations, applied in order; `user_version` counts them.

use rusqlite::Connection;

const MIGRATIONS: [(i64, &str); 1] = [(1, include_str!("migrations/0001_journal.sql"))];

/// Brings the database to the newest version. One transaction for each step.
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let current: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for (version, sql) in MIGRATIONS.iter().filter(|(version, _)| *version > current) {
        let step = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}
