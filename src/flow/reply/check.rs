//! What would become of a command, before it is sent: nothing is changed and X is not asked.

use jiff::Timestamp;

use super::accept::{Draft, Prepared, attachments, decide};
use super::compose::{price_descriptions, price_posts};
use super::files;
use super::immediate;
use super::parent::{self, Parent};
use crate::attachments::TakeError;
use crate::broker::commands::{Reading, read};
use crate::domain::account::Account;
use crate::domain::attachment::inspect;
use crate::domain::command::{
    Action, AttachmentSource, Command, Failure, FailureCode, Recipient, SendDirectMessage, SendPost,
};
use crate::domain::event::RefusedBecause;
use crate::domain::ids::{AccountId, CommandId, ConversationId};
use crate::domain::money::Usd;
use crate::domain::text::{
    DIRECT_MESSAGE_LIMIT, POST_LIMIT, split, split_plain, weigh, with_suffix,
};
use crate::flow::rules::Rules;
use crate::store::{Hold, StoreError, Tx};

/// Stands for the id of a command that is checked without one.
const NO_ID: &str = "check";

/// What would become of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The command's own name; empty where it has none, or two.
    pub name: String,
    /// Who would act, where that can be told.
    pub account: Option<AccountId>,
    /// Why it would fail at once; `None`: it would be accepted.
    pub failure: Option<Failure>,
    /// Of commands that write.
    pub text: Option<CheckedText>,
    /// What X would charge by the price list.
    pub cost: Usd,
    /// Whether X lets the account do it: the contract's words, `reason` empty where there is none.
    pub permission: String,
    pub reason: String,
    /// What would keep it waiting once it is accepted.
    pub hold: Hold,
}

/// A text, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedText {
    /// Weighted characters of a post, code points of a direct message, suffix included.
    pub length: u32,
    /// Most of them in one message.
    pub limit: u32,
    /// As it would be cut (`SPLIT`), where it has to be; none where it cannot be.
    pub parts: Vec<String>,
}

/// Checks the body of a message on `twitter.commands`; one without an id is checked as well.
/// Attachments that are only named are not fetched.
///
/// # Errors
/// When the store cannot be read.
pub fn check(
    tx: &Tx<'_>,
    rules: &Rules,
    body: &[u8],
    at: Timestamp,
) -> Result<Checked, StoreError> {
    let reading = match read(body, None, None) {
        Reading::Unreadable { .. } => read(body, Some(NO_ID), None),
        reading => reading,
    };
    match reading {
        Reading::Command(command) => check_command(tx, rules, *command, at),
        Reading::Invalid(invalid) => {
            let name = Some(invalid.name).filter(|name| *name != Action::NONE);
            Ok(refused(name, invalid.account, invalid.failure))
        }
        Reading::Unreadable { detail, .. } => {
            let failure = Failure {
                code: FailureCode::Invalid,
                field: String::new(),
                detail,
            };
            Ok(refused(None, None, failure))
        }
    }
}

fn refused(name: Option<&str>, account: Option<AccountId>, failure: Failure) -> Checked {
    Checked {
        name: name.unwrap_or_default().to_owned(),
        account,
        failure: Some(failure),
        text: None,
        cost: Usd::default(),
        permission: "UNKNOWN".to_owned(),
        reason: String::new(),
        hold: Hold::None,
    }
}

fn check_command(
    tx: &Tx<'_>,
    rules: &Rules,
    command: Command,
    at: Timestamp,
) -> Result<Checked, StoreError> {
    let (kinds, unfit) = look_at_files(&command.action);
    let prepared = Prepared {
        failure: unfit,
        ..Prepared::default()
    };
    let mut draft = Draft::new(command.clone());
    let decision = decide(tx, rules, &mut draft, &prepared, at)?;
    let together = files::check_kinds(&command.action, &kinds);
    let mut failure = decision.err().or(together.err());
    if failure.is_none() {
        failure = beside_the_body(tx, &command)?;
    }
    let account = draft.account.and_then(|id| rules.registry.account(id.0));
    let parent = match (&command.action, account) {
        (Action::SendPost(post), Some(account)) => match post.in_reply_to {
            Some(id) => parent::post(tx, account.id, id)?,
            None => Parent::default(),
        },
        _ => Parent::default(),
    };
    let text = text_of(rules, account, &command.action);
    let parts = text.as_ref().map_or(&[][..], |text| text.parts.as_slice());
    let (permission, reason) = permission(tx, rules, account, &command.action)?;
    Ok(Checked {
        name: command.action.name().to_owned(),
        account: draft.account,
        cost: cost_of(rules, &command.action, &parent, parts),
        hold: match account {
            Some(account) if failure.is_none() && !immediate::is_immediate(&command.action) => {
                rules.hold_now(tx, account, false)?
            }
            _ => Hold::None,
        },
        failure,
        text,
        permission,
        reason,
    })
}

