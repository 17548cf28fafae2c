//! What is known of the message that a command answers.

use super::plan::PlannedCustomer;
use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::store::{StoreError, Tx};

/// A post, as far as it was delivered.
#[derive(Clone, Debug, Default)]
pub(super) struct Parent {
    pub conversation: Option<ConversationId>,
    pub customer: Option<PlannedCustomer>,
    /// Whether its author named or quoted the account in it; `None` where it was not published.
    pub summons: Option<bool>,
}

/// What the account's deliveries said of a post.
pub(super) fn post(tx: &Tx<'_>, account: AccountId, id: TweetId) -> Result<Parent, StoreError> {
    let Some(row) = tx.post(account, id)? else {
        return Ok(Parent::default());
    };
    let thread = tx.survivor(account, &ConversationId::Thread(row.thread))?;
    let event = row
        .event
        .map(|event| body(tx, event))
        .transpose()?
        .flatten();
    let username = event.as_ref().and_then(|body| {
        let name = body.pointer("/conversation/customer/username")?.as_str()?;
        Some(name.to_owned())
    });
    Ok(Parent {
        conversation: Some(thread),
        customer: row.customer.map(|id| PlannedCustomer {
            id,
            username: username.unwrap_or_default(),
        }),
        summons: event.as_ref().map(|body| summons(body, account)),
    })
}

/// `reply.permission` and its reason, as the core was told with the post; `None` where it was not
/// published, or is no longer kept.
pub(super) fn permission(
    tx: &Tx<'_>,
    account: AccountId,
    id: TweetId,
) -> Result<Option<(String, String)>, StoreError> {
    let event = tx.post(account, id)?.and_then(|row| row.event);
    let body = event.map(|event| body(tx, event)).transpose()?.flatten();
    Ok(body.and_then(|body| {
        let word = |name| Some(body.pointer(name)?.as_str()?.to_owned());
        Some((word("/reply/permission")?, word("/reply/reason")?))
    }))
}

fn body(tx: &Tx<'_>, event: EventId) -> Result<Option<serde_json::Value>, StoreError> {
    let row = tx.event(event)?;
    Ok(row.and_then(|row| serde_json::from_slice(&row.body).ok()))
}

/// Whether the author of a published message named the account in it, or quoted a post of it.
/// Source: "Summoned replies" in X's "Manage posts".
fn summons(body: &serde_json::Value, account: AccountId) -> bool {
    let account = account.to_string();
    let quotes = body
        .pointer("/message/relations")
        .and_then(|it| it.as_array())
        .is_some_and(|relations| relations.iter().any(|it| it == "QUOTE"));
    let names = body
        .pointer("/message/mentions")
        .and_then(|it| it.as_array())
        .is_some_and(|mentions| {
            mentions
                .iter()
                .any(|it| it["id"] == account.as_str() && it["explicit"] == true)
        });
    quotes || names
}

/// The other side of a conversation of two.
pub(super) fn other_side(account: AccountId, conversation: &ConversationId) -> Option<UserId> {
    match conversation {
        ConversationId::DirectMessage(pair) | ConversationId::Encrypted(pair) => {
            pair.other(account.0)
        }
        _ => None,
    }
}
