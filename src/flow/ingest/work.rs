//! One delivery inside the store's transaction.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::broker::messages;
use crate::domain::account::{Account, Keywords};
use crate::domain::activity::{Activity, ActivityEvent, Normalized, Recipient, Via};
use crate::domain::event::{AccountRef, Conversation, Customer, Delivery, Event, Payload};
use crate::domain::filter::{FOLLOWED_FOR, Route, Why};
use crate::domain::ids::{AccountId, ConversationId, EventId, MessageId, TweetId, UserId};
use crate::domain::message::{Message, MessageKind};
use crate::domain::money::Usd;
use crate::domain::price::Prices;
use crate::domain::registry::Registry;
use crate::flow::deletion;
use crate::flow::enrich::Enrichment;
use crate::flow::media_link::MediaLinks;
use crate::flow::reply::revoked;
use crate::flow::rules::Rules;
use crate::flow::sighting::Sighting;
use crate::store::{
    Case, ConversationRow, NewQuarantined, NewRow, QuarantineReason, ReplayEnd, StoreError, Tx,
};

/// An event older than this gets no automatic answers.
const BACKFILLED_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// X replays nothing younger, and by then no longer repeats what it could not deliver.
const REPLAYED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// What does not change while the service runs.
pub(crate) struct Context {
    rules: Arc<Rules>,
    media: Arc<MediaLinks>,
    enrichment: Enrichment,
    held_limit: u64,
}

impl Context {
    /// `held_limit`: bytes of deliveries that may be held back in storms.
    pub(super) fn new(
        rules: Arc<Rules>,
        media: Arc<MediaLinks>,
        enrichment: Enrichment,
        held_limit: u64,
    ) -> Self {
        Self {
            rules,
            media,
            enrichment,
            held_limit,
        }
    }

    pub(super) fn held_limit(&self) -> u64 {
        self.held_limit
    }

    pub(super) fn enrichment(&self) -> &Enrichment {
        &self.enrichment
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.rules.registry
    }

    pub(super) fn prices(&self) -> &Prices {
        &self.rules.prices
    }

    pub(super) fn media(&self) -> &MediaLinks {
        &self.media
    }
}

/// What became of one activity for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Published,
    Duplicate,
    /// It waits until it is known whether a command made it.
    Waiting,
    /// It is not published; the name of why.
    Unwanted(&'static str),
}

/// A message that is not published, or not yet.
pub(super) struct Unwanted {
    pub why: Why,
    pub sighting: Sighting,
}

/// What became of a delivery, for metrics and logs; valid once the transaction is committed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub published: Vec<(EventId, &'static str, &'static str)>,
    pub duplicates: u64,
    /// For whom X delivered something, whatever became of it.
    pub heard: Vec<AccountId>,
    /// Messages published for these accounts, `message.received` and `message.sent`.
    pub messages: Vec<(AccountId, &'static str)>,
    pub unwanted: Vec<&'static str>,
    pub quarantined: Option<&'static str>,
    /// Told past the journal.
    pub typing: Vec<Event>,
    /// Holds something that was not known before and is not old.
    pub new: bool,
}

impl Report {
    /// Adds what became of another delivery of the same transaction.
    pub(super) fn merge(&mut self, other: Self) {
        self.published.extend(other.published);
        self.duplicates += other.duplicates;
        self.unwanted.extend(other.unwanted);
        self.quarantined = self.quarantined.or(other.quarantined);
        self.typing.extend(other.typing);
        self.new |= other.new;
    }
}

/// An event that now has its place in the journal.
pub(super) struct Appended {
    pub id: EventId,
    sequence: u64,
}

/// A delivery on its way into the store.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    /// The app whose webhook it came to.
    pub app: &'a str,
    pub body: &'a Bytes,
    /// When it came in; long ago where it was kept.
    pub received_at: Timestamp,
    /// It has waited for a command to be settled, and does not wait again.
    pub waited: bool,
    /// It was held back for this message of an account, and somebody let that through.
    pub released: Option<(AccountId, TweetId)>,
}

