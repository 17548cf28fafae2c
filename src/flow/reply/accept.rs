//! A command into the ledger, or straight to its outcome. All of it happens in one transaction,
//! which is on disk before the broker's delivery is acknowledged.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::outcome::{Case, Verdict, finish_with, publish_again};
use super::parent::{self, Parent, other_side};
use super::plan::{Plan, PlannedCustomer, PlannedFile};
use super::{compose, files, immediate, restored, retry};
use crate::attachments::Kept;
use crate::domain::account::{Account, Sending};
use crate::domain::command::{
    Action, AttachmentSource, Command, Failure, FailureCode, InvalidCommand, OutgoingAttachment,
    Recipient,
};
use crate::domain::event::{Event, Payload, message_event_id};
use crate::domain::ids::{
    AccountId, ConversationId, DirectMessageId, MessageId, MessageNumber, Pair, TweetId,
};
use crate::domain::outcome::{CommandRef, Failed, Outcome};
use crate::flow::rules::Rules;
use crate::store::{
    CommandRow, CommandState, Hold, NewCommand, SendKind, SendState, StoreError, Tx,
};
use crate::telemetry::traces::SenderTrace;
use crate::x::client::Call;

/// What became of a command that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is in the ledger: to be done, or with its outcome.
    New { sequence: u64 },
    /// It was there before.
    Repeat,
    /// Its id belongs to another one.
    Reused,
}

/// What was done for a command before the transaction that takes it.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Files that came with it, by their place among its attachments.
    pub kept: BTreeMap<usize, Kept>,
    /// Why its files cannot be sent.
    pub failure: Option<Failure>,
    /// What was done of a command that X is not asked for.
    pub done: String,
    /// The trace it came in.
    pub trace: Option<SenderTrace>,
}

/// What a command is written with, before it is known whether it goes.
pub(super) struct Draft {
    pub command: Command,
    pub account: Option<AccountId>,
    pub plan: Plan,
    conversation: String,
    call: Call,
}

impl Draft {
    pub(super) fn new(command: Command) -> Self {
        Self {
            account: command.account,
            plan: Plan::default(),
            conversation: String::new(),
            call: Call::CreatePost,
            command: without_files(command),
        }
    }
}

/// Why a command would fail at once; changes nothing.
pub(super) fn refusal(
    tx: &Tx<'_>,
    rules: &Rules,
    command: Command,
    at: Timestamp,
) -> Result<Option<Failure>, StoreError> {
    let decision = decide(
        tx,
        rules,
        &mut Draft::new(command),
        &Prepared::default(),
        at,
    )?;
    Ok(decision.err())
}

/// Takes a command that could be read.
pub(super) fn accept(
    tx: &mut Tx<'_>,
    rules: &Rules,
    command: Command,
    prepared: Prepared,
    at: Timestamp,
) -> Result<Accepted, StoreError> {
    let fingerprint = command.fingerprint();
    if let Some(row) = tx.command_by_id(&command.id)? {
        return repeat(tx, rules, &row, &fingerprint, at);
    }
    let mut draft = Draft::new(command);
    let has_files = !prepared.kept.is_empty();
    let decision = decide(tx, rules, &mut draft, &prepared, at)?;
    draft.plan.trace = prepared.trace;
    let sequence = tx.insert_command(&new_command(rules, &draft, fingerprint, at))?;
    if has_files {
        tx.set_has_files(sequence, true)?;
    }
    match decision {
        Ok(Go::Wait) => {
            hold(tx, rules, &draft, sequence, at)?;
            restored::compare(tx, rules, sequence, draft.account, at)?;
        }
        Ok(Go::Now) => immediate::perform(tx, rules, sequence, prepared.done, at)?,
        Ok(Go::Repeat(before)) => {
            retry::begin(tx, rules, sequence, &before, at)?;
            hold(tx, rules, &draft, sequence, at)?;
        }
        Err(failure) => {
            if let Some(case) = Case::open(tx, sequence)? {
                case.finish(tx, rules, failure.into(), at)?;
            }
        }
    }
    Ok(Accepted::New { sequence })
}

