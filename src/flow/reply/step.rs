//! One step of one command: a single call that changes something at X, or a look for what an
//! earlier one did.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::accept::{attachments, needs_files};
use super::outcome::{Case, Verdict};
use super::planner::{Effect, Ended};
use super::settle::{self, Looked, Settled};
use crate::attachments::vault::{Vault, VaultError};
use crate::domain::attachment::{MediaCategory, Target};
use crate::domain::command::{Action, AttachmentSource, FailureCode, Recipient};
use crate::domain::ids::{AccountId, ConversationId, MediaId, MessageId, MessageNumber, TweetId};
use crate::domain::money::Usd;
use crate::flow::reads;
use crate::flow::reconcile::{self, Found};
use crate::flow::rules::{LiveRules, Rules};
use crate::store::{CommandState, Hold, SendKind, SendRow, SendState, Store, StoreError, Tx, Wait};
use crate::telemetry::metrics;
use crate::telemetry::traces::{self, TraceContext};
use crate::x::client::{
    Auth, CallError, Client, Detail, DirectMessageContent, DirectMessageTarget,
    DirectMessagesFound, Limits, NewPost, NotSent, PostsFound, Reply, Resources, Since, Upload,
    direct_message_link,
};

/// Newest messages asked for in a look; a second one, where X has more, asks for the most it gives.
const LOOK_AT: u32 = 10;
const LOOK_AT_MORE: u32 = 100;
/// How long X may take to make a video ready.
const PROCESSING: Duration = Duration::from_secs(300);
/// Until the next try where our own disk fails.
const DISK_AGAIN: SignedDuration = SignedDuration::from_secs(10);

/// Takes steps.
pub(super) struct Stepper {
    pub store: Store,
    pub rules: LiveRules,
    pub client: Arc<Client>,
    pub vault: Vault,
}

/// What a command is to do next.
enum Next {
    Nothing,
    /// Files have to be at X before the message that shows them.
    Upload(Box<Case>),
    Send(Box<Case>, SendRow),
    Change(Box<Case>),
    Look(Box<Case>, SendRow),
}

impl Next {
    /// What its calls are recorded for, while traces are on.
    fn trace(&self) -> Option<TraceContext> {
        match self {
            _ if !traces::is_on() => None,
            Self::Nothing => None,
            Self::Upload(case) | Self::Change(case) => Some(case.trace()),
            Self::Send(case, _) | Self::Look(case, _) => Some(case.trace()),
        }
    }
}

impl Stepper {
    /// Takes the next step of a command. A store that fails leaves it as it is.
    pub(super) async fn step(&self, sequence: u64) -> Ended {
        match self.take(sequence).await {
            Ok((limits, settled)) => settled.ended(sequence, limits),
            Err(error) => {
                tracing::error!(%error, command.sequence = sequence, "a step could not be noted");
                self.unnoted(sequence).await
            }
        }
    }

