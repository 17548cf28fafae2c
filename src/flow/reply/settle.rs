//! What a call's end means for its command.

use jiff::{SignedDuration, Timestamp};

use super::outcome::{Case, Verdict};
use super::plan::RefusedBefore;
use super::planner::{Effect, Ended};
use super::retry::look_call;
use super::revoked;
use crate::domain::command::{Action, Failure, FailureCode};
use crate::domain::event::{DetectedBy, GoneBecause};
use crate::domain::ids::{ConversationId, MessageNumber, Pair, TweetId};
use crate::domain::outcome::Upstream;
use crate::domain::text::weigh;
use crate::flow::deletion::{self, Gone};
use crate::flow::rules::{Rules, parse_conversation};
use crate::store::{
    Case as CustomerCase, CommandState, Hold, PostRow, SendKind, SendRow, SendState, StoreError,
    Tx, Wait, Waiting,
};
use crate::x::client::{self, Call, CallError, LimitScope, Limits, NotSent, RefusalReason};

/// First and longest wait before the next try of what X did not take.
const RETRY: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(2), SignedDuration::from_mins(5));
/// A credential that X refuses is tried once more: it may be an outage.
/// Source: X's incident of 2026-06-30.
const CONFIRM_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// X does not say how long its posting allowance lasts (code 185).
const ALLOWANCE: SignedDuration = SignedDuration::from_mins(15);
/// Until the next look where the last one told nothing. Where X failed, the pause of the app keeps
/// looks apart, and what X does not answer costs nothing.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
const LOOK_AGAIN_AFTER_FAULT: SignedDuration = SignedDuration::from_secs(5);

/// A step as the scheduler hears of it.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    /// `None`: the command has its outcome.
    pub row: Option<Waiting>,
    pub effect: Effect,
    pub why: Option<FailureCode>,
}

impl Settled {
    /// The end of a step, with the windows that its call told of.
    pub(super) fn ended(self, sequence: u64, limits: Option<Limits>) -> Ended {
        Ended {
            sequence,
            limits,
            effect: self.effect,
            row: self.row,
            why: self.why,
        }
    }