/// Takes a command that breaks a rule which its body alone tells of.
pub(super) fn accept_invalid(
    tx: &mut Tx<'_>,
    rules: &Rules,
    invalid: InvalidCommand,
    trace: Option<SenderTrace>,
    at: Timestamp,
) -> Result<Accepted, StoreError> {
    if let Some(row) = tx.command_by_id(&invalid.id)? {
        return repeat(tx, rules, &row, &invalid.fingerprint, at);
    }
    let sequence = tx.insert_command(&NewCommand {
        id: invalid.id.clone(),
        fingerprint: invalid.fingerprint,
        account: invalid.account,
        name: invalid.name,
        conversation: String::new(),
        call: Call::CreatePost.name(),
        hold: Hold::None,
        received_at: at,
        expires_at: at,
        content: String::new(),
        plan: Plan {
            trace,
            ..Plan::default()
        }
        .to_json(),
    })?;
    let name = Some(invalid.name).filter(|name| *name != Action::NONE);
    let failed = Failed {
        outcome: Outcome {
            command: CommandRef {
                id: invalid.id,
                metadata: invalid.metadata,
                agent: invalid.agent,
            },
            name: name.unwrap_or_default().to_owned(),
            conversation: None,
            messages: Vec::new(),
            cost: Default::default(),
            retry_of: invalid.retry_of,
            at,
        },
        failure: invalid.failure,
        upstream: None,
    };
    let event = Event {
        account: rules.account_ref(invalid.account),
        time: at,
        backfilled: false,
        payload: Payload::CommandFailed(Box::new(failed)),
    };
    finish_with(tx, sequence, CommandState::Failed, event, at)?;
    Ok(Accepted::New { sequence })
}

fn repeat(
    tx: &mut Tx<'_>,
    rules: &Rules,
    row: &CommandRow,
    fingerprint: &[u8; 32],
    at: Timestamp,
) -> Result<Accepted, StoreError> {
    if row.fingerprint != fingerprint {
        return Ok(Accepted::Reused);
    }
    if !row.waiting.state.is_open() {
        publish_again(tx, row, rules, at)?;
    }
    Ok(Accepted::Repeat)
}

/// The command without the files themselves, which lie in the vault.
fn without_files(mut command: Command) -> Command {
    let attachments = match &mut command.action {
        Action::SendPost(post) => &mut post.attachments,
        Action::SendDirectMessage(message) => &mut message.attachments,
        _ => return command,
    };
    for attachment in attachments {
        if let AttachmentSource::Data(data) = &mut attachment.source {
            data.clear();
        }
    }
    command
}

/// The attachments of a command.
pub(super) fn attachments(action: &Action) -> &[OutgoingAttachment] {
    match action {
        Action::SendPost(post) => &post.attachments,
        Action::SendDirectMessage(message) => &message.attachments,
        _ => &[],
    }
}

fn new_command(rules: &Rules, draft: &Draft, fingerprint: [u8; 32], at: Timestamp) -> NewCommand {
    let command = &draft.command;
    let default = at.checked_add(rules.expire_after).unwrap_or(Timestamp::MAX);
    NewCommand {
        id: command.id.clone(),
        fingerprint,
        account: draft.account,
        name: command.action.name(),
        conversation: draft.conversation.clone(),
        call: draft.call.name(),
        hold: Hold::None,
        received_at: at,
        expires_at: match command.action {
            // It begins at once, and goes to its end.
            Action::ForgetPerson { .. } => Timestamp::MAX,
            _ => command.expires_at.unwrap_or(default),
        },
        // What was read cannot fail to be written.
        content: serde_json::to_string(command).unwrap_or_default(),
        plan: draft.plan.to_json(),
    }
}

fn hold(
    tx: &Tx<'_>,
    rules: &Rules,
    draft: &Draft,
    sequence: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(account) = draft.account.and_then(|id| rules.registry.account(id.0)) else {
        return Ok(());
    };
    let files = needs_files(tx, sequence, &draft.plan)?;
    let hold = rules.hold_now(tx, account, files)?;
    tx.set_hold(sequence, hold, at)
}

/// Whether the next message of a command needs files that are not there: they go with the first.
pub(super) fn needs_files(tx: &Tx<'_>, sequence: u64, plan: &Plan) -> Result<bool, StoreError> {
    let mut sends = tx.sends(sequence)?.into_iter();
    let shown = sends.any(|send| send.part == 1 && send.state == SendState::Done);
    Ok(plan.lacks_files() && !shown)
}

/// How an accepted command goes on.
pub(super) enum Go {
    /// When its turn comes.
    Wait,
    /// In this transaction: X is not asked.
    Now,
    /// As a retry of this one.
    Repeat(Box<CommandRow>),
}

pub(super) type Decision = Result<Go, Failure>;

fn refuse(code: FailureCode, field: &str, detail: impl Into<String>) -> Failure {
    Failure {
        code,
        field: field.to_owned(),
        detail: detail.into(),
    }
}

