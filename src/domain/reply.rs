//! Whether X lets an account answer a message, as far as what was delivered tells.

use super::account::Tier;
use super::event::{Permission, RefusedBecause, ReplyAdvice};
use super::filter::Relation;
use super::message::{Message, MessageKind, Post, ReplySettings};
use super::price::CallPrices;
use super::text::DIRECT_MESSAGE_LIMIT;

/// Advice on replying to a post. `named` tells whether its author names the account explicitly;
/// `max_length` is the account's, in weighted characters.
pub fn to_post(
    tier: Tier,
    named: bool,
    post: &Post,
    relations: &[Relation],
    max_length: u32,
    prices: &CallPrices,
) -> ReplyAdvice {
    let summoned = named || relations.contains(&Relation::Quote);
    ReplyAdvice {
        permission: post_permission(tier, summoned, post, relations),
        max_length,
        estimated_cost: if summoned {
            prices.summoned_reply
        } else {
            prices.post
        },
        estimated_cost_with_link: prices.post_with_url,
    }
}

/// Source: "Summoned replies" in X's "Manage posts": since 2026-02-23 a self-serve app may answer
/// only who mentions the account or quotes one of its posts in that very post.
fn post_permission(tier: Tier, summoned: bool, post: &Post, relations: &[Relation]) -> Permission {
    if post.author_blocked {
        return Permission::Refused(RefusedBecause::Blocked);
    }
    let restricted = post.reply_settings == ReplySettings::Restricted;
    match (tier, summoned) {
        // Whom the author lets reply is not told with the post; a mention usually does.
        (Tier::Enterprise, false) if restricted => {
            Permission::Unknown(Some(RefusedBecause::RepliesRestricted))
        }
        (Tier::Enterprise, _) | (Tier::SelfServe, true) => Permission::Allowed,
        // X does not say whether the mention that a reply inherits counts as one.
        (Tier::SelfServe, false) if relations.contains(&Relation::Mention) => {
            Permission::Unknown(Some(RefusedBecause::NotSummoned))
        }
        (Tier::SelfServe, false) => Permission::Refused(RefusedBecause::NotSummoned),
    }
}

/// Advice on answering a direct or encrypted message.
pub fn to_direct(message: &Message, prices: &CallPrices) -> ReplyAdvice {
    match message.kind() {
        MessageKind::EncryptedMessage => ReplyAdvice {
            permission: Permission::Refused(RefusedBecause::Encrypted),
            max_length: 0,
            estimated_cost: prices.direct_message,
            estimated_cost_with_link: prices.direct_message,
        },
        MessageKind::Post | MessageKind::DirectMessage => ReplyAdvice {
            permission: Permission::Allowed,
            max_length: DIRECT_MESSAGE_LIMIT as u32,
            estimated_cost: prices.direct_message,
            estimated_cost_with_link: prices.direct_message,
        },
    }
}
