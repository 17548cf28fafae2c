//! Conversations and what was said in them, as people look them up.

use jiff::Timestamp;

use super::journal::{COLUMNS, JournalRow, read_row};
use super::storms::account;
use super::threads::account_key;
use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::AccountId;
use crate::store::StoreError;
use crate::store::sql::params;

/// Where a conversation stands in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationPlace {
    pub received_at: Timestamp,
    pub account: AccountId,
    pub id: String,
}

/// A conversation of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRow {
    /// When something was last received in it, for whom, and its id.
    pub place: ConversationPlace,
    pub group: String,
    pub filter: String,
}

/// Which messages of a conversation are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageQuery {
    pub account: AccountId,
    pub conversation: String,
    /// Those before this sequence.
    pub before: Option<u64>,
}

const MESSAGES: &str = "SELECT sequence FROM journal
    WHERE correlation_id = ?1 AND sequence < ?2 AND routing_key LIKE ?3
    ORDER BY sequence DESC LIMIT ?4";

/// Only what is asked for stands in the statement: else no index would be used.
fn listed_sql(of_account: bool, behind: bool) -> String {
    let of_account = if of_account { " AND account = ?1" } else { "" };
    let behind = match behind {
        true => " AND received_at <= ?2 AND (received_at, account, id) < (?2, ?3, ?4)",
        false => "",
    };
    format!(
        "SELECT received_at, account, id, route_group, route_filter FROM conversations
         WHERE received_at IS NOT NULL AND survivor IS NULL{of_account}{behind}
         ORDER BY received_at DESC, account DESC, id DESC LIMIT ?5"
    )
}

impl Tx<'_> {
    /// Conversations in which something was received, the newest first; of one account where
    /// given, those behind a place where given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn conversations_page(
        &self,
        of: Option<AccountId>,
        behind: Option<&ConversationPlace>,
        limit: usize,
    ) -> Result<Vec<ListedRow>, StoreError> {
        let sql = listed_sql(of.is_some(), behind.is_some());
        let params = params![
            of.map(account_key),
            behind.map(|place| millis(place.received_at)),
            behind.map(|place| account_key(place.account)),
            behind.map(|place| place.id.as_str()),
            count(limit)
        ];
        let rows = self.rows(&sql, params, |row| {
            let key: (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((key, row.get(3)?, row.get(4)?))
        })?;
        let typed = rows
            .into_iter()
            .map(|((at, id, conversation), group, filter)| {
                Ok(ListedRow {
                    place: ConversationPlace {
                        received_at: timestamp(at),
                        account: account(id)?,
                        id: conversation,
                    },
                    group,
                    filter,
                })
            });
        typed.collect()
    }

    /// Messages of a conversation, and of those that were merged into it, the newest first: what was
    /// received, sent, edited and deleted, while its body is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn messages_page(
        &self,
        query: &MessageQuery,
        limit: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let mut sequences = Vec::new();
        for id in self.parts_of(query)? {
            sequences.extend(self.message_sequences(query, &id, limit)?);
        }
        sequences.sort_unstable_by(|a, b| b.cmp(a));
        sequences.truncate(limit);
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE sequence = ?1");
        let mut rows = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            rows.extend(self.row(&sql, [stored(sequence)], read_row)?);
        }
        Ok(rows)
    }

    /// The conversation and those that were merged into it.
    fn parts_of(&self, query: &MessageQuery) -> Result<Vec<String>, StoreError> {
        let mut parts = vec![query.conversation.clone()];
        parts.extend(self.rows(
            "SELECT id FROM conversations WHERE account = ?1 AND survivor = ?2",
            params![account_key(query.account), query.conversation],
            |row| row.get(0),
        )?);
        Ok(parts)
    }

    fn message_sequences(
        &self,
        query: &MessageQuery,
        part: &str,
        limit: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let before = query.before.map_or(i64::MAX, stored);
        self.rows(
            MESSAGES,
            params![
                part,
                before,
                format!("message.%.{}", query.account),
                count(limit)
            ],
            |row| Ok(number(row.get(0)?)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::create;
    use crate::store::sqlite::schema::migrate;

    fn plan_of(sql: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = create(&folder.path().join("store.db")).unwrap();
        migrate(&mut conn).unwrap();
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let unbound = vec![rusqlite::types::Null; plan.parameter_count()];
        let steps = plan.query_map(rusqlite::params_from_iter(unbound), |row| row.get(3));
        let steps: Vec<String> = steps.unwrap().collect::<Result<_, _>>().unwrap();
        steps.join("\n")
    }

    #[test]
    fn no_list_goes_through_all_that_is_kept() {
        for behind in [false, true] {
            let plan = plan_of(&listed_sql(false, behind));
            assert!(plan.contains("conversations_received"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
        let plan = plan_of(MESSAGES);
        assert!(
            plan.contains("SEARCH") && plan.contains("journal_correlation"),
            "{plan}"
        );
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