    pub(super) fn read(
        tx: &Tx<'_>,
        sequence: u64,
        effect: Effect,
        why: Option<FailureCode>,
    ) -> Result<Self, StoreError> {
        let row = tx.command(sequence)?.map(|row| row.waiting);
        Ok(Self {
            row: row.filter(|row| row.state.is_open()),
            effect,
            why,
        })
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

fn backoff(attempt: u32) -> SignedDuration {
    let doubled = 2i32.saturating_pow(attempt.saturating_sub(1).min(12));
    RETRY.0.saturating_mul(doubled).min(RETRY.1)
}

/// A part is at X: counted, remembered, and the command goes on or ends.
pub(crate) fn sent(
    tx: &mut Tx<'_>,
    rules: &Rules,
    send: SendRow,
    message: MessageNumber,
    at: Timestamp,
) -> Result<(), StoreError> {
    let send = SendRow {
        state: SendState::Done,
        message: Some(message),
        sent_at: Some(at),
        ended_at: Some(at),
        ..send
    };
    tx.put_send(&send)?;
    let Some(case) = Case::open(tx, send.command)? else {
        return Ok(());
    };
    charge(tx, rules, &case, &send, at)?;
    remember(tx, &case, &send, message, at)?;
    tx.end_wait_of_echoes(send.account, at)?;
    // A call under way ends by itself, and finds this.
    if case.row.waiting.state != CommandState::Sending {
        advance(tx, rules, send.command, at)?;
        tx.touch_command(send.command)?;
    }
    Ok(())
}

/// Lets a command go on after a part, or end after the last one.
pub(super) fn advance(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(());
    };
    let sends = tx.sends(sequence)?;
    let done = sends.iter().filter(|send| send.state == SendState::Done);
    if done.count() >= case.plan.parts.len() {
        let detail = link_told(&case);
        return case.finish(tx, rules, Verdict::Succeeded { detail }, at);
    }
    wait(tx, &case, CommandState::Pending, write_call(&case), at, 0)
}

fn link_told(case: &Case) -> String {
    match (&case.command.action, case.row.waiting.account) {
        (Action::SendPost(post), Some(account)) if post.direct_message_link => {
            format!("Its button opens {}.", client::direct_message_link(account))
        }
        _ => String::new(),
    }
}

fn wait(
    tx: &Tx<'_>,
    case: &Case,
    state: CommandState,
    call: Call,
    next_attempt_at: Timestamp,
    attempt: u32,
) -> Result<(), StoreError> {
    let wait = Wait {
        state,
        hold: Hold::None,
        call: call.name(),
        next_attempt_at,
        attempt,
    };
    tx.set_waiting(case.sequence(), &wait)
}

/// The call by which a command changes something at X.
pub(super) fn write_call(case: &Case) -> Call {
    let group = case.plan.conversation.as_ref();
    let group = group.is_some_and(|id| !id.contains('-'));
    match &case.command.action {
        Action::SendDirectMessage(_) if group => Call::SendDirectMessageToConversation,
        Action::SendDirectMessage(_) => Call::SendDirectMessageToPerson,
        Action::DeleteMessage { .. } if case.plan.deletes_direct_message => {
            Call::DeleteDirectMessage
        }
        Action::DeleteMessage { .. } => Call::DeletePost,
        Action::HideReply { .. } => Call::HideReply,
        _ => Call::CreatePost,
    }
}

fn charge(
    tx: &Tx<'_>,
    rules: &Rules,
    case: &Case,
    send: &SendRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    let price = case.plan.price_of(send.part);
    let calls = &rules.prices.calls;
    let kind = match send.kind {
        SendKind::DirectMessage => "direct_message",
        SendKind::Post if weigh(&send.text).has_url => "post_with_url",
        SendKind::Post if price == calls.summoned_reply => "summoned_reply",
        SendKind::Post => "post",
    };
    tx.add_command_cost(send.command, price)?;
    tx.add_cost(send.account, at, kind, 1, price)
}

/// So that an answer to it, or a command on it, finds its conversation.
fn remember(
    tx: &Tx<'_>,
    case: &Case,
    send: &SendRow,
    message: MessageNumber,
    at: Timestamp,
) -> Result<(), StoreError> {
    let account = send.account;
    let customer = case.plan.customer.as_ref().map(|customer| customer.id);
    if let (Action::SendPost(post), Some(customer)) = (&case.command.action, customer)
        && post.direct_message_link
    {
        let messages = ConversationId::DirectMessage(Pair::new(account.0, customer));
        let thread = parse_conversation(case.plan.conversation.as_ref());
        for conversation in thread.into_iter().chain([messages]) {
            let case = CustomerCase {
                account,
                customer,
                conversation,
            };
            tx.touch_case(&case, at)?;
        }
    }
    // What the customer writes next waits in no storm, also before X delivers this back.
    if let (SendKind::Post, Some(customer), Some(thread)) = (
        send.kind,
        customer,
        parse_conversation(case.plan.conversation.as_ref()),
    ) {
        tx.note_answered(account, &thread, customer, at)?;
    }
    let id = message.as_post();
    if send.kind != SendKind::Post || tx.post(account, id)?.is_some() {
        return Ok(());
    }
    let conversation = parse_conversation(case.plan.conversation.as_ref());
    let thread = match conversation {
        Some(ConversationId::Thread(root)) => root,
        _ => id,
    };
    let row = PostRow {
        thread,
        author: Some(account.0),
        customer,
        original: None,
        latest: None,
        event: None,
    };
    tx.put_post(account, id, &row, at)
}

/// A call that writes has ended.
pub(super) fn wrote(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    part: u32,
    result: Result<MessageNumber, CallError>,
    at: Timestamp,
) -> Result<Settled, StoreError> {
    let effect = effect_of(&result);
    let Some(case) = Case::open(tx, sequence)? else {
        return Settled::read(tx, sequence, effect, None);
    };
    let send = tx
        .sends(sequence)?
        .into_iter()
        .find(|send| send.part == part);
    let Some(send) = send else {
        return Settled::read(tx, sequence, effect, None);
    };
    let settled = match result {
        // Its echo was here first.
        _ if send.state == SendState::Done => None,
        Ok(message) if tx.send_of(send.account, send.kind, message)?.is_none() => {
            sent(tx, rules, send, message, at)?;
            None
        }
        Ok(message) => {
            tracing::error!(%message, command.id = %case.row.id, "X gave the id of another message");
            Some(after(tx, rules, &case, send, unreadable(), at)?)
        }
        Err(error) => Some(after(tx, rules, &case, send, error, at)?),
    };
    match settled {
        Some(why) => Settled::read(tx, sequence, effect, why),
        None => {
            advance(tx, rules, sequence, at)?;
            Settled::read(tx, sequence, effect, None)
        }
    }
}

fn unreadable() -> CallError {
    CallError::Uncertain {
        reason: client::UncertainBecause::Unreadable,
        upstream: None,
    }
}

pub(super) fn effect_of<T>(result: &Result<T, CallError>) -> Effect {
    match result {
        Ok(_) | Err(CallError::Refused(_) | CallError::Unauthorized { .. }) => Effect::Works,
        Err(CallError::NotSent {
            reason: NotSent::NoConnection(_) | NotSent::TokenUnavailable(_),
        }) => Effect::Fails,
        Err(CallError::NotSent { .. }) => Effect::None,
        Err(CallError::Unavailable { .. } | CallError::Uncertain { .. }) => Effect::Fails,
        Err(CallError::CreditsDepleted { .. }) => Effect::NoCredit,
        Err(CallError::RateLimited { until, scope, .. }) => Effect::Limited(*scope, *until),
    }
}

/// A send came to nothing, or nobody knows; why the command waits.
fn after(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    send: SendRow,
    error: CallError,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let reads = match &error {
        // Most likely not done: one look that finds nothing is enough.
        CallError::Unavailable { .. } => Some(1),
        CallError::Uncertain { .. } => Some(0),
        _ => None,
    };
    if let Some(empty_reads) = reads {
        let doubted = SendRow {
            state: SendState::Uncertain,
            ended_at: Some(at),
            doubted: true,
            empty_reads,
            ..send
        };
        tx.put_send(&doubted)?;
        let first = SignedDuration::try_from(rules.first_read).unwrap_or_default();
        let call = look_call(&doubted);
        let state = CommandState::Uncertain;
        wait(tx, case, state, call, later(at, first), case.row.attempt)?;
        return Ok(Some(FailureCode::Uncertain));
    }
    let absent = SendRow {
        state: SendState::Absent,
        ended_at: Some(at),
        ..send
    };
    if let CallError::Refused(refusal) = &error {
        match refusal.reason {
            RefusalReason::Duplicate if absent.doubted => {
                return duplicate(tx, case, absent, refusal, at);
            }
            RefusalReason::ReplyNotPermitted | RefusalReason::NotSummoned
                if falls_back(tx, rules, case, &absent)? =>
            {
                tx.put_send(&absent)?;
                wait(
                    tx,
                    case,
                    CommandState::Pending,
                    write_call(case),
                    at,
                    case.row.attempt,
                )?;
                return Ok(None);
            }
            _ => {}
        }
    }
    tx.put_send(&absent)?;
    not_done(tx, rules, case, error, at)
}

/// X has the text already, and a call of ours may have brought it there.
fn duplicate(
    tx: &Tx<'_>,
    case: &Case,
    send: SendRow,
    refusal: &client::Refusal,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let upstream = &refusal.upstream;
    let mut plan = case.plan.clone();
    plan.refused = Some(RefusedBefore {
        code: FailureCode::Duplicate,
        detail: upstream.detail.clone(),
        status: upstream.status,
        problem: upstream.type_.clone(),
        title: upstream.title.clone(),
    });
    tx.set_plan(case.sequence(), &plan.to_json())?;
    let open = SendRow {
        state: SendState::Uncertain,
        empty_reads: 0,
        ..send
    };
    tx.put_send(&open)?;
    wait(
        tx,
        case,
        CommandState::Uncertain,
        look_call(&open),
        at,
        case.row.attempt,
    )?;
    Ok(Some(FailureCode::Uncertain))
}

/// Whether a later part goes below the customer's post from now on, as X takes no replies to our
/// own; remembered for the app.
fn falls_back(tx: &Tx<'_>, rules: &Rules, case: &Case, send: &SendRow) -> Result<bool, StoreError> {
    let Some(parent) = case.plan.fallback_parent else {
        return Ok(false);
    };
    if send.part == 1 || send.target == parent.to_string() {
        return Ok(false);
    }
    let app = rules.app_name(case.row.waiting.account);
    tx.set_meta(&split_key(app), "customer")?;
    Ok(true)
}

pub(super) fn split_key(app: &str) -> String {
    format!("split_parent.{app}")
}

/// X has not done it: again later, or never.
pub(super) fn not_done(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    error: CallError,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let again = |tx: &Tx<'_>, next: Timestamp, code: FailureCode| {
        let attempt = case.row.attempt;
        wait(
            tx,
            case,
            CommandState::Pending,
            write_call(case),
            next,
            attempt,
        )?;
        Ok(Some(code))
    };
    let soon = later(at, backoff(case.row.attempt));
    match error {
        CallError::NotSent {
            reason: NotSent::NoCredential(what),
        } => {
            let detail = format!("The account has no credential for this call: {what}.");
            fail(tx, rules, case, FailureCode::Unauthorized, detail, None, at)
        }
        CallError::NotSent {
            reason: NotSent::Unaskable(what),
        } => fail(tx, rules, case, FailureCode::Invalid, what, None, at),
        // The look for it may have to be repeated as well: both are harmless.
        CallError::NotSent { .. } | CallError::Unavailable { .. } | CallError::Uncertain { .. } => {
            again(tx, soon, FailureCode::XUnavailable)
        }
        CallError::RateLimited { until, scope, .. } => {
            let next = match (until, scope) {
                (None, LimitScope::Cap) => later(at, SignedDuration::from_hours(1)),
                // The windows tell when.
                _ => at,
            };
            again(tx, next, FailureCode::RateLimited)
        }
        CallError::CreditsDepleted { .. } => again(tx, at, FailureCode::CreditsDepleted),
        CallError::Unauthorized {
            upstream,
            revoked_for_sure,
        } => unauthorized(tx, rules, case, &upstream, revoked_for_sure, at),
        CallError::Refused(refusal) => match code_of(refusal.reason) {
            None => again(tx, later(at, ALLOWANCE), FailureCode::RateLimited),
            Some(code) => {
                let upstream = &refusal.upstream;
                let detail = words_of(upstream);
                if code == FailureCode::Deleted {
                    note_gone(tx, rules, case, at)?;
                }
                let told = Some(upstream_told(upstream));
                fail(tx, rules, case, code, detail, told, at)
            }
        },
    }
}