pub(crate) struct Work<'a, 'tx> {
    pub(super) tx: &'a mut Tx<'tx>,
    pub(super) context: &'a Context,
    pub(super) via: Via,
    pub(super) arrival: Arrival<'a>,
    /// Now.
    pub(super) at: Timestamp,
    /// The delivery names no account: all of the app are looked at, and most do not want it.
    shared: bool,
    /// X's charge for the activity at hand is noted: it charges once, however many want it.
    billed: Cell<bool>,
    pub(super) report: Report,
}

/// Stores all that a delivery holds: events, and in quarantine what was not understood.
pub(crate) fn store_delivery(
    tx: &mut Tx<'_>,
    context: &Context,
    arrival: Arrival<'_>,
    delivery: &Normalized,
    at: Timestamp,
) -> Result<Report, StoreError> {
    let mut work = Work {
        tx,
        context,
        via: delivery.via.unwrap_or(Via::AccountActivity),
        arrival,
        at,
        shared: false,
        billed: Cell::new(false),
        report: Report::default(),
    };
    let mut unlinked = None;
    for activity in &delivery.activities {
        unlinked = work.activity(arrival.app, activity)?.or(unlinked);
    }
    work.quarantine(delivery, unlinked)?;
    Ok(work.report)
}

/// Nobody whom an activity is for is linked; the account it waits for, where it names just one.
struct Unlinked(Option<UserId>);

impl Work<'_, '_> {
    fn activity(&mut self, app: &str, activity: &Activity) -> Result<Option<Unlinked>, StoreError> {
        if let ActivityEvent::ReplayEnded {
            job_id, complete, ..
        } = &activity.event
        {
            tracing::info!(app, complete, "a replay job of X has ended");
            self.tx.keep_replay_end(&ReplayEnd {
                app: app.to_owned(),
                job: job_id.clone(),
                complete: *complete,
                at: self.at,
            })?;
            return Ok(None);
        }
        let context = self.context;
        let registry = context.registry();
        let accounts = accounts_for(registry, app, &activity.recipient);
        self.shared = activity.recipient == Recipient::App && accounts.len() > 1;
        self.billed.set(false);
        if accounts.is_empty() {
            return Ok(Some(Unlinked(match &activity.recipient {
                Recipient::User(user) => Some(*user),
                Recipient::Participants(_) | Recipient::App => None,
            })));
        }
        let mut concerned = None;
        for account in &accounts {
            let outcome = self.event_for(app, account, &activity.event)?;
            if self.shared && outcome == Outcome::Unwanted(Why::NoFilter.name()) {
                continue;
            }
            concerned = Some(account);
            if !self.via.is_read() {
                self.report.heard.push(account.id);
            }
            self.count(outcome);
        }
        if let (None, Some(first)) = (concerned, accounts.first()) {
            self.wanted_by_nobody(first, &activity.event)?;
        }
        Ok(None)
    }

    /// What a rule of the app matches and no account wants is charged all the same.
    fn wanted_by_nobody(
        &mut self,
        account: &Account,
        event: &ActivityEvent,
    ) -> Result<(), StoreError> {
        self.shared = false;
        self.report.heard.push(account.id);
        if let ActivityEvent::Post(post) = event {
            let outcome = self.post(account, post)?;
            self.count(outcome);
        }
        Ok(())
    }

    fn event_for(
        &mut self,
        app: &str,
        account: &Account,
        event: &ActivityEvent,
    ) -> Result<Outcome, StoreError> {
        if self.is_gone(account, event)? {
            return Ok(Outcome::Duplicate);
        }
        match event {
            ActivityEvent::Post(post) => self.post(account, post),
            ActivityEvent::PostDeleted { id, author_id, at } => {
                self.post_deleted(account, *id, *author_id, *at)
            }
            ActivityEvent::Direct(direct) => self.direct(account, direct),
            ActivityEvent::Read {
                conversation,
                reader_id,
                last_read,
                at,
            } => self.read(account, conversation, *reader_id, *last_read, *at),
            ActivityEvent::Typing {
                conversation,
                author_id,
                at,
            } => self.typing(account, conversation, *author_id, *at),
            ActivityEvent::Revoked { at, .. } => self.revoked(app, account, *at),
            // Handled for the app as a whole.
            ActivityEvent::ReplayEnded { .. } => Ok(Outcome::Duplicate),
        }
    }