    /// What may have reached X is on disk as `sending`: it is found out once the store works again.
    async fn unnoted(&self, sequence: u64) -> Ended {
        let mut pause = Duration::from_millis(100);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
            let (rules, at) = (self.rules.now(), Timestamp::now());
            let recovered = self.store.write(move |tx| {
                recover_one(tx, &rules, sequence, at)?;
                Settled::read(tx, sequence, Effect::None, None)
            });
            match recovered.await {
                Ok(settled) => return settled.ended(sequence, None),
                // The next leader looks it up.
                Err(StoreError::Deposed) => return std::future::pending().await,
                Err(_) => {}
            }
        }
    }

    async fn take(&self, sequence: u64) -> Result<(Option<Limits>, Settled), StoreError> {
        let next = self.begin(sequence, false).await?;
        let trace = next.trace();
        let taking = async {
            match next {
                Next::Nothing => self.nothing(sequence).await,
                Next::Upload(case) => self.upload_and_send(*case).await,
                Next::Send(case, send) => self.send(&case, send, &[]).await,
                Next::Change(case) => self.change(&case).await,
                Next::Look(case, send) => self.look(&case, send).await,
            }
        };
        traces::within(trace, Box::pin(taking)).await
    }

    async fn nothing(&self, sequence: u64) -> Result<(Option<Limits>, Settled), StoreError> {
        let read = move |tx: &Tx<'_>| Settled::read(tx, sequence, Effect::None, None);
        Ok((None, self.store.read(read).await?))
    }

    async fn begin(&self, sequence: u64, uploaded: bool) -> Result<Next, StoreError> {
        let rules = self.rules.now();
        let at = Timestamp::now();
        self.store
            .write(move |tx| begin(tx, &rules, sequence, uploaded, at))
            .await
    }

    async fn send(
        &self,
        case: &Case,
        send: SendRow,
        media: &[MediaId],
    ) -> Result<(Option<Limits>, Settled), StoreError> {
        let rules = self.rules.now();
        let reply = match rules.auth(case.row.waiting.account) {
            Some(auth) => self.call(auth, case, &send, media).await,
            None => unlinked(),
        };
        metrics::count_call(settle::write_call(case).name(), result_name(&reply.result));
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let (sequence, part, result) = (case.sequence(), send.part, reply.result);
        let settled = self
            .store
            .write(move |tx| settle::wrote(tx, &rules, sequence, part, result, at))
            .await?;
        Ok((Some(reply.limits), settled))
    }

    async fn call(
        &self,
        auth: Auth<'_>,
        case: &Case,
        send: &SendRow,
        media: &[MediaId],
    ) -> Answer<MessageNumber> {
        match &case.command.action {
            Action::SendPost(post) => {
                let link = case.row.waiting.account.map(direct_message_link);
                let first = send.part == 1;
                let new = NewPost {
                    text: &send.text,
                    in_reply_to: send.target.parse::<TweetId>().ok(),
                    exclude_mentions: &post.exclude_mentions,
                    media_ids: media,
                    direct_message_deep_link: link
                        .as_deref()
                        .filter(|_| first && post.direct_message_link),
                    quote: post.quote.filter(|_| first),
                };
                let reply = self.client.create_post(auth, &new).await;
                Answer::from(reply, |created| created.id.into())
            }
            Action::SendDirectMessage(message) => {
                let conversation = send.target.parse::<ConversationId>().ok();
                let target = match (&message.to, &conversation) {
                    (Recipient::Person(person), _) => DirectMessageTarget::Person(*person),
                    (_, Some(ConversationId::DirectMessage(pair))) => {
                        let other = case.row.waiting.account.and_then(|own| pair.other(own.0));
                        match other {
                            Some(person) => DirectMessageTarget::Person(person),
                            None => return unlinked(),
                        }
                    }
                    (Recipient::Conversation(id), _) => DirectMessageTarget::Conversation(id),
                };
                let content = DirectMessageContent {
                    text: &send.text,
                    media_id: media.first().copied(),
                };
                let reply = self
                    .client
                    .send_direct_message(auth, target, &content)
                    .await;
                Answer::from(reply, |sent| sent.id.into())
            }
            _ => unlinked(),
        }
    }

    async fn change(&self, case: &Case) -> Result<(Option<Limits>, Settled), StoreError> {
        let rules = self.rules.now();
        let reply = match (rules.auth(case.row.waiting.account), &case.command.action) {
            (Some(auth), Action::HideReply { message_id, hidden }) => {
                let reply = self.client.hide_reply(auth, *message_id, *hidden).await;
                Answer::from(reply, drop)
            }
            (Some(auth), Action::DeleteMessage { message_id }) => {
                let reply = match case.plan.deletes_direct_message {
                    true => {
                        let id = message_id.as_direct_message();
                        self.client.delete_direct_message(auth, id).await
                    }
                    false => self.client.delete_post(auth, message_id.as_post()).await,
                };
                Answer::from(reply, drop)
            }
            _ => unlinked(),
        };
        metrics::count_call(settle::write_call(case).name(), result_name(&reply.result));
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let (sequence, result) = (case.sequence(), reply.result);
        let settled = self
            .store
            .write(move |tx| settle::changed(tx, &rules, sequence, result, at))
            .await?;
        Ok((Some(reply.limits), settled))
    }

    async fn look(
        &self,
        case: &Case,
        send: SendRow,
    ) -> Result<(Option<Limits>, Settled), StoreError> {
        let mut seen = self.seen(case, &send, LOOK_AT).await;
        if seen.has_more && seen.messages.is_ok() {
            seen = self.seen(case, &send, LOOK_AT_MORE).await;
        }
        metrics::count_call(seen.call, result_name(&seen.messages));
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let limits = seen.limits;
        let settled = self
            .store
            .write(move |tx| {
                bill_look(tx, &rules, &send, &seen, at)?;
                let looked = claim(tx, &send, seen)?;
                settle::looked(tx, &rules, send, looked, at)
            })
            .await?;
        Ok((Some(limits), settled))
    }

    /// The newest of the account's own messages where the send went.
    async fn seen(&self, case: &Case, send: &SendRow, most: u32) -> Seen {
        let rules = self.rules.now();
        let Some(auth) = rules.auth(case.row.waiting.account) else {
            return Seen::nothing();
        };
        let from = send
            .started_at
            .saturating_sub(SignedDuration::from_secs(10));
        let since = Since::Time(from.unwrap_or(send.started_at));
        match (send.kind, send.target.parse::<ConversationId>()) {
            (SendKind::DirectMessage, Ok(conversation)) => {
                let pair = match &conversation {
                    ConversationId::DirectMessage(pair) => pair.other(send.account.0),
                    _ => None,
                };
                let reply = match pair {
                    Some(other) => {
                        let detail = Detail::Plain;
                        self.client
                            .direct_messages_with(auth, other, most, detail)
                            .await
                    }
                    None => {
                        let detail = Detail::Plain;
                        self.client
                            .direct_messages_of(auth, &conversation, most, detail)
                            .await
                    }
                };
                Seen::of_messages(reply, send)
            }
            _ => {
                let user = send.account.0;
                let detail = Detail::Plain;
                let reply = self
                    .client
                    .user_posts(auth, user, since, most, detail)
                    .await;
                Seen::of_posts(reply)
            }
        }
    }

    async fn upload_and_send(&self, case: Case) -> Result<(Option<Limits>, Settled), StoreError> {
        let mut described = 0;
        let uploaded = self.upload(&case, &mut described).await;
        self.charge_descriptions(&case, described).await?;
        match uploaded {
            Ok(media) => match self.begin(case.sequence(), true).await? {
                Next::Send(case, send) => self.send(&case, send, &media).await,
                _ => self.nothing(case.sequence()).await,
            },
            Err(Trouble::Call(error, place)) => {
                let effect = settle::effect_of::<()>(&Err(error.clone()));
                let (rules, at) = (self.rules.now(), Timestamp::now());
                let sequence = case.sequence();
                let settled = self
                    .store
                    .write(move |tx| {
                        let why = match Case::open(tx, sequence)? {
                            Some(case) => match (error, place) {
                                (CallError::Refused(refusal), Some(place)) => {
                                    settle::file_refused(tx, &rules, &case, place, &refusal, at)?
                                }
                                (error, _) => settle::not_done(tx, &rules, &case, error, at)?,
                            },
                            None => None,
                        };
                        Settled::read(tx, sequence, effect, why)
                    })
                    .await?;
                Ok((None, settled))
            }
            Err(Trouble::Vault(error)) => self.without_file(case, error).await,
        }
    }

    /// X charges for descriptions whatever becomes of the post.
    async fn charge_descriptions(&self, case: &Case, count: u64) -> Result<(), StoreError> {
        let account = case.row.waiting.account;
        let Some(account) = account.filter(|_| count > 0) else {
            return Ok(());
        };
        let (sequence, at) = (case.sequence(), Timestamp::now());
        let amount = self.rules.now().prices.calls.media_metadata.times(count);
        self.store
            .write(move |tx| {
                tx.add_command_cost(sequence, amount)?;
                tx.add_cost(account, at, "media_metadata", count, amount)
            })
            .await
    }

    /// Files of one message, uploaded and described; counts the descriptions.
    async fn upload(&self, case: &Case, described: &mut u64) -> Result<Vec<MediaId>, Trouble> {
        let rules = self.rules.now();
        let auth = rules.auth(case.row.waiting.account);
        let unlinked = CallError::NotSent {
            reason: NotSent::NoCredential("the account is not linked"),
        };
        let auth = auth.ok_or(Trouble::Call(unlinked, None))?;
        let target = match case.command.action {
            Action::SendPost(_) => Target::Post,
            _ => Target::DirectMessage,
        };
        let mut media = Vec::new();
        let attachments = attachments(&case.command.action);
        for (place, (file, attachment)) in case.plan.files.iter().zip(attachments).enumerate() {
            let trouble = |error| Trouble::Call(error, Some(place));
            let Some(kept) = &file.kept else { continue };
            let content = self.vault.read(&kept.file).await?.into_chunks();
            let upload = Upload {
                size: kept.file.size,
                content_type: kept.media.media_type.as_str(),
                category: MediaCategory::of(kept.media.kind(), target),
                processing_deadline: PROCESSING,
            };
            let uploaded = self.client.upload_media(auth, &upload, content).await?;
            metrics::count_call(uploaded.call.name(), result_name(&uploaded.result));
            let id = uploaded.result.map_err(trouble)?.id;
            if !attachment.alt_text.is_empty() {
                let text = &attachment.alt_text;
                let told = self.client.describe_media(auth, id, text).await;
                metrics::count_call(told.call.name(), result_name(&told.result));
                told.result.map_err(trouble)?;
                *described += 1;
            }
            media.push(id);
        }
        Ok(media)
    }

    /// A file is gone or cannot be read: it is fetched again, where it can be.
    async fn without_file(
        &self,
        case: Case,
        error: VaultError,
    ) -> Result<(Option<Limits>, Settled), StoreError> {
        tracing::warn!(%error, command.id = %case.row.id, "a kept attachment cannot be used");
        let (rules, at) = (self.rules.now(), Timestamp::now());
        let settled = self
            .store
            .write(move |tx| {
                let sequence = case.sequence();
                let why = without_file(tx, &rules, &case, &error, at)?;
                Settled::read(tx, sequence, Effect::None, why)
            })
            .await?;
        Ok((None, settled))
    }
}

