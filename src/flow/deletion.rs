//! A message is gone at X: the core hears of it once for each account, and our own copies go.
//!
//! What the broker has goes from the journal, and is not published again. What it does not have yet
//! goes out without its words, for no event is lost, and goes from the journal then.

use jiff::{SignedDuration, Timestamp};

use super::ingest::append;
use super::pseudonyms::Pseudonyms;
use crate::broker::redact;
use crate::domain::activity::ActivityEvent;
use crate::domain::event::{
    AccountRef, Conversation, Customer, Deleted, DetectedBy, Event, GoneBecause, Payload,
    message_event_id,
};
use crate::domain::filter::FOLLOWED_FOR;
use crate::domain::ids::{
    AccountId, ConversationId, EventId, MessageId, MessageNumber, TweetId, UserId,
};
use crate::store::{Deliveries, Delivery, Leaving, PostRow, Store, StoreError, Tx};
use crate::x::normalize::normalize;

/// How long a core has to redact what is gone.
/// Source: X's developer policy, 24 hours after a request.
const REDACT_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Messages, and kept deliveries, looked at in one go.
const MESSAGES: usize = 1000;
const DELIVERIES: usize = 20;
/// Events that show a message, by type.
const SHOWN_BY: [&str; 2] = ["message.received", "message.sent"];

/// A message that is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    /// Any version of it.
    pub id: MessageId,
    /// Where it is known.
    pub author: Option<UserId>,
    pub reason: GoneBecause,
    pub detected_by: DetectedBy,
    /// When it went, or was found to be gone.
    pub time: Timestamp,
    /// Where a direct message stood; of posts it is known.
    pub conversation: Option<(ConversationId, Option<UserId>)>,
}

impl Gone {
    /// A post that is gone.
    pub fn post(
        id: TweetId,
        reason: GoneBecause,
        detected_by: DetectedBy,
        time: Timestamp,
    ) -> Self {
        Self {
            id: MessageId::Post(id),
            author: None,
            reason,
            detected_by,
            time,
            conversation: None,
        }
    }
}

/// Tells an account's core that a message is gone, and blanks the account's copies. Unless X itself
/// told the account so, only of a message that was published for it. Once: a repeat changes nothing
/// but copies that came since. The event's id, where it is new.
///
/// # Errors
/// When the store cannot be written.
pub fn note(
    tx: &mut Tx<'_>,
    account: &AccountRef,
    gone: &Gone,
    at: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let event = announce(tx, account, gone, at)?;
    if let Some(id) = account.id {
        let known = Known::read(tx, id, gone)?;
        blank(tx, id, &known.original, at)?;
    }
    Ok(event)
}

/// As [`note`], without blanking.
///
/// # Errors
/// When the store cannot be written.
pub(crate) fn announce(
    tx: &mut Tx<'_>,
    account: &AccountRef,
    gone: &Gone,
    at: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let Some(id) = account.id else {
        return Ok(None);
    };
    let known = Known::read(tx, id, gone)?;
    if gone.detected_by == DetectedBy::Webhook || is_published(tx, id, &known.original)? {
        return tell(tx, account, gone, &known, at);
    }
    Ok(None)
}

/// What is known of a message that is gone.
struct Known {
    original: MessageId,
    row: Option<PostRow>,
}

impl Known {
    fn read(tx: &Tx<'_>, account: AccountId, gone: &Gone) -> Result<Self, StoreError> {
        let row = match gone.id {
            MessageId::Post(id) => tx.post(account, id)?,
            MessageId::DirectMessage(_) | MessageId::Encrypted(_) => None,
        };
        let original = row.as_ref().and_then(|row| row.original);
        Ok(Self {
            original: original.map_or_else(|| gone.id.clone(), MessageId::Post),
            row,
        })
    }
}

fn is_published(tx: &Tx<'_>, account: AccountId, original: &MessageId) -> Result<bool, StoreError> {
    for event_type in SHOWN_BY {
        let seen = tx.seen(message_event_id(account, event_type, original))?;
        if seen.is_some_and(|seen| seen.wanted) {
            return Ok(true);
        }
    }
    // The thread outlives the duplicate check.
    match original {
        MessageId::Post(id) => Ok(tx
            .post(account, *id)?
            .is_some_and(|row| row.event.is_some())),
        MessageId::DirectMessage(_) | MessageId::Encrypted(_) => Ok(false),
    }
}