/// Every rule that the body alone does not decide.
pub(super) fn decide(
    tx: &Tx<'_>,
    rules: &Rules,
    draft: &mut Draft,
    prepared: &Prepared,
    at: Timestamp,
) -> Result<Decision, StoreError> {
    if let Err(failure) = admit(rules, &draft.command, at) {
        return Ok(Err(failure));
    }
    if immediate::is_immediate(&draft.command.action) {
        return Ok(Ok(Go::Now));
    }
    let account = match account_of(tx, rules, &draft.command)? {
        Ok(account) => account,
        Err(failure) => return Ok(Err(failure)),
    };
    draft.account = Some(account.id);
    if rules.sending(account) == Sending::Refuse {
        let detail = "An operator has stopped sending for this account.";
        return Ok(Err(refuse(FailureCode::SendingStopped, "", detail)));
    }
    if let Some(failure) = &prepared.failure {
        return Ok(Err(failure.clone()));
    }
    if let Err(failure) = plan(tx, rules, account, draft, &prepared.kept)? {
        return Ok(Err(failure));
    }
    if !draft.plan.lacks_files()
        && let Err(failure) = files::check(&draft.command.action, &draft.plan)
    {
        return Ok(Err(failure));
    }
    match draft.command.retry_of.clone() {
        Some(before) => retry::check(tx, &draft.command, &draft.plan, &before)
            .map(|checked| checked.map(|before| Go::Repeat(Box::new(before)))),
        None => Ok(Ok(Go::Wait)),
    }
}

/// What holds for every command, whatever it does.
pub(super) fn admit(rules: &Rules, command: &Command, at: Timestamp) -> Result<(), Failure> {
    if let Some(id) = command.account
        && rules.registry.account(id.0).is_none()
    {
        let detail = format!("No account {id} is linked.");
        return Err(refuse(FailureCode::UnknownAccount, "account_id", detail));
    }
    if command.expires_at.is_some_and(|expires| expires <= at) {
        let detail = "expires_at had passed when the command came.";
        return Err(refuse(FailureCode::Expired, "expires_at", detail));
    }
    if let Action::ForgetPerson { person_id } = command.action
        && rules.registry.is_ours(person_id)
    {
        const FIELD: &str = "forget_person.person_id";
        let detail = format!("{person_id} is an account of ours: unlink it instead.");
        return Err(refuse(FailureCode::Invalid, FIELD, detail));
    }
    Ok(())
}

/// Who acts: as the command says, or the one account that the message was published for.
fn account_of<'r>(
    tx: &Tx<'_>,
    rules: &'r Rules,
    command: &Command,
) -> Result<Result<&'r Account, Failure>, StoreError> {
    if let Some(id) = command.account {
        return Ok(rules.registry.account(id.0).ok_or_else(|| {
            let detail = format!("No account {id} is linked.");
            refuse(FailureCode::UnknownAccount, "account_id", detail)
        }));
    }
    let mut known = Vec::new();
    for account in rules.registry.accounts() {
        if is_published_for(tx, account.id, &command.action)? {
            known.push(account);
        }
    }
    Ok(match known.as_slice() {
        [one] => Ok(*one),
        [] => Err(refuse(
            FailureCode::UnknownAccount,
            "account_id",
            "It is missing, and no message that the command answers was published for an account.",
        )),
        several => {
            let ids: Vec<_> = several.iter().map(|it| it.id.to_string()).collect();
            let detail = format!(
                "It is missing, and the message was published for several accounts: {}.",
                ids.join(", ")
            );
            Err(refuse(FailureCode::UnknownAccount, "account_id", detail))
        }
    })
}

fn is_published_for(tx: &Tx<'_>, account: AccountId, action: &Action) -> Result<bool, StoreError> {
    let post = |id: TweetId| -> Result<bool, StoreError> {
        let row = tx.post(account, id)?;
        Ok(row.is_some_and(|row| row.event.is_some()))
    };
    match action {
        Action::SendPost(it) => it.in_reply_to.map_or(Ok(false), post),
        Action::SendDirectMessage(it) => match &it.to {
            Recipient::Conversation(id) => {
                let row = tx.conversation(account, id)?;
                Ok(row.is_some_and(|row| row.first_sequence.is_some()))
            }
            Recipient::Person(_) => Ok(false),
        },
        Action::HideReply { message_id, .. } => post(*message_id),
        Action::DeleteMessage { message_id } => Ok(post(message_id.as_post())?
            || direct_message(tx, account, message_id.as_direct_message())?.is_some()),
        Action::CancelCommand { .. }
        | Action::RepublishEvents { .. }
        | Action::ForgetPerson { .. } => Ok(false),
    }
}

/// The conversation of a direct message that was published for the account.
fn direct_message(
    tx: &Tx<'_>,
    account: AccountId,
    id: DirectMessageId,
) -> Result<Option<ConversationId>, StoreError> {
    let id = MessageId::DirectMessage(id);
    for event_type in ["message.sent", "message.received"] {
        let event = message_event_id(account, event_type, &id);
        if let Some(row) = tx.event(event)?
            // Posts and messages share their numbers, and so the ids of their events.
            && let Ok(
                conversation @ (ConversationId::DirectMessage(_)
                | ConversationId::DirectMessageGroup(_)),
            ) = row.correlation_id.parse()
        {
            return Ok(Some(conversation));
        }
    }
    Ok(None)
}