fn without_file(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: &Case,
    error: &VaultError,
    at: Timestamp,
) -> Result<Option<FailureCode>, StoreError> {
    let lost = matches!(error, VaultError::Missing(_) | VaultError::Damaged(_));
    let sources = attachments(&case.command.action).iter();
    let mut sources = sources.map(|attachment| &attachment.source);
    if lost && sources.any(|source| matches!(source, AttachmentSource::Data(_))) {
        let verdict = Verdict::failed(
            FailureCode::MediaUnreachable,
            "",
            "A file that came with the command is lost; send it again.",
        );
        case.finish(tx, rules, verdict, at)?;
        return Ok(None);
    }
    let mut plan = case.plan.clone();
    if lost {
        plan.files.iter_mut().for_each(|file| file.kept = None);
        tx.set_plan(case.sequence(), &plan.to_json())?;
    }
    let wait = Wait {
        state: CommandState::Pending,
        hold: if lost { Hold::Files } else { Hold::None },
        call: settle::write_call(case).name(),
        next_attempt_at: at.saturating_add(DISK_AGAIN).unwrap_or(at),
        attempt: case.row.attempt,
    };
    tx.set_waiting(case.sequence(), &wait)?;
    Ok(Some(FailureCode::MediaUnreachable))
}

/// Why files are not at X.
enum Trouble {
    /// With the place of the file it was about.
    Call(CallError, Option<usize>),
    Vault(VaultError),
}