/// X says that what a command answers or hides is gone: the core hears of that too.
fn note_gone(tx: &mut Tx<'_>, rules: &Rules, case: &Case, at: Timestamp) -> Result<(), StoreError> {
    let gone = match &case.command.action {
        Action::HideReply { message_id, .. } => Some(*message_id),
        // What is quoted may be what is gone.
        Action::SendPost(post) if post.quote.is_none() => refused_target(tx, case)?,
        _ => None,
    };
    if let Some(id) = gone {
        let gone = Gone::post(id, GoneBecause::Deleted, DetectedBy::Send, at);
        let account = rules.account_ref(case.row.waiting.account);
        deletion::note(tx, &account, &gone, at)?;
    }
    Ok(())
}

/// What the part was to answer that X has not taken.
fn refused_target(tx: &Tx<'_>, case: &Case) -> Result<Option<TweetId>, StoreError> {
    let mut sends = tx.sends(case.sequence())?.into_iter();
    let refused = sends.find(|send| send.state == SendState::Absent);
    Ok(refused.and_then(|send| send.target.parse().ok()))
}

fn unauthorized(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    upstream: &client::Upstream,
    sure: bool,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let first = case.plan.unauthorized_at;
    let confirmed = first.is_some_and(|first| at.as_second() - first >= CONFIRM_AFTER.as_secs());
    let next = match sure || confirmed {
        true => at,
        false => later(at, CONFIRM_AFTER),
    };
    if first.is_none() {
        let mut plan = case.plan.clone();
        plan.unauthorized_at = Some(at.as_second());
        tx.set_plan(case.sequence(), &plan.to_json())?;
    }
    wait(
        tx,
        case,
        CommandState::Pending,
        write_call(case),
        next,
        case.row.attempt,
    )?;
    if (sure || confirmed)
        && let Some(account) = case.row.waiting.account
    {
        revoked::note(tx, rules, account, not_accepted(upstream), at)?;
    }
    Ok(Some(FailureCode::Unauthorized))
}

