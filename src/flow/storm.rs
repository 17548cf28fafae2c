//! Storms: when the core is told of one, when one is over, and how somebody lets through what was
//! held back. Which messages are is decided where they are taken in, see `ingest`.

use jiff::{SignedDuration, Timestamp};

use crate::domain::event::{AccountRef, Conversation, Event, Payload, Storm};
use crate::domain::ids::{AccountId, ConversationId, EventId};
use crate::store::{Store, StoreError, StormRow, Tx};

/// The core hears of a conversation's storm no more often than that, its end included (issue:
/// "every 5 minutes at most").
pub const TELL_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Storms looked at in one round.
const AT_ONCE: usize = 1000;

/// An event that was written: its id, type and kind.
pub(crate) type Told = (EventId, &'static str, &'static str);

/// Asks the running service to let through what is held back in a conversation, of one account where
/// given; how many messages. They go out in the order in which they came.
///
/// # Errors
/// When the store cannot be written.
pub async fn release(
    store: &Store,
    account: Option<AccountId>,
    conversation: ConversationId,
) -> Result<u64, StoreError> {
    store
        .write(move |tx| tx.request_release(account, &conversation))
        .await
}

/// Whether the core may hear of the storm now.
pub(crate) fn is_due(row: &StormRow, at: Timestamp) -> bool {
    row.told
        .is_none_or(|(told, _)| at.duration_since(told) >= TELL_EVERY)
}

/// Writes `conversation.storm`, if there is a storm.
pub(crate) fn tell(
    tx: &mut Tx<'_>,
    account: AccountRef,
    conversation: ConversationId,
    row: &mut StormRow,
    at: Timestamp,
) -> Result<Option<Told>, StoreError> {
    let (Some(drawn), Some(id)) = (row.storm, account.id) else {
        return Ok(None);
    };
    let held = tx.held_count(id, &conversation, drawn.since)?;
    let payload = Payload::ConversationStorm(Storm {
        conversation: Conversation {
            id: conversation,
            customer: None,
            related: Vec::new(),
        },
        drawn,
        held,
        at,
    });
    row.told = Some((at, drawn.messages));
    let (event_type, kind) = (payload.event_type(), payload.kind());
    let event = Event {
        account,
        time: at,
        backfilled: false,
        payload,
    };
    let id = event.id();
    super::ingest::append(tx, id, event, at)?;
    Ok(Some((id, event_type, kind)))
}

/// Tells of storms that have grown, and a last time of those that are over.
///
/// # Errors
/// When the store cannot be used.
pub(crate) async fn watch(
    store: &Store,
    account_ref: impl Fn(AccountId) -> AccountRef,
    now: Timestamp,
) -> Result<Vec<Told>, StoreError> {
    let mut all = Vec::new();
    for (id, conversation, row) in store.read(|tx| tx.storms(AT_ONCE)).await? {
        if next(&row, now) == Next::Nothing {
            continue;
        }
        let account = account_ref(id);
        let told = store.write(move |tx| go_on(tx, account, id, conversation, now));
        all.extend(told.await?);
    }
    Ok(all)
}

/// What is to be done about a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Tell,
    End,
}

fn next(row: &StormRow, now: Timestamp) -> Next {
    let Some(storm) = row.storm.filter(|_| is_due(row, now)) else {
        return Next::Nothing;
    };
    let drawn = row.tally.drawn(&row.limit, now).messages;
    if drawn <= row.limit.messages.get() {
        return Next::End;
    }
    match row.told {
        Some((_, told)) if told == storm.messages => Next::Nothing,
        _ => Next::Tell,
    }
}