impl From<VaultError> for Trouble {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

/// A reply, reduced to what is settled.
struct Answer<T> {
    result: Result<T, CallError>,
    limits: Limits,
}

impl<T> Answer<T> {
    fn from<U>(reply: Reply<U>, read: impl FnOnce(U) -> T) -> Self {
        Self {
            result: reply.result.map(read),
            limits: reply.limits,
        }
    }
}

fn unlinked<T>() -> Answer<T> {
    Answer {
        result: Err(CallError::NotSent {
            reason: NotSent::NoCredential("the account is not linked"),
        }),
        limits: Limits::default(),
    }
}

/// As in metrics.
pub(crate) fn result_name<T>(result: &Result<T, CallError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(CallError::NotSent { .. }) => "not_sent",
        Err(CallError::RateLimited { .. }) => "rate_limited",
        Err(CallError::CreditsDepleted { .. }) => "credits_depleted",
        Err(CallError::Unauthorized { .. }) => "unauthorized",
        Err(CallError::Unavailable { .. }) => "unavailable",
        Err(CallError::Uncertain { .. }) => "uncertain",
        Err(CallError::Refused(_)) => "refused",
    }
}

/// What a look at X saw.
struct Seen {
    call: &'static str,
    messages: Result<Vec<SeenMessage>, CallError>,
    /// There may be more, or something that could not be read: no proof of absence.
    is_partial: bool,
    has_more: bool,
    limits: Limits,
    resources: Resources,
}

