//! What is held of a person, found and erased.

use rusqlite::params;

use super::tx::{Tx, number, stored};
use crate::domain::ids::UserId;
use crate::store::StoreError;

/// Events that tell of a person, from a part of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsAbout {
    pub sequences: Vec<u64>,
    /// The last sequence looked at; `None`: there are no more.
    pub last: Option<u64>,
}

/// How much was erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    pub events: u64,
    pub deliveries: u64,
    pub commands: u64,
}

impl Tx<'_> {
    /// Events among the next `limit` after `after` whose body names the person.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events_about(
        &self,
        person: UserId,
        after: u64,
        limit: usize,
    ) -> Result<EventsAbout, StoreError> {
        let named = format!("\"{person}\"");
        let looked = self.rows(
            "SELECT sequence, instr(body, CAST(?2 AS BLOB)) > 0 FROM journal WHERE sequence > ?1
             ORDER BY sequence LIMIT ?3",
            params![stored(after), named, stored(limit as u64)],
            |row| Ok((number(row.get(0)?), row.get::<_, bool>(1)?)),
        )?;
        let last = looked.last().map(|(sequence, _)| *sequence);
        let about = looked.into_iter().filter(|(_, about)| *about);
        Ok(EventsAbout {
            sequences: about.map(|(sequence, _)| sequence).collect(),
            last,
        })
    }

    /// Removes the bodies of events; that they were decided on is still known.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn erase_events(&self, sequences: &[u64]) -> Result<(), StoreError> {
        for sequence in sequences {
            self.execute(
                "DELETE FROM journal WHERE sequence = ?1",
                [stored(*sequence)],
            )?;
            self.execute("DELETE FROM lane WHERE sequence = ?1", [stored(*sequence)])?;
        }
        Ok(())
    }

    /// Erases kept deliveries that name a person, and the texts of ended commands for it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_beside_events(&self, person: UserId) -> Result<Erased, StoreError> {
        let named = format!("\"{person}\"");
        let bare = person.to_string();
        let mut erased = Erased::default();
        for table in ["quarantine", "echoes", "held", "sightings"] {
            let sql = format!(
                "DELETE FROM {table} WHERE instr(body, CAST(?1 AS BLOB)) > 0
                   OR instr(body, CAST(?2 AS BLOB)) > 0"
            );
            erased.deliveries += self.execute(&sql, [&named, &bare])? as u64;
        }
        let of_person = "finished_at IS NOT NULL AND content <> ''
                         AND (instr(plan, ?1) > 0 OR instr(content, ?1) > 0)";
        let sends = format!(
            "UPDATE sends SET text = ''
             WHERE command IN (SELECT sequence FROM commands WHERE {of_person})"
        );
        self.execute(&sends, [&named])?;
        let commands = format!(
            "UPDATE commands SET content = '', plan = '{{}}', outcome = NULL WHERE {of_person}"
        );
        erased.commands = self.execute(&commands, [&named])? as u64;
        Ok(erased)
    }
}