fn not_accepted(upstream: &client::Upstream) -> String {
    format!("X does not accept its credential: {upstream}.")
}

fn fail(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    code: FailureCode,
    detail: String,
    upstream: Option<Upstream>,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let failure = Failure {
        code,
        field: String::new(),
        detail,
    };
    case.finish(tx, rules, Verdict::Failed { failure, upstream }, at)?;
    Ok(None)
}

/// X does not take a file of the command.
pub(super) fn file_refused(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    place: usize,
    refusal: &client::Refusal,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let code = match code_of(refusal.reason) {
        Some(FailureCode::Invalid | FailureCode::Refused) => FailureCode::MediaUnsupported,
        Some(code) => code,
        None => {
            let error = CallError::Refused(refusal.clone());
            return not_done(tx, rules, case, error, at);
        }
    };
    let failure = Failure {
        code,
        field: format!("{}.attachments[{place}]", case.command.action.name()),
        detail: words_of(&refusal.upstream),
    };
    let upstream = Some(upstream_told(&refusal.upstream));
    case.finish(tx, rules, Verdict::Failed { failure, upstream }, at)?;
    Ok(None)
}

/// X's own words.
fn words_of(upstream: &client::Upstream) -> String {
    let words = [&upstream.detail, &upstream.title];
    let words = words.into_iter().find(|words| !words.is_empty());
    words.cloned().unwrap_or_else(|| upstream.to_string())
}