/// Decides again, as more may have come since.
fn go_on(
    tx: &mut Tx<'_>,
    account: AccountRef,
    id: AccountId,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<Option<Told>, StoreError> {
    let Some(mut row) = tx.storm(id, &conversation)? else {
        return Ok(None);
    };
    let next = next(&row, now);
    if next == Next::Nothing {
        return Ok(None);
    }
    let told = tell(tx, account, conversation.clone(), &mut row, now)?;
    if next == Next::End {
        row.storm = None;
    }
    tx.put_storm(id, &conversation, &row)?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::domain::money::Usd;
    use crate::domain::storm::StormLimit;
    use crate::store::NewHeld;

    const LIMIT: StormLimit = StormLimit {
        messages: NonZeroU32::new(2).unwrap(),
        per: Duration::from_hours(1),
    };

    fn account() -> AccountId {
        AccountId("2975699229".parse().unwrap())
    }

    fn acme(id: AccountId) -> AccountRef {
        AccountRef {
            id: Some(id),
            username: "acme".to_owned(),
        }
    }

    fn thread() -> ConversationId {
        "post:7".parse().unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn open() -> (TempDir, Store) {
        let folder = TempDir::new().unwrap();
        let store = Store::open_in(folder.path());
        (folder, store)
    }

    /// Messages at these seconds, those beyond the limit held back.
    async fn draw(store: &Store, seconds: &[i64]) {
        let seconds = seconds.to_vec();
        let come = move |tx: &mut Tx<'_>| {
            for second in seconds {
                let now = at(second);
                let stored = tx.storm(account(), &thread())?;
                let mut row = stored.unwrap_or_else(|| StormRow::new(LIMIT, now));
                let cost = Usd::from_micros(5000);
                row.tally.add(&LIMIT, cost, now);
                if let Some(storm) = &mut row.storm {
                    storm.messages += 1;
                    storm.cost = storm.cost + cost;
                }
                let drawn = row.tally.drawn(&LIMIT, now);
                if drawn.messages > 2 {
                    row.storm.get_or_insert(drawn);
                    let post = u64::try_from(1000 + second).unwrap();
                    tx.hold_message(NewHeld {
                        account: account(),
                        post: post.to_string().parse().unwrap(),
                        conversation: &thread(),
                        app: "acme",
                        received_at: now,
                        body: b"{}",
                        at: now,
                    })?;
                }
                tx.put_storm(account(), &thread(), &row)?;
            }
            Ok(())
        };
        store.write(come).await.unwrap();
    }

    /// Messages and held of the events written, oldest first.
    async fn told(store: &Store) -> Vec<(u64, u64, String)> {
        let events = store.read(|tx| tx.newest_events(100)).await.unwrap();
        let read = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).unwrap();
            let number = |key: &str| body[key].as_u64().unwrap();
            let cost = body["cost_usd"].as_str().unwrap().to_owned();
            (number("messages"), number("held"), cost)
        };
        let told = events.iter().rev();
        told.map(|event| read(&event.body)).collect()
    }

    #[tokio::test]
    async fn a_storm_is_told_of_every_five_minutes_while_it_grows_and_when_it_is_over() {
        let (_folder, store) = open();
        draw(&store, &[0, 1, 2, 3]).await;
        watch(&store, acme, at(3)).await.unwrap();
        draw(&store, &[4]).await;
        watch(&store, acme, at(302)).await.unwrap();
        assert_eq!(told(&store).await, [(4, 2, "0.020".to_owned())]);
        watch(&store, acme, at(303)).await.unwrap();
        assert_eq!(told(&store).await[1..], [(5, 3, "0.025".to_owned())]);
        watch(&store, acme, at(700)).await.unwrap();
        assert_eq!(told(&store).await.len(), 2, "nothing has come since");
        watch(&store, acme, at(3700)).await.unwrap();
        assert_eq!(told(&store).await[2..], [(5, 3, "0.025".to_owned())]);
        watch(&store, acme, at(9000)).await.unwrap();
        assert_eq!(told(&store).await.len(), 3, "it is over");
        let storms = store.read(|tx| tx.storms(9)).await.unwrap();
        assert!(storms.is_empty());
    }

    #[tokio::test]
    async fn what_is_held_back_is_let_through_by_conversation_and_account() {
        let (_folder, store) = open();
        draw(&store, &[0, 1, 2, 3]).await;
        let other = Some(AccountId("1".parse().unwrap()));
        assert_eq!(release(&store, other, thread()).await.unwrap(), 0);
        let conversation = "post:8".parse().unwrap();
        assert_eq!(release(&store, None, conversation).await.unwrap(), 0);
        assert_eq!(release(&store, None, thread()).await.unwrap(), 2);
        let held = store.read(|tx| tx.released(9)).await.unwrap();
        let posts: Vec<_> = held.iter().map(|held| held.post.to_string()).collect();
        assert_eq!(posts, ["1002", "1003"]);
    }

    #[tokio::test]
    async fn a_merge_takes_along_what_is_held_back_and_what_was_answered() {
        let (_folder, store) = open();
        draw(&store, &[0, 1, 2, 3]).await;
        let survivor: ConversationId = "post:3".parse().unwrap();
        let into = survivor.clone();
        let merge = move |tx: &mut Tx<'_>| {
            let customer = "5".parse().unwrap();
            tx.note_answered(account(), &thread(), customer, at(0))?;
            tx.merge_conversation(account(), &thread(), &into, at(1))?;
            tx.merge_storms(account(), &thread(), &into)?;
            assert!(tx.is_answered(account(), &into, customer)?);
            assert!(tx.storm(account(), &thread())?.is_none());
            tx.storm(account(), &into)
        };
        let row = store.write(merge).await.unwrap().unwrap();
        assert!(row.waiting && row.storm.is_some());
        let held = store.read(|tx| tx.held_conversations(9)).await.unwrap();
        assert_eq!(held[0].conversation, survivor.name());
        // By the id that it was told of with, too.
        assert_eq!(release(&store, None, thread()).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn bytes_held_back_are_counted_until_they_are_gone() {
        let (_folder, store) = open();
        draw(&store, &[0, 1, 2, 3]).await;
        let bytes = async || store.read(|tx| tx.held_bytes()).await.unwrap();
        assert_eq!(bytes().await, 4);
        store.write(|tx| tx.prune_held(at(3), 9)).await.unwrap();
        assert_eq!(bytes().await, 2);
    }

    #[tokio::test]
    async fn calm_conversations_are_forgotten_but_not_while_something_waits() {
        let (_folder, store) = open();
        draw(&store, &[0, 1, 2]).await;
        let calm = |tx: &mut Tx<'_>| {
            let mut row = tx.storm(account(), &thread())?.unwrap();
            row.storm = None;
            row.waiting = true;
            tx.put_storm(account(), &thread(), &row)
        };
        store.write(calm).await.unwrap();
        let prune = async || {
            let prune = |tx: &mut Tx<'_>| tx.prune_storms(at(9000), at(0), 9);
            store.write(prune).await.unwrap()
        };
        assert_eq!(prune().await, 0);
        store.write(|tx| tx.prune_held(at(9), 9)).await.unwrap();
        assert_eq!(prune().await, 1);
    }
}