enum SeenMessage {
    Post(Box<crate::domain::message::Post>),
    Direct(Box<crate::domain::activity::DirectMessage>),
}

impl SeenMessage {
    fn found(&self) -> Found<'_> {
        match self {
            Self::Post(post) => Found::post(post),
            Self::Direct(direct) => Found {
                message: &direct.message,
                target: reconcile::Target::Conversation(&direct.conversation),
            },
        }
    }

    fn number(&self) -> Option<MessageNumber> {
        match &self.found().message.id {
            MessageId::Post(id) => Some((*id).into()),
            MessageId::DirectMessage(id) => Some((*id).into()),
            MessageId::Encrypted(_) => None,
        }
    }
}

impl Seen {
    fn nothing() -> Self {
        let answer = unlinked::<Vec<SeenMessage>>();
        Self {
            call: "none",
            messages: answer.result,
            is_partial: true,
            has_more: false,
            limits: answer.limits,
            resources: Resources::default(),
        }
    }

    fn of_posts(reply: Reply<PostsFound>) -> Self {
        let found = reply.result.as_ref().ok();
        let has_more = found.is_some_and(|found| found.has_more);
        let unreadable = found.is_some_and(|found| !found.unreadable.is_empty());
        Self::of(reply, has_more, unreadable, |found| {
            let posts = found.posts.into_iter();
            posts
                .map(|post| SeenMessage::Post(Box::new(post)))
                .collect()
        })
    }

    /// Messages come newest first, so those from before the send prove that nothing is left out.
    fn of_messages(reply: Reply<DirectMessagesFound>, send: &SendRow) -> Self {
        let found = reply.result.as_ref().ok();
        let reaches_back = found.is_some_and(|found| {
            let mut messages = found.messages.iter();
            messages.any(|it| it.message.created_at < send.started_at)
        });
        let has_more = found.is_some_and(|found| found.has_more) && !reaches_back;
        let unreadable = found.is_some_and(|found| !found.unreadable.is_empty());
        Self::of(reply, has_more, unreadable, |found| {
            let messages = found.messages.into_iter();
            let own = messages.filter(|it| it.message.author.id == send.account.0);
            own.map(|it| SeenMessage::Direct(Box::new(it))).collect()
        })
    }

    fn of<T>(
        reply: Reply<T>,
        has_more: bool,
        unreadable: bool,
        messages: impl FnOnce(T) -> Vec<SeenMessage>,
    ) -> Self {
        Self {
            call: reply.call.name(),
            is_partial: has_more || unreadable,
            has_more,
            limits: reply.limits,
            resources: reply.resources,
            messages: reply.result.map(messages),
        }
    }
}

