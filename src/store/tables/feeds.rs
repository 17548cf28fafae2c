//! How far the reads of X beside its webhooks have come.

use jiff::Timestamp;

use super::tx::{Tx, millis, number, stored, timestamp};
use crate::domain::ids::TweetId;
use crate::store::StoreError;
use crate::store::sql::params;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// Recent search for an account's terms.
    Search,
    /// An account's mentions timeline.
    Mentions,
    /// An app's filtered stream.
    Stream,
}

impl Feed {
    /// As stored and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Mentions => "mentions",
            Self::Stream => "stream",
        }
    }
}

/// How far one read has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedMark {
    /// Of a search; empty for all else.
    pub query: String,
    /// The newest post that it brought, and when it did.
    pub newest: Option<(TweetId, Timestamp)>,
    /// All older ones are here, or are not wanted.
    pub complete_until: Timestamp,
}

impl Tx<'_> {
    /// How far the reads of a subject (an account's id, an app's name) have come.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn feed_marks(&self, feed: Feed, subject: &str) -> Result<Vec<FeedMark>, StoreError> {
        self.rows(
            "SELECT query, post, post_at, complete_until FROM feed_marks
             WHERE feed = ?1 AND subject = ?2 ORDER BY query",
            [feed.name(), subject],
            |row| {
                let post = row.get::<Option<i64>>(1)?;
                let post = post.and_then(|id| TweetId::from_number(number(id)));
                let at = row.get::<Option<i64>>(2)?.map(timestamp);
                Ok(FeedMark {
                    query: row.get(0)?,
                    newest: post.zip(at),
                    complete_until: timestamp(row.get(3)?),
                })
            },
        )
    }

    /// Notes how far one read has come.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_feed_mark(
        &self,
        feed: Feed,
        subject: &str,
        mark: &FeedMark,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO feed_marks (feed, subject, query, post, post_at, complete_until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (feed, subject, query) DO UPDATE SET
               post = excluded.post, post_at = excluded.post_at,
               complete_until = excluded.complete_until",
            params![
                feed.name(),
                subject,
                mark.query,
                mark.newest.map(|(post, _)| stored(post.get())),
                mark.newest.map(|(_, at)| millis(at)),
                millis(mark.complete_until),
            ],
        )
    }

    /// Forgets one read, or all of a subject where no query is named.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_feed(
        &self,
        feed: Feed,
        subject: &str,
        query: Option<&str>,
    ) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM feed_marks
             WHERE feed = ?1 AND subject = ?2 AND (query = ?3 OR ?3 IS NULL)",
            params![feed.name(), subject, query],
        )
    }
}
