//! What X has of our accounts since the backup, and no command of ours has claimed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::time;
use crate::domain::activity::{Activity, ActivityEvent};
use crate::domain::ids::{AccountId, MessageId, MessageNumber};
use crate::flow::reconcile::{self, Trace};
use crate::store::{SendKind, SendRow, StoreError, Tx};

/// How the keys begin under which it is kept: a list for each place, lest much be read for one
/// command.
pub(super) const PREFIX: &str = "restored.found.";

/// A message at X.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Message {
    /// First, so that they sort by age.
    id: u64,
    /// Milliseconds since 1970.
    at: i64,
    text: String,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    kind: SendKind,
    /// As [`SendRow::target`].
    target: String,
}

impl Place {
    fn key(&self, account: AccountId) -> String {
        let Self { kind, target } = self;
        format!("{PREFIX}{account}.{}.{target}", kind.name())
    }
}

/// The account's own message in an activity, made at `since` or later.
pub(super) fn own(
    account: AccountId,
    activity: &Activity,
    since: Timestamp,
) -> Option<(Place, Message)> {
    let (kind, target, message) = match &activity.event {
        ActivityEvent::Post(post) if post.reposted.is_none() => {
            let parent = post.replied_to.as_ref();
            let target = parent.map(|parent| parent.id.to_string());
            (SendKind::Post, target.unwrap_or_default(), &post.message)
        }
        ActivityEvent::Direct(direct) => {
            let target = direct.conversation.to_string();
            (SendKind::DirectMessage, target, &direct.message)
        }
        _ => return None,
    };
    let id: MessageNumber = match &message.id {
        MessageId::Post(id) => (*id).into(),
        MessageId::DirectMessage(id) => (*id).into(),
        MessageId::Encrypted(_) => return None,
    };
    let is_own = message.author.id == account.0 && message.created_at >= since;
    is_own.then(|| {
        let found = Message {
            id: id.get(),
            at: message.created_at.as_millisecond(),
            text: message.text.clone(),
        };
        (Place { kind, target }, found)
    })
}

/// Keeps what was found in one place, but for what a command of ours is known to have made.
pub(super) fn keep(
    tx: &Tx<'_>,
    account: AccountId,
    place: &Place,
    found: Vec<Message>,
) -> Result<(), StoreError> {
    let mut unclaimed = Vec::with_capacity(found.len());
    for message in found {
        let id = MessageNumber::from_number(message.id);
        let claimed = match id {
            Some(id) => tx.send_of(account, place.kind, id)?.is_some(),
            None => true,
        };
        if !claimed {
            unclaimed.push(message);
        }
    }
    unclaimed.sort();
    unclaimed.dedup_by_key(|message| message.id);
    put(tx, &place.key(account), &unclaimed)
}

/// Takes the oldest message that this send may have made; nobody else gets it.
pub(in crate::flow) fn take(
    tx: &Tx<'_>,
    send: &SendRow,
) -> Result<Option<MessageNumber>, StoreError> {
    let place = Place {
        kind: send.kind,
        target: send.target.clone(),
    };
    let key = place.key(send.account);
    let Some(kept) = tx.meta(&key)? else {
        return Ok(None);
    };
    let kept: Vec<Message> =
        serde_json::from_str(&kept).map_err(|_damaged| StoreError::Corrupt {
            what: "list of what X has",
            value: key.clone(),
        })?;
    let mut rest = Vec::with_capacity(kept.len());
    let mut taken = None;
    for message in kept {
        let trace = Trace {
            kind: send.kind,
            created_at: time(message.at),
            text: &message.text,
        };
        let id = MessageNumber::from_number(message.id).filter(|_| taken.is_none());
        match id.filter(|_| reconcile::may_have_made(send, &trace)) {
            // Its echo may have been recognised since.
            Some(id) if tx.send_of(send.account, send.kind, id)?.is_none() => taken = Some(id),
            _ => rest.push(message),
        }
    }
    if taken.is_some() {
        put(tx, &key, &rest)?;
    }
    Ok(taken)
}

fn put(tx: &Tx<'_>, key: &str, messages: &[Message]) -> Result<(), StoreError> {
    match messages {
        [] => tx.forget_meta(key),
        // Numbers and strings always make JSON.
        some => tx.set_meta(key, &serde_json::to_string(some).unwrap_or_default()),
    }
}

/// Whether a message was made before `since`: lists begin with the newest.
pub(super) fn is_older(activity: &Activity, since: Timestamp) -> bool {
    match &activity.event {
        ActivityEvent::Post(post) => post.message.created_at < since,
        ActivityEvent::Direct(direct) => direct.message.created_at < since,
        _ => false,
    }
}