/// Finds the send among what was seen and nobody else has claimed.
fn claim(tx: &Tx<'_>, send: &SendRow, seen: Seen) -> Result<Looked, StoreError> {
    let messages = match seen.messages {
        Ok(messages) => messages,
        Err(error) => return Ok(Looked::Unclear(Some(error))),
    };
    for message in &messages {
        let Some(id) = message.number() else { continue };
        let fits = reconcile::send_of(std::slice::from_ref(send), &message.found()).is_some();
        if fits && tx.send_of(send.account, send.kind, id)?.is_none() {
            return Ok(Looked::Found(id));
        }
    }
    Ok(match seen.is_partial {
        true => Looked::Unclear(None),
        false => Looked::Absent,
    })
}

fn bill_look(
    tx: &Tx<'_>,
    rules: &Rules,
    send: &SendRow,
    seen: &Seen,
    at: Timestamp,
) -> Result<(), StoreError> {
    let prices = &rules.prices.calls;
    let amount = reads::charge(tx, prices, send.account, seen.resources, at)?;
    if amount > Usd::default() {
        tx.add_command_cost(send.command, amount)?;
    }
    Ok(())
}

/// Decides the next step and writes down that it begins: `sending` is on disk before the first
/// byte goes out.
fn begin(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    uploaded: bool,
    at: Timestamp,
) -> Result<Next, StoreError> {
    let Some(case) = Case::open(tx, sequence)? else {
        return Ok(Next::Nothing);
    };
    let waiting = &case.row.waiting;
    match waiting.state {
        CommandState::Uncertain => look_next(tx, rules, case, at),
        CommandState::Pending if waiting.hold == Hold::None => {
            let files = needs_files(tx, sequence, &case.plan)?;
            let account = waiting.account.and_then(|id| rules.registry.account(id.0));
            let hold = match account {
                Some(account) => rules.hold_now(tx, account, files)?,
                None => Hold::None,
            };
            // A person let it go, it was on its way when the credential died or sending was
            // stopped, or it turned out not to be at X, and is sent again.
            if hold != Hold::None {
                tx.set_hold(sequence, hold, at)?;
                return Ok(Next::Nothing);
            }
            if case.plan.parts.is_empty() {
                return begin_change(tx, case, at);
            }
            begin_send(tx, rules, case, uploaded, at)
        }
        _ => Ok(Next::Nothing),
    }
}

fn look_next(
    tx: &mut Tx<'_>,
    rules: &Rules,
    case: Case,
    at: Timestamp,
) -> Result<Next, StoreError> {
    let sends = tx.sends(case.sequence())?.into_iter();
    match sends
        .into_iter()
        .find(|send| send.state == SendState::Uncertain)
    {
        Some(send) => Ok(Next::Look(Box::new(case), send)),
        None => {
            settle::advance(tx, rules, case.sequence(), at)?;
            Ok(Next::Nothing)
        }
    }
}

fn mark_sending(tx: &Tx<'_>, case: &mut Case, at: Timestamp) -> Result<(), StoreError> {
    case.row.attempt += 1;
    case.row.waiting.state = CommandState::Sending;
    let wait = Wait {
        state: CommandState::Sending,
        hold: Hold::None,
        call: settle::write_call(case).name(),
        next_attempt_at: at,
        attempt: case.row.attempt,
    };
    tx.set_waiting(case.sequence(), &wait)
}

fn begin_change(tx: &Tx<'_>, mut case: Case, at: Timestamp) -> Result<Next, StoreError> {
    mark_sending(tx, &mut case, at)?;
    Ok(Next::Change(Box::new(case)))
}