    /// What is known to be gone does not come back.
    fn is_gone(&self, account: &Account, event: &ActivityEvent) -> Result<bool, StoreError> {
        let (original, message) = match event {
            ActivityEvent::Post(post) => (MessageId::Post(post.original_id()), &post.message),
            ActivityEvent::Direct(direct) => (direct.message.id.clone(), &direct.message),
            _ => return Ok(false),
        };
        let pseudonyms = &self.context.rules().pseudonyms;
        let of = (&original, message.author.id);
        deletion::is_gone(self.tx, pseudonyms, account.id, of)
    }

    /// What became of an event that another part has appended, if it was new.
    pub(super) fn published(
        &mut self,
        event: Option<EventId>,
        event_type: &'static str,
        kind: &'static str,
        time: Timestamp,
    ) -> Outcome {
        let Some(id) = event else {
            return Outcome::Duplicate;
        };
        self.report.new |= !self.is_old(time);
        self.report.published.push((id, event_type, kind));
        Outcome::Published
    }

    fn revoked(
        &mut self,
        app: &str,
        account: &Account,
        at: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let reason = "The account's owner removed the app's access at X.".to_owned();
        let known = EventId::new(
            &account.id.to_string(),
            "account.revoked",
            &format!("{app}/{at}"),
            at.as_millisecond().unsigned_abs(),
        );
        if self.tx.seen(known)?.is_some() || !revoked::note_of(self.tx, account, reason, at)? {
            return Ok(Outcome::Duplicate);
        }
        self.report
            .published
            .push((known, "account.revoked", "account"));
        Ok(Outcome::Published)
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Published | Outcome::Waiting => {}
            Outcome::Duplicate => self.report.duplicates += 1,
            Outcome::Unwanted(why) => self.report.unwanted.push(why),
        }
    }

    /// Since when a thread is followed and `related` looks back.
    pub(super) fn recent(&self) -> Timestamp {
        self.at.saturating_sub(FOLLOWED_FOR).unwrap_or(self.at)
    }

    pub(super) fn delivery(&self, account: &Account, message: &Message) -> Delivery {
        let own = message.author.id == account.id.0;
        let prices = self.context.prices();
        Delivery {
            via: self.via,
            received_at: self.arrival.received_at,
            cost: prices.of_message(self.via, message.kind(), own),
        }
    }

    /// X charges each message that it delivers, wanted or not; a repeat within a day is free. What
    /// we read is charged with the call, as X counts it there.
    pub(super) fn bill(&self, account: &Account, message: &Message) -> Result<(), StoreError> {
        if self.via.is_read() || self.shared && self.billed.replace(true) {
            return Ok(());
        }
        let own = message.author.id == account.id.0;
        let prices = &self.context.prices().events;
        let cost = prices.of_message(self.via, message.kind(), own);
        if cost == Usd::default() {
            return Ok(());
        }
        let kind = match (message.kind(), own) {
            (MessageKind::Post, _) => "event_post",
            (MessageKind::DirectMessage, false) => "event_direct_message_received",
            (MessageKind::DirectMessage, true) => "event_direct_message_sent",
            (MessageKind::EncryptedMessage, false) => "event_encrypted_message_received",
            (MessageKind::EncryptedMessage, true) => "event_encrypted_message_sent",
        };
        self.tx.add_cost(account.id, self.at, kind, 1, cost)
    }

    pub(super) fn conversation(
        &self,
        account: AccountId,
        id: ConversationId,
        customer: Option<Customer>,
    ) -> Result<Conversation, StoreError> {
        let related = match &customer {
            Some(customer) => self.tx.related(account, customer.id, &id, self.recent())?,
            None => Vec::new(),
        };
        Ok(Conversation {
            id,
            customer,
            related,
        })
    }

    pub(super) fn event(
        &self,
        account: &Account,
        time: Timestamp,
        payload: Payload,
    ) -> Result<Event, StoreError> {
        Ok(Event {
            account: AccountRef {
                id: Some(account.id),
                username: account.username.clone(),
            },
            time,
            backfilled: self.is_backfilled(time)?,
            payload,
        })
    }

    /// Whether we asked for it, or X delivers late. A replayed delivery is known by its age alone.
    fn is_backfilled(&self, time: Timestamp) -> Result<bool, StoreError> {
        if self.via.is_read() || self.is_old(time) {
            return Ok(true);
        }
        let may_be_replayed = self.at.duration_since(time) >= REPLAYED_AFTER;
        Ok(may_be_replayed && self.tx.is_replayed(self.arrival.app, time)?)
    }

    fn is_old(&self, time: Timestamp) -> bool {
        self.at.duration_since(time) > BACKFILLED_AFTER
    }

    /// Appends an event of which it is known that it was not published before.
    pub(super) fn append(
        &mut self,
        account: &Account,
        time: Timestamp,
        payload: Payload,
    ) -> Result<Appended, StoreError> {
        let event = self.event(account, time, payload)?;
        let id = event.id();
        self.append_event(id, event)
    }

    fn append_event(&mut self, id: EventId, event: Event) -> Result<Appended, StoreError> {
        self.report.new |= !event.backfilled;
        if let Some(account) = event.account.id {
            let event_type = event.payload.event_type();
            self.report.messages.push((account, event_type));
        }
        self.report
            .published
            .push((id, event.payload.event_type(), event.payload.kind()));
        let sequence = append(self.tx, id, event, self.at)?;
        Ok(Appended { id, sequence })
    }

    /// Appends an event unless it was published before.
    pub(super) fn append_unless_seen(
        &mut self,
        account: &Account,
        time: Timestamp,
        payload: Payload,
    ) -> Result<Option<Appended>, StoreError> {
        let event = self.event(account, time, payload)?;
        let id = event.id();
        if self.tx.seen(id)?.is_some_and(|seen| seen.wanted) {
            return Ok(None);
        }
        self.append_event(id, event).map(Some)
    }

    /// As [`Work::append_unless_seen`], for events that touch no conversation.
    pub(super) fn append_new(
        &mut self,
        account: &Account,
        time: Timestamp,
        payload: Payload,
    ) -> Result<Outcome, StoreError> {
        let appended = self.append_unless_seen(account, time, payload)?;
        Ok(appended.map_or(Outcome::Duplicate, |_| Outcome::Published))
    }

    pub(super) fn unwanted(
        &mut self,
        account: &Account,
        message: &Message,
        id: EventId,
        unwanted: &Unwanted,
    ) -> Result<Outcome, StoreError> {
        if self.shared && unwanted.why == Why::NoFilter {
            return Ok(Outcome::Unwanted(unwanted.why.name()));
        }
        let sequence = self.tx.next_sequence();
        let new = self.tx.remember_unwanted(id, self.at)?;
        if new {
            self.bill(account, message)?;
            self.keep_sighting(account.id, sequence, &unwanted.sighting)?;
        }
        self.report.new |= new && !self.is_old(message.created_at);
        Ok(if new {
            Outcome::Unwanted(unwanted.why.name())
        } else {
            Outcome::Duplicate
        })
    }

    /// Keeps what filters look at, where a message has no event that shows it.
    fn keep_sighting(
        &self,
        account: AccountId,
        sequence: u64,
        sighting: &Sighting,
    ) -> Result<(), StoreError> {
        let body = sighting.encode();
        self.tx.keep_sighting(sequence, account, &body, self.at)
    }

    /// The same beside an event.
    pub(super) fn keep_sighting_beside(
        &self,
        account: AccountId,
        appended: &Appended,
        sighting: &Sighting,
    ) -> Result<(), StoreError> {
        self.keep_sighting(account, appended.sequence, sighting)
    }

    /// Remembers that a message was published in a conversation (given as stored so far), and where
    /// it went.
    pub(super) fn note_published(
        &mut self,
        account: AccountId,
        (id, stored): (&ConversationId, Option<ConversationRow>),
        route: Option<Route>,
        appended: &Appended,
    ) -> Result<(), StoreError> {
        let mut row = stored.unwrap_or_default();
        row.first_sequence.get_or_insert(appended.sequence);
        if let Some(route) = route {
            row.received_at = Some(self.at);
            row.group = route.group;
            row.filter = route.filter;
            row.tags = route.tags;
        }
        self.tx.put_conversation(account, id, &row, self.at)
    }

    fn quarantine(
        &mut self,
        delivery: &Normalized,
        unlinked: Option<Unlinked>,
    ) -> Result<(), StoreError> {
        let rejected = delivery.rejected.first();
        let (reason, detail) = match (rejected, &unlinked) {
            (Some(rejected), _) => (rejected.reason.into(), rejected.detail.clone()),
            (None, Some(Unlinked(user))) => (
                QuarantineReason::AccountNotLinked,
                user.map_or_else(
                    || "nobody whom it may be for is linked".to_owned(),
                    |user| format!("account {user} is not linked"),
                ),
            ),
            (None, None) => return Ok(()),
        };
        let kept = NewQuarantined {
            app: self.arrival.app.to_owned(),
            reason,
            detail,
            account: unlinked.and_then(|Unlinked(user)| user).map(AccountId),
            body: self.arrival.body.to_vec(),
        };
        if self.tx.quarantine(&kept, self.arrival.received_at)? {
            self.report.quarantined = Some(kept.reason.name());
            self.report.new = true;
        }
        Ok(())
    }
}