fn upstream_told(upstream: &client::Upstream) -> Upstream {
    Upstream {
        status: upstream.status,
        problem: upstream.type_.clone(),
        title: upstream.title.clone(),
    }
}

/// What a refusal of X means to the core; `None`: it goes later.
pub(super) fn code_of(reason: RefusalReason) -> Option<FailureCode> {
    Some(match reason {
        RefusalReason::ReplyNotPermitted => FailureCode::ReplyNotPermitted,
        RefusalReason::NotSummoned => FailureCode::NotSummoned,
        RefusalReason::DmNotPermitted => FailureCode::DmNotPermitted,
        RefusalReason::Deleted | RefusalReason::NotFound => FailureCode::Deleted,
        RefusalReason::Protected => FailureCode::Protected,
        RefusalReason::Blocked => FailureCode::Blocked,
        RefusalReason::Duplicate => FailureCode::Duplicate,
        RefusalReason::Suspended => FailureCode::Suspended,
        RefusalReason::TextTooLong => FailureCode::TextTooLong,
        RefusalReason::LooksAutomated => FailureCode::LooksAutomated,
        RefusalReason::MediaInvalid => FailureCode::MediaUnsupported,
        RefusalReason::NotOffered => FailureCode::NotOffered,
        RefusalReason::PermissionMissing => FailureCode::Unauthorized,
        RefusalReason::Invalid => FailureCode::Invalid,
        RefusalReason::Unclassified => FailureCode::Refused,
        RefusalReason::PostingAllowanceUsed => return None,
    })
}

/// A call that deletes or hides has ended: to repeat it is harmless.
pub(super) fn changed(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    result: Result<(), CallError>,
    at: Timestamp,
) -> Result<Settled, StoreError> {
    let effect = effect_of(&result);
    let Some(case) = Case::open(tx, sequence)? else {
        return Settled::read(tx, sequence, effect, None);
    };
    let gone = |error: &CallError| match error {
        CallError::Refused(refusal) => matches!(
            refusal.reason,
            RefusalReason::NotFound | RefusalReason::Deleted
        ),
        _ => false,
    };
    let deletes = matches!(case.command.action, Action::DeleteMessage { .. });
    let why = match result {
        // An earlier attempt, whose answer was lost, did it.
        Err(error) if deletes && case.row.attempt > 1 && gone(&error) => None,
        Err(error) => Some(not_done(tx, rules, &case, error, at)?),
        Ok(()) => None,
    };
    match why {
        Some(why) => Settled::read(tx, sequence, effect, why),
        None => {
            end_change(tx, rules, sequence, at)?;
            Settled::read(tx, sequence, effect, None)
        }
    }
}