fn begin_send(
    tx: &mut Tx<'_>,
    rules: &Rules,
    mut case: Case,
    uploaded: bool,
    at: Timestamp,
) -> Result<Next, StoreError> {
    let sends = tx.sends(case.sequence())?;
    let is_done = |part: u32| {
        let mut sends = sends.iter();
        sends.any(|send| send.part == part && send.state == SendState::Done)
    };
    let Some(part) = (1..=case.plan.part_count()).find(|part| !is_done(*part)) else {
        settle::advance(tx, rules, case.sequence(), at)?;
        return Ok(Next::Nothing);
    };
    let with_files = part == 1 && !case.plan.files.is_empty();
    if with_files && !uploaded {
        return Ok(Next::Upload(Box::new(case)));
    }
    let Some(account) = case.row.waiting.account else {
        return Ok(Next::Nothing);
    };
    let send = new_send(tx, rules, &case, (account, part), at)?;
    tx.put_send(&send)?;
    mark_sending(tx, &mut case, at)?;
    Ok(Next::Send(Box::new(case), send))
}

/// A part on its way, for the first time at `at` or again.
pub(super) fn new_send(
    tx: &Tx<'_>,
    rules: &Rules,
    case: &Case,
    (account, part): (AccountId, u32),
    at: Timestamp,
) -> Result<SendRow, StoreError> {
    let sends = tx.sends(case.sequence())?;
    let before = sends.iter().find(|send| send.part == part);
    let index = usize::try_from(part).unwrap_or(1) - 1;
    Ok(SendRow {
        command: case.sequence(),
        part,
        account,
        kind: match case.command.action {
            Action::SendDirectMessage(_) => SendKind::DirectMessage,
            _ => SendKind::Post,
        },
        state: SendState::Sending,
        text: case.plan.parts.get(index).cloned().unwrap_or_default(),
        target: target(tx, rules, case, &sends, part)?,
        has_media: part == 1 && !case.plan.files.is_empty(),
        started_at: before.map_or(at, |before| before.started_at),
        ended_at: None,
        doubted: before.is_some_and(|before| before.doubted),
        empty_reads: 0,
        message: None,
        sent_at: None,
    })
}

/// What a part answers, or where it is written.
fn target(
    tx: &Tx<'_>,
    rules: &Rules,
    case: &Case,
    sends: &[SendRow],
    part: u32,
) -> Result<String, StoreError> {
    let Action::SendPost(post) = &case.command.action else {
        return Ok(case.plan.conversation.clone().unwrap_or_default());
    };
    let parent = post.in_reply_to.map(|id| id.to_string());
    let previous = sends.iter().find(|send| send.part + 1 == part);
    let Some(previous) = previous.and_then(|send| send.message) else {
        return Ok(parent.unwrap_or_default());
    };
    let app = rules.app_name(case.row.waiting.account);
    let below_customer = tx.meta(&settle::split_key(app))?.is_some();
    Ok(match parent.filter(|_| below_customer) {
        Some(parent) => parent,
        None => previous.to_string(),
    })
}

/// A command that was on its way when the process ended, or whose end could not be noted: what it
/// did is open, and looked up.
pub(super) fn recover_one(
    tx: &mut Tx<'_>,
    rules: &Rules,
    sequence: u64,
    at: Timestamp,
) -> Result<(), StoreError> {
    let case = Case::open(tx, sequence)?;
    let Some(case) = case.filter(|case| case.row.waiting.state == CommandState::Sending) else {
        return Ok(());
    };
    let sends = tx.sends(sequence)?;
    let sending = sends.iter().find(|send| send.state == SendState::Sending);
    match sending {
        Some(send) => {
            let part = send.part;
            let lost = CallError::Uncertain {
                reason: crate::x::client::UncertainBecause::ConnectionLost,
                upstream: None,
            };
            settle::wrote(tx, rules, sequence, part, Err(lost), at).map(drop)
        }
        None if case.plan.parts.is_empty() => {
            let wait = Wait {
                state: CommandState::Pending,
                hold: Hold::None,
                call: settle::write_call(&case).name(),
                next_attempt_at: at,
                attempt: case.row.attempt,
            };
            tx.set_waiting(sequence, &wait)
        }
        None => settle::advance(tx, rules, sequence, at),
    }
}