/// Whom an activity is for.
pub(super) fn accounts_for<'r>(
    registry: &'r Registry,
    app: &'r str,
    recipient: &Recipient,
) -> Vec<&'r Account> {
    match recipient {
        Recipient::User(user) => registry.account(*user).into_iter().collect(),
        Recipient::Participants(users) => users
            .iter()
            .filter_map(|user| registry.account(*user))
            .collect(),
        Recipient::App => app_accounts(registry, app),
    }
}

/// Of one app, those for whom it streams first: what nobody wants is charged to the first.
fn app_accounts<'r>(registry: &'r Registry, app: &'r str) -> Vec<&'r Account> {
    let mut accounts: Vec<_> = registry.accounts_of(app).collect();
    accounts.sort_by_key(|it| (it.feeds.keywords != Keywords::Stream, it.id));
    accounts
}

/// Where a conversation's messages went.
pub(super) fn route_of(row: &ConversationRow) -> Route {
    Route {
        group: row.group.clone(),
        filter: row.filter.clone(),
        tags: row.tags.clone(),
    }
}

/// Whose case a message is published in.
fn case(event: &Event) -> Option<Case> {
    let conversation = match &event.payload {
        Payload::MessageReceived(incoming) => &incoming.conversation,
        Payload::MessageSent(outgoing) => &outgoing.conversation,
        Payload::MessageEdited(edited) => &edited.conversation,
        _ => return None,
    };
    Some(Case {
        account: event.account.id?,
        customer: conversation.customer.as_ref()?.id,
        conversation: conversation.id.clone(),
    })
}

/// Gives an event its place in the journal.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    id: EventId,
    event: Event,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let row = NewRow {
        id,
        event_type: event.payload.event_type(),
        routing_key: event.routing_key(),
        correlation_id: event.correlation_id(),
        subject: event.subject(),
        time: event.time,
        mandatory: event.payload.mandatory(),
        case: case(&event),
        body: messages::encode(id, event, tx.next_sequence()),
    };
    tx.append(row, at)
}