fn tell(
    tx: &mut Tx<'_>,
    account: &AccountRef,
    gone: &Gone,
    known: &Known,
    at: Timestamp,
) -> Result<Option<EventId>, StoreError> {
    let Some(conversation) = conversation(tx, account, gone, known, at)? else {
        return Ok(None);
    };
    let author = known.row.as_ref().and_then(|row| row.author);
    let event = Event {
        account: account.clone(),
        time: gone.time,
        backfilled: false,
        payload: Payload::MessageDeleted(Deleted {
            conversation,
            id: gone.id.clone(),
            original_id: known.original.clone(),
            author_id: gone.author.or(author),
            reason: gone.reason,
            detected_by: gone.detected_by,
            redact_by: redact_by(at),
        }),
    };
    let id = event.id();
    if tx.seen(id)?.is_some_and(|seen| seen.wanted) {
        return Ok(None);
    }
    append(tx, id, event, at).map(|_| Some(id))
}

/// By when a core has to redact what is found to be gone now.
pub(crate) fn redact_by(at: Timestamp) -> Timestamp {
    at.saturating_add(REDACT_WITHIN).unwrap_or(at)
}

fn conversation(
    tx: &Tx<'_>,
    account: &AccountRef,
    gone: &Gone,
    known: &Known,
    at: Timestamp,
) -> Result<Option<Conversation>, StoreError> {
    let Some(account) = account.id else {
        return Ok(None);
    };
    let (id, customer) = match (&gone.conversation, &gone.id) {
        (Some((id, customer)), _) => (id.clone(), *customer),
        (None, MessageId::Post(id)) => {
            let thread = known.row.as_ref().map_or(*id, |row| row.thread);
            let thread = tx.survivor(account, &ConversationId::Thread(thread))?;
            (thread, known.row.as_ref().and_then(|row| row.customer))
        }
        (None, MessageId::DirectMessage(_) | MessageId::Encrypted(_)) => return Ok(None),
    };
    let since = at.saturating_sub(FOLLOWED_FOR).unwrap_or(at);
    let related = match customer {
        Some(customer) => tx.related(account, customer, &id, since)?,
        None => Vec::new(),
    };
    Ok(Some(Conversation {
        id,
        customer: customer.map(|id| Customer {
            id,
            username: String::new(),
        }),
        related,
    }))
}

/// Blanks what is kept of a message for an account; kept deliveries of it go with the next
/// clean-up.
///
/// # Errors
/// When the store cannot be written.
pub fn blank(
    tx: &Tx<'_>,
    account: AccountId,
    original: &MessageId,
    at: Timestamp,
) -> Result<(), StoreError> {
    for id in versions(tx, account, original)? {
        if let Some(row) = tx.event(id)? {
            let redacted = redact::without_message(&row.event_type, &row.body);
            retire(tx, row.sequence, redacted.as_deref(), None, at)?;
        }
    }
    if let MessageId::Post(id) = original {
        let received = message_event_id(account, "message.received", original);
        tx.forget_unpublished(account, *id, received)?;
    }
    if let Some(number) = number(original) {
        tx.let_deliveries_go(number, at)?;
    }
    Ok(())
}

fn number(id: &MessageId) -> Option<MessageNumber> {
    match id {
        MessageId::Post(id) => Some((*id).into()),
        MessageId::DirectMessage(id) => Some((*id).into()),
        MessageId::Encrypted(_) => None,
    }
}

/// The events that showed a message: of its first version, and of every later one.
fn versions(
    tx: &Tx<'_>,
    account: AccountId,
    original: &MessageId,
) -> Result<Vec<EventId>, StoreError> {
    let mut events: Vec<_> = SHOWN_BY
        .map(|event_type| message_event_id(account, event_type, original))
        .into();
    let MessageId::Post(id) = original else {
        return Ok(events);
    };
    let Some(newest) = tx.post(account, *id)?.and_then(|row| row.event) else {
        return Ok(events);
    };
    events.push(newest);
    let body = tx.event(newest)?;
    let body: Option<serde_json::Value> =
        body.and_then(|row| serde_json::from_slice(&row.body).ok());
    let history = body.as_ref().and_then(|body| {
        let history = body.pointer("/message/edit_history")?;
        history.as_array()
    });
    let versions = history.into_iter().flatten().filter_map(|id| id.as_str());
    events.extend(versions.filter_map(|id| {
        let id = MessageId::Post(id.parse().ok()?);
        Some(message_event_id(account, "message.edited", &id))
    }));
    Ok(events)
}