/// What is to be sent where, or why it cannot be.
fn plan(
    tx: &Tx<'_>,
    rules: &Rules,
    account: &Account,
    draft: &mut Draft,
    kept: &BTreeMap<usize, Kept>,
) -> Result<Result<(), Failure>, StoreError> {
    let count = attachments(&draft.command.action).len();
    draft.plan.files = (0..count)
        .map(|place| PlannedFile {
            kept: kept.get(&place).cloned(),
            tries: 0,
        })
        .collect();
    match draft.command.action.clone() {
        Action::SendPost(post) => {
            let parent = match post.in_reply_to {
                Some(id) => parent::post(tx, account.id, id)?,
                None => Parent::default(),
            };
            draft.call = Call::CreatePost;
            place_in_thread(draft, post.in_reply_to, &parent);
            draft.plan.fallback_parent = post.in_reply_to;
            let command = &draft.command;
            Ok(
                compose::post(rules, account, command, &post, &parent).map(|composed| {
                    draft.plan.parts = composed.parts;
                    draft.plan.prices = composed.prices;
                }),
            )
        }
        Action::SendDirectMessage(message) => {
            let (conversation, call) = match &message.to {
                Recipient::Person(person) => (
                    ConversationId::DirectMessage(Pair::new(account.id.0, *person)),
                    Call::SendDirectMessageToPerson,
                ),
                Recipient::Conversation(id @ ConversationId::DirectMessage(_)) => {
                    (id.clone(), Call::SendDirectMessageToPerson)
                }
                Recipient::Conversation(id) => (id.clone(), Call::SendDirectMessageToConversation),
            };
            draft.call = call;
            place_in(draft, account.id, &conversation);
            let command = &draft.command;
            Ok(
                compose::direct_message(rules, account, command, &message, &conversation).map(
                    |composed| {
                        draft.plan.parts = composed.parts;
                        draft.plan.prices = composed.prices;
                    },
                ),
            )
        }
        Action::DeleteMessage { message_id } => plan_delete(tx, rules, account, draft, message_id),
        Action::HideReply { message_id, .. } => {
            let parent = parent::post(tx, account.id, message_id)?;
            draft.call = Call::HideReply;
            place_in_thread(draft, Some(message_id), &parent);
            draft.plan.prices = vec![rules.prices.calls.hide_reply.micros()];
            Ok(compose::affordable(&draft.command, &draft.plan.prices))
        }
        // They are done in the transaction that accepts them.
        Action::CancelCommand { .. }
        | Action::RepublishEvents { .. }
        | Action::ForgetPerson { .. } => Ok(Ok(())),
    }
}

fn plan_delete(
    tx: &Tx<'_>,
    rules: &Rules,
    account: &Account,
    draft: &mut Draft,
    id: MessageNumber,
) -> Result<Result<(), Failure>, StoreError> {
    draft.plan.prices = vec![rules.prices.calls.delete.micros()];
    let sent = tx.send_of(account.id, SendKind::DirectMessage, id)?;
    let direct = match direct_message(tx, account.id, id.as_direct_message())? {
        Some(conversation) => Some(conversation),
        None => sent.and_then(|sent| sent.target.parse().ok()),
    };
    match direct {
        Some(conversation) => {
            draft.call = Call::DeleteDirectMessage;
            draft.plan.deletes_direct_message = true;
            place_in(draft, account.id, &conversation);
        }
        None => {
            let parent = parent::post(tx, account.id, id.as_post())?;
            draft.call = Call::DeletePost;
            place_in_thread(draft, Some(id.as_post()), &parent);
        }
    }
    Ok(compose::affordable(&draft.command, &draft.plan.prices))
}

/// An unknown post is taken for the root of its thread.
fn place_in_thread(draft: &mut Draft, post: Option<TweetId>, parent: &Parent) {
    let unknown = post.map(ConversationId::Thread);
    let conversation = parent.conversation.clone().or(unknown);
    draft.plan.customer = parent.customer.clone();
    draft.plan.conversation = conversation.as_ref().map(ToString::to_string);
    draft.conversation = draft.plan.conversation.clone().unwrap_or_default();
}

fn place_in(draft: &mut Draft, account: AccountId, conversation: &ConversationId) {
    draft.plan.customer = other_side(account, conversation).map(|id| PlannedCustomer {
        id,
        username: String::new(),
    });
    draft.conversation = conversation.to_string();
    draft.plan.conversation = Some(draft.conversation.clone());
}

/// Why a command cannot wait any longer.
pub(super) fn expired() -> Verdict {
    Verdict::failed(
        FailureCode::Expired,
        "expires_at",
        "It could not be begun, or not be ended, before expires_at.",
    )
}
