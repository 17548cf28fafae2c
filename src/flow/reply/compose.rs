//! The texts that a command sends, part by part, and what they cost.

use crate::domain::account::{Account, Tier};
use crate::domain::attachment::{Target, check_count};
use crate::domain::command::{
    Command, Failure, FailureCode, SendDirectMessage, SendPost, WhenTooLong,
};
use crate::domain::ids::ConversationId;
use crate::domain::money::Usd;
use crate::domain::text::{
    CannotSplit, DIRECT_MESSAGE_LIMIT, cashtags, invalid_characters, split, split_plain, weigh,
    with_suffix,
};

use super::parent::{Parent, other_side};
use crate::flow::rules::Rules;

/// What goes out, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Composed {
    pub parts: Vec<String>,
    /// Millionths of a USD for each.
    pub prices: Vec<u64>,
}

fn refuse(code: FailureCode, field: &str, detail: impl Into<String>) -> Failure {
    Failure {
        code,
        field: field.to_owned(),
        detail: detail.into(),
    }
}

/// The posts of `send_post`.
pub(super) fn post(
    rules: &Rules,
    account: &Account,
    command: &Command,
    post: &SendPost,
    parent: &Parent,
) -> Result<Composed, Failure> {
    let tier = rules.tier(account);
    if post.quote.is_some() && tier == Tier::SelfServe {
        let detail = "X offers quotes to enterprise apps only.";
        return Err(refuse(FailureCode::NotOffered, "send_post.quote", detail));
    }
    if command.only_if_summoned && parent.summons != Some(true) {
        let detail = match parent.summons {
            Some(_) => "The author of the post neither names nor quotes the account in it.",
            None => "The post is not known here, so it is not known whether it names the account.",
        };
        return Err(refuse(
            FailureCode::NotSummoned,
            "send_post.in_reply_to",
            detail,
        ));
    }
    check_files(
        Target::Post,
        post.attachments.len(),
        "send_post.attachments",
    )?;
    check_characters(&post.text, "send_post.text")?;
    check_characters(&post.suffix, "send_post.suffix")?;
    let parts = post_parts(post, rules.post_limit(account))?;
    if tier == Tier::SelfServe {
        check_cashtags(&parts)?;
    }
    let prices = price_posts(rules, post, parent, &parts);
    let descriptions = price_descriptions(rules, post).micros();
    affordable(command, &[prices.as_slice(), &[descriptions]].concat())?;
    Ok(Composed { parts, prices })
}

fn post_parts(post: &SendPost, limit: u32) -> Result<Vec<String>, Failure> {
    const FIELD: &str = "send_post.text";
    let whole = with_suffix(&post.text, &post.suffix);
    let weight = weigh(&whole).weight;
    match post.when_too_long {
        _ if weight <= limit => Ok(vec![whole]),
        WhenTooLong::Reject => Err(refuse(
            FailureCode::TextTooLong,
            FIELD,
            format!(
                "The limit is {limit} weighted characters, the text has {weight}: {} too many.",
                weight - limit
            ),
        )),
        WhenTooLong::Split => {
            split(&post.text, &post.suffix, limit).map_err(|error| cannot_split(FIELD, &error))
        }
    }
}

fn cannot_split(field: &str, error: &CannotSplit) -> Failure {
    refuse(
        FailureCode::TextTooLong,
        field,
        format!("The text cannot be split: {error}."),
    )
}

/// Source: X's "Manage posts": one cashtag for each post of a self-serve app.
fn check_cashtags(parts: &[String]) -> Result<(), Failure> {
    match parts.iter().find(|part| cashtags(part).len() > 1) {
        Some(part) => Err(refuse(
            FailureCode::NotOffered,
            "send_post.text",
            format!(
                "X takes one cashtag in a post of a self-serve app, not {}.",
                cashtags(part).len()
            ),
        )),
        None => Ok(()),
    }
}

fn check_characters(text: &str, field: &str) -> Result<(), Failure> {
    match invalid_characters(text).first() {
        Some(invalid) => Err(refuse(
            FailureCode::Invalid,
            field,
            format!(
                "X takes no U+{:04X} ({}), which is character {} of the text.",
                u32::from(invalid.character),
                invalid.name,
                invalid.at + 1
            ),
        )),
        None => Ok(()),
    }
}

fn check_files(target: Target, count: usize, field: &str) -> Result<(), Failure> {
    check_count(target, count)
        .map_err(|unfit| refuse(FailureCode::MediaUnsupported, field, unfit.to_string()))
}

pub(super) fn price_posts(
    rules: &Rules,
    post: &SendPost,
    parent: &Parent,
    parts: &[String],
) -> Vec<u64> {
    let calls = &rules.prices.calls;
    let price = |(place, part): (usize, &String)| {
        let summoned = place == 0 && post.in_reply_to.is_some() && parent.summons == Some(true);
        let price = if weigh(part).has_url {
            calls.post_with_url
        } else if summoned {
            calls.summoned_reply
        } else {
            calls.post
        };
        price.micros()
    };
    parts.iter().enumerate().map(price).collect()
}

/// Paid by the description, before the post.
pub(super) fn price_descriptions(rules: &Rules, post: &SendPost) -> Usd {
    let described = post.attachments.iter().filter(|it| !it.alt_text.is_empty());
    rules
        .prices
        .calls
        .media_metadata
        .times(described.count() as u64)
}

/// Whether a command stays within what its sender allows.
pub(super) fn affordable(command: &Command, prices: &[u64]) -> Result<(), Failure> {
    let price: Usd = prices.iter().copied().map(Usd::from_micros).sum();
    match command.max_cost {
        Some(most) if price > most => Err(refuse(
            FailureCode::TooExpensive,
            "max_cost_usd",
            format!("It would cost {price} USD by the price list, {most} are allowed."),
        )),
        _ => Ok(()),
    }
}

/// The messages of `send_direct_message`.
pub(super) fn direct_message(
    rules: &Rules,
    account: &Account,
    command: &Command,
    message: &SendDirectMessage,
    conversation: &ConversationId,
) -> Result<Composed, Failure> {
    if let ConversationId::DirectMessage(_) = conversation
        && other_side(account.id, conversation).is_none()
    {
        let detail = format!(
            "The account {} takes no part in {conversation}.",
            account.id
        );
        let field = "send_direct_message.conversation_id";
        return Err(refuse(FailureCode::Invalid, field, detail));
    }
    let count = message.attachments.len();
    check_files(
        Target::DirectMessage,
        count,
        "send_direct_message.attachments",
    )?;
    check_characters(&message.text, "send_direct_message.text")?;
    let parts = message_parts(message)?;
    let price = rules.prices.calls.direct_message.micros();
    let prices = vec![price; parts.len()];
    affordable(command, &prices)?;
    Ok(Composed { parts, prices })
}

fn message_parts(message: &SendDirectMessage) -> Result<Vec<String>, Failure> {
    const FIELD: &str = "send_direct_message.text";
    let length = message.text.chars().count();
    match message.when_too_long {
        _ if length <= DIRECT_MESSAGE_LIMIT => Ok(vec![message.text.clone()]),
        WhenTooLong::Reject => Err(refuse(
            FailureCode::TextTooLong,
            FIELD,
            format!(
                "The limit is {DIRECT_MESSAGE_LIMIT} characters, the text has {length}: {} too many.",
                length - DIRECT_MESSAGE_LIMIT
            ),
        )),
        WhenTooLong::Split => {
            split_plain(&message.text).map_err(|error| cannot_split(FIELD, &error))
        }
    }
}