/// Takes an event out of the journal, at once where the broker has it; else it goes out as
/// `redacted` first. With `forget`, a keyed hash takes the place of its id.
///
/// # Errors
/// When the store cannot be written.
pub(crate) fn retire(
    tx: &Tx<'_>,
    sequence: u64,
    redacted: Option<&[u8]>,
    forget: Option<(&Pseudonyms, EventId)>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let hash = forget.map(|(pseudonyms, id)| pseudonyms.event(id));
    if let Some(hash) = hash {
        tx.remember_erased(hash, at)?;
    }
    if tx.is_published(sequence)? {
        tx.erase_event(sequence)?;
        return match hash {
            Some(hash) => tx.forget_seen(sequence, hash),
            None => Ok(()),
        };
    }
    if let Some(redacted) = redacted {
        tx.replace_body(sequence, redacted)?;
    }
    tx.let_go(Leaving::Event, sequence, at, hash)
}

/// Removes kept deliveries of messages that are gone; whether there were such messages.
///
/// # Errors
/// When the store cannot be used.
pub(crate) async fn erase_kept_deliveries(store: &Store) -> Result<bool, StoreError> {
    let mut any = false;
    loop {
        let gone = store.read(|tx| tx.leaving_messages(MESSAGES)).await?;
        if gone.is_empty() {
            return Ok(any);
        }
        any = true;
        for kept in Deliveries::ALL {
            // What waits for a moment is stopped where it would be published.
            if kept != Deliveries::Echoes {
                erase_deliveries_of(store, kept, &gone).await?;
            }
        }
        store
            .write(move |tx| {
                let mut gone = gone.iter();
                gone.try_for_each(|number| tx.has_left(Leaving::Message, *number))
            })
            .await?;
    }
}

async fn erase_deliveries_of(
    store: &Store,
    kept: Deliveries,
    gone: &[u64],
) -> Result<(), StoreError> {
    let numbers: Vec<_> = gone.iter().map(u64::to_string).collect();
    let mut after = 0;
    loop {
        let of = numbers.clone();
        let read = move |tx: &Tx<'_>| tx.deliveries_naming(kept, &of, after, DELIVERIES);
        let page = store.read(read).await?;
        let ids = page.rows.iter().filter(|delivery| is_of(delivery, gone));
        let ids: Vec<_> = ids.map(|delivery| delivery.id).collect();
        if !ids.is_empty() {
            store
                .write(move |tx| ids.iter().try_for_each(|id| tx.erase_delivery(kept, *id)))
                .await?;
        }
        match page.last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

/// Whether a delivery tells one of these messages itself, or cannot be understood. Of what others
/// wrote below it nothing may be lost.
fn is_of(kept: &Delivery, gone: &[u64]) -> bool {
    let Ok(delivery) = normalize(&kept.body) else {
        return true;
    };
    let tells = delivery.activities.iter().any(|it| match &it.event {
        ActivityEvent::Post(post) => gone.contains(&post.id.get()),
        ActivityEvent::Direct(direct) => {
            number(&direct.message.id).is_some_and(|id| gone.contains(&id.get()))
        }
        _ => false,
    });
    tells || !delivery.rejected.is_empty()
}

/// Whether a message that somebody else wrote was found to be gone, or one was erased: it must not
/// come back.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn is_gone(
    tx: &Tx<'_>,
    pseudonyms: &Pseudonyms,
    account: AccountId,
    (original, author): (&MessageId, UserId),
) -> Result<bool, StoreError> {
    // The core hears of our own messages in any case: a command may have made them.
    if author != account.0 {
        let gone = tx.seen(message_event_id(account, "message.deleted", original))?;
        if gone.is_some() {
            return Ok(true);
        }
    }
    was_erased(tx, pseudonyms, account, original)
}

fn was_erased(
    tx: &Tx<'_>,
    pseudonyms: &Pseudonyms,
    account: AccountId,
    original: &MessageId,
) -> Result<bool, StoreError> {
    if !tx.any_erased()? {
        return Ok(false);
    }
    for event_type in SHOWN_BY {
        let id = message_event_id(account, event_type, original);
        if tx.is_erased(pseudonyms.event(id))? {
            return Ok(true);
        }
    }
    Ok(false)
}
