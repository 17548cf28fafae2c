//! Conversations that draw too many messages: what is beyond the filter's limit waits, and is
//! processed as any other delivery once somebody lets it through.

use bytes::Bytes;
use jiff::Timestamp;

use super::posts::Choice;
use super::threads::Place;
use super::work::{Arrival, Outcome, Report, Unwanted, Work, store_delivery};
use super::{Ingest, IngestError};
use crate::domain::account::Account;
use crate::domain::event::message_event_id;
use crate::domain::filter::{Refusal, Why};
use crate::domain::ids::{AccountId, ConversationId, MessageId, TweetId};
use crate::domain::message::Post;
use crate::domain::storm::StormLimit;
use crate::flow::sighting::Sighting;
use crate::flow::storm;
use crate::store::{Held, NewHeld, StoreError, StormRow};
use crate::x::normalize::normalize;

/// Messages let through in one transaction, and in one round: others must not wait behind them.
const BATCH: usize = 100;
const ROUND: usize = 1000;

/// What a filter's limit makes of a message.
pub(super) enum Weather {
    /// It is published.
    Calm,
    /// It is held back already.
    Known,
    /// It is to be held back.
    Storm(StormRow),
}

impl Work<'_, '_> {
    /// Counts a message that a filter wants, where that filter has a limit.
    pub(super) fn weather(
        &mut self,
        account: &Account,
        post: &Post,
        place: &Place,
        limit: StormLimit,
    ) -> Result<Weather, StoreError> {
        if self.is_released(account.id, post.id) {
            return Ok(Weather::Calm);
        }
        let id = &place.conversation;
        let stored = self.tx.storm(account.id, id)?;
        let mut row = stored.unwrap_or_else(|| StormRow::new(limit, self.at));
        if row.waiting && self.tx.is_held(account.id, post.id)? {
            return Ok(Weather::Known);
        }
        let cost = self.delivery(account, &post.message).cost;
        row.limit = limit;
        row.at = self.at;
        row.tally.add(&limit, cost, self.at);
        if let Some(storm) = &mut row.storm {
            storm.messages = storm.messages.saturating_add(1);
            storm.cost = storm.cost + cost;
        }
        let drawn = row.tally.drawn(&limit, self.at);
        if drawn.messages > limit.messages.get() && self.may_wait(account.id, place)? {
            row.storm.get_or_insert(drawn);
            row.waiting = true;
            return Ok(Weather::Storm(row));
        }
        self.tx.put_storm(account.id, id, &row)?;
        Ok(Weather::Calm)
    }

    /// Not where we have answered: nor where there is no more room. Better a busy helpdesk than a
    /// lost message.
    fn may_wait(&self, account: AccountId, place: &Place) -> Result<bool, StoreError> {
        if let Some(customer) = place.customer
            && self
                .tx
                .is_answered(account, &place.conversation, customer)?
        {
            return Ok(false);
        }
        let size = self.arrival.body.len() as u64;
        Ok(self.tx.held_bytes()? + size <= self.context.held_limit())
    }

    /// Holds a message back, and tells of the storm when that is due.
    pub(super) fn hold(
        &mut self,
        account: &Account,
        post: &Post,
        place: Place,
        choice: &Choice,
        mut row: StormRow,
    ) -> Result<Outcome, StoreError> {
        let conversation = place.conversation.clone();
        self.tx.hold_message(NewHeld {
            account: account.id,
            post: post.id,
            conversation: &conversation,
            app: self.arrival.app,
            received_at: self.arrival.received_at,
            body: self.arrival.body,
            at: self.at,
        })?;
        let refusal = Refusal {
            why: Why::Storm,
            filter: choice.route.as_ref().map(|route| route.filter.as_str()),
        };
        let candidate = self.candidate(account, post, &choice.relations);
        let reply = post.replied_to.is_some();
        let sighting = Sighting::of(&candidate, &conversation, reply, Some(refusal));
        self.remember(post, place, None)?;
        let id = MessageId::Post(post.original_id());
        let event = message_event_id(account.id, "message.received", &id);
        let unwanted = Unwanted {
            why: Why::Storm,
            sighting,
        };
        let outcome = self.unwanted(account, &post.message, event, &unwanted)?;
        if storm::is_due(&row, self.at) {
            let account = self.context.rules().account_ref(Some(account.id));
            let told = storm::tell(self.tx, account, conversation.clone(), &mut row, self.at)?;
            self.report.published.extend(told);
        }
        self.tx.put_storm(account.id, &conversation, &row)?;
        Ok(outcome)
    }

    /// Somebody let it through.
    pub(super) fn is_released(&self, account: AccountId, post: TweetId) -> bool {
        self.arrival.released == Some((account, post))
    }

    /// Whether the next message would be held back: then X is asked nothing for it.
    pub(super) fn is_stormy(
        &self,
        account: AccountId,
        conversation: &ConversationId,
        limit: StormLimit,
    ) -> Result<bool, StoreError> {
        let row = self.tx.storm(account, conversation)?;
        Ok(
            row.is_some_and(|row| {
                row.tally.drawn(&limit, self.at).messages >= limit.messages.get()
            }),
        )
    }
}

impl Ingest {
    /// Publishes messages held back that somebody let through, a thousand at most, in the order in
    /// which they came.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn release_held(&self) -> Result<usize, IngestError> {
        let mut done = 0;
        while done < ROUND {
            let held = self.store.read(|tx| tx.released(BATCH)).await?;
            let count = held.len();
            if count > 0 {
                let report = self.release_batch(held).await?;
                self.note(report);
            }
            done += count;
            if count < BATCH {
                break;
            }
        }
        Ok(done)
    }

    async fn release_batch(&self, batch: Vec<Held>) -> Result<Report, StoreError> {
        let context = self.context();
        let limit = self.store.settings().ingest_limit();
        self.store
            .write(move |tx| {
                let used = tx.used_bytes()?;
                if used > limit {
                    return Err(StoreError::Full { used, limit });
                }
                let mut report = Report::default();
                for held in batch {
                    tx.release_held(held.id)?;
                    let body = Bytes::from(held.body);
                    // It was an object when it came, and still is.
                    let Ok(delivery) = normalize(&body) else {
                        continue;
                    };
                    let arrival = Arrival {
                        app: &held.app,
                        body: &body,
                        received_at: held.received_at,
                        waited: true,
                        released: Some((held.account, held.post)),
                    };
                    let now = Timestamp::now();
                    report.merge(store_delivery(tx, &context, arrival, &delivery, now)?);
                }
                Ok(report)
            })
            .await
    }

    /// Tells of storms that go on, and ends those that are over.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn watch_storms(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.rules.now();
        let told = storm::watch(&self.store, |id| rules.account_ref(Some(id)), now).await?;
        self.note(Report {
            published: told,
            ..Report::default()
        });
        Ok(())
    }
}