fn end_change(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let price = match Case::open(tx, sequence)? {
        Some(case) => case.plan.price_of(1),
        None => return Ok(()),
    };
    tx.add_command_cost(sequence, price)?;
    // Read again: the outcome names the cost.
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(());
    };
    if let Some(account) = case.row.waiting.account {
        let kind = match case.command.action {
            Action::HideReply { .. } => "hide_reply",
            _ => "delete",
        };
        tx.add_cost(account, at, kind, 1, price)?;
    }
    let detail = match case.plan.deletes_direct_message {
        true => "It is gone from the account's own view only; the recipient still has it.",
        false => "",
    };
    let detail = detail.to_owned();
    case.finish(tx, rules, Verdict::Succeeded { detail }, at)
}

/// What a look at X found.
#[derive(Debug)]
pub(super) enum Looked {
    Found(MessageNumber),
    /// All that could be ours was seen, and it was not among it.
    Absent,
    /// Nothing can be said.
    Unclear(Option<CallError>),
}

/// A look for an uncertain send has ended.
pub(super) fn looked(
    tx: &mut Tx<'_>,
    rules: &Rules,
    send: SendRow,
    looked: Looked,
    at: Timestamp,
) -> Result<Settled, StoreError> {
    let sequence = send.command;
    let effect = match &looked {
        Looked::Unclear(Some(error)) => effect_of::<()>(&Err(error.clone())),
        _ => Effect::Works,
    };
    let Some(case) = Case::open(tx, sequence)? else {
        return Settled::read(tx, sequence, effect, None);
    };
    let known = tx.sends(sequence)?;
    let known = known.into_iter().find(|known| known.part == send.part);
    let Some(known) = known.filter(|known| known.state == SendState::Uncertain) else {
        // Its echo was faster.
        return Settled::read(tx, sequence, effect, None);
    };
    let why = match looked {
        Looked::Found(message) => {
            sent(tx, rules, known, message, at)?;
            None
        }
        Looked::Absent => absent(tx, rules, &case, known, at)?,
        Looked::Unclear(ref why) if gives_up(&case, why.as_ref(), at) => {
            let detail = "X's answer was lost, and it could not be looked up whether it is there.";
            fail(
                tx,
                rules,
                &case,
                FailureCode::Uncertain,
                detail.to_owned(),
                None,
                at,
            )?
        }
        Looked::Unclear(why) => {
            let (state, call) = (CommandState::Uncertain, look_call(&known));
            let pause = match effect {
                Effect::Fails => LOOK_AGAIN_AFTER_FAULT,
                _ => LOOK_AGAIN,
            };
            let next = later(at, pause).min(case.row.waiting.expires_at);
            wait(tx, &case, state, call, next, case.row.attempt)?;
            if let Some(CallError::Unauthorized {
                upstream,
                revoked_for_sure: true,
            }) = why
            {
                let reason = not_accepted(&upstream);
                revoked::note(tx, rules, known.account, reason, at)?;
            }
            Some(FailureCode::Uncertain)
        }
    };
    Settled::read(tx, sequence, effect, why)
}

/// Whether a look that tells nothing is the last one. A retry asks whether what it repeats is
/// there: an answer in which it may be missing will not be clearer later.
fn gives_up(case: &Case, error: Option<&CallError>, at: Timestamp) -> bool {
    let partial = error.is_none() && case.command.retry_of.is_some();
    partial || at >= case.row.waiting.expires_at
}

/// Not seen at X. Two looks make it so.
fn absent(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    send: SendRow,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let send = SendRow {
        empty_reads: send.empty_reads + 1,
        ..send
    };
    if send.empty_reads < 2 {
        tx.put_send(&send)?;
        let second = SignedDuration::try_from(rules.second_read).unwrap_or_default();
        let (state, call) = (CommandState::Uncertain, look_call(&send));
        wait(tx, case, state, call, later(at, second), case.row.attempt)?;
        return Ok(Some(FailureCode::Uncertain));
    }
    tx.put_send(&SendRow {
        state: SendState::Absent,
        ..send
    })?;
    tx.end_wait_of_echoes(send.account, at)?;
    match case.plan.refused.clone() {
        Some(refused) => {
            let upstream = Upstream {
                status: refused.status,
                problem: refused.problem,
                title: refused.title,
            };
            fail(
                tx,
                rules,
                case,
                refused.code,
                refused.detail,
                Some(upstream),
                at,
            )
        }
        None => {
            wait(
                tx,
                case,
                CommandState::Pending,
                write_call(case),
                at,
                case.row.attempt,
            )?;
            Ok(None)
        }
    }
}