/// What the files that came with the command are, and why one cannot be sent.
fn look_at_files(
    action: &Action,
) -> (Vec<crate::domain::message::AttachmentKind>, Option<Failure>) {
    let mut kinds = Vec::new();
    for (place, attachment) in attachments(action).iter().enumerate() {
        let AttachmentSource::Data(data) = &attachment.source else {
            // What it is shows once it is fetched.
            return (Vec::new(), None);
        };
        match inspect(data, &attachment.content_type) {
            Ok(inspected) => kinds.push(inspected.kind()),
            Err(unfit) => {
                let failure = files::failure(action, place, &TakeError::Unfit(unfit));
                return (Vec::new(), Some(failure));
            }
        }
    }
    (kinds, None)
}

/// What is decided only while a command is accepted.
fn beside_the_body(tx: &Tx<'_>, command: &Command) -> Result<Option<Failure>, StoreError> {
    if let Action::CancelCommand { target } = &command.action {
        return Ok(immediate::waiting(tx, target)?.err());
    }
    used_before(tx, &command.id, &command.fingerprint())
}

fn used_before(
    tx: &Tx<'_>,
    id: &CommandId,
    fingerprint: &[u8; 32],
) -> Result<Option<Failure>, StoreError> {
    let Some(row) = tx.command_by_id(id)? else {
        return Ok(None);
    };
    let differs = id.as_str() != NO_ID && row.fingerprint != fingerprint;
    Ok(differs.then(|| Failure {
        code: FailureCode::Invalid,
        field: "command_id".to_owned(),
        detail: format!("Another command with the id {id} came before; this one would be refused."),
    }))
}

fn text_of(rules: &Rules, account: Option<&Account>, action: &Action) -> Option<CheckedText> {
    match action {
        Action::SendPost(post) => {
            let limit = account.map_or(POST_LIMIT, |account| rules.post_limit(account));
            Some(post_text(post, limit))
        }
        Action::SendDirectMessage(message) => Some(message_text(message)),
        Action::DeleteMessage { .. }
        | Action::HideReply { .. }
        | Action::CancelCommand { .. }
        | Action::RepublishEvents { .. }
        | Action::ForgetPerson { .. } => None,
    }
}

fn post_text(post: &SendPost, limit: u32) -> CheckedText {
    let whole = with_suffix(&post.text, &post.suffix);
    let length = weigh(&whole).weight;
    CheckedText {
        length,
        limit,
        parts: match length <= limit {
            true => vec![whole],
            false => split(&post.text, &post.suffix, limit).unwrap_or_default(),
        },
    }
}

fn message_text(message: &SendDirectMessage) -> CheckedText {
    let length = message.text.chars().count();
    let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
    CheckedText {
        length: count(length),
        limit: count(DIRECT_MESSAGE_LIMIT),
        parts: match length <= DIRECT_MESSAGE_LIMIT {
            true => vec![message.text.clone()],
            false => split_plain(&message.text).unwrap_or_default(),
        },
    }
}

fn cost_of(rules: &Rules, action: &Action, parent: &Parent, parts: &[String]) -> Usd {
    let calls = &rules.prices.calls;
    match action {
        Action::SendPost(post) => {
            let posts = price_posts(rules, post, parent, parts).into_iter();
            posts.map(Usd::from_micros).sum::<Usd>() + price_descriptions(rules, post)
        }
        Action::SendDirectMessage(_) => calls.direct_message.times(parts.len() as u64),
        Action::DeleteMessage { .. } => calls.delete,
        Action::HideReply { .. } => calls.hide_reply,
        Action::CancelCommand { .. }
        | Action::RepublishEvents { .. }
        | Action::ForgetPerson { .. } => Usd::default(),
    }
}

/// As the core would be told with the message that is answered, and what has changed since.
fn permission(
    tx: &Tx<'_>,
    rules: &Rules,
    account: Option<&Account>,
    action: &Action,
) -> Result<(String, String), StoreError> {
    let words = |permission: &str, reason: &str| (permission.to_owned(), reason.to_owned());
    let Some(account) = account else {
        return Ok(words("UNKNOWN", ""));
    };
    let told = match action {
        Action::SendPost(post) => match post.in_reply_to {
            Some(id) => parent::permission(tx, account.id, id)?.unwrap_or(words("UNKNOWN", "")),
            None => words("ALLOWED", ""),
        },
        Action::SendDirectMessage(SendDirectMessage {
            to:
                Recipient::Conversation(
                    ConversationId::Encrypted(_) | ConversationId::EncryptedGroup(_),
                ),
            ..
        }) => words("REFUSED", RefusedBecause::Encrypted.name()),
        // Whether a person who has not written takes messages only X knows.
        Action::SendDirectMessage(SendDirectMessage {
            to: Recipient::Person(_),
            ..
        }) => words("UNKNOWN", ""),
        _ => words("ALLOWED", ""),
    };
    Ok(match rules.silenced(account) {
        Some(because) if told.0 != "REFUSED" => words("REFUSED", because.name()),
        _ => told,
    })
}
