//! A try of the way to the core: a message that nobody wrote goes through the account's filters, the
//! journal and the relay to the broker, marked as a test. Nothing is remembered of it: no thread, no
//! case, no cost.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::admin::AdminError;
use super::admin::events::EventState;
use super::ingest::append;
use super::rules::LiveRules;
use crate::broker::inbox::{InboxMonitor, InboxState};
use crate::broker::settings::BrokerSettings;
use crate::domain::access::Actor;
use crate::domain::account::{Account, App, Delivery as Subscribed};
use crate::domain::activity::Via;
use crate::domain::event::{
    AccountRef, Conversation, Customer, Delivery, Described, Event, Incoming, Payload, Permission,
    ReplyAdvice,
};
use crate::domain::filter::{Candidate, Decision, Relation, Route, decide};
use crate::domain::ids::{
    AccountId, ConversationId, DirectMessageId, EventId, MessageId, Pair, TweetId, UserId,
};
use crate::domain::message::{Mention, Message, Person};
use crate::domain::money::Usd;
use crate::domain::price::CallPrices;
use crate::domain::text::DIRECT_MESSAGE_LIMIT;
use crate::store::{Store, StoreError, Tx};

/// Test ids begin here: far above those that X gives out in this decade, and still in 63 bits.
const FIRST_ID: u64 = 9_000_000_000_000_000_000;
/// How many there are.
const IDS: u64 = 200_000_000_000_000_000;
/// How often it is looked whether the broker has it: nothing tells of a confirm.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// For a look at the inboxes, connecting included.
const INBOXES_WITHIN: Duration = Duration::from_secs(5);

/// What is tried.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub account: AccountId,
    pub kind: TestKind,
    /// `None`: a text that says what it is.
    pub text: Option<String>,
}

/// As what the test comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestKind {
    /// A post that names the account.
    Mention,
    DirectMessage,
}

/// A test on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub event: EventId,
    pub account: AccountId,
    pub sequence: u64,
    pub routing_key: String,
    /// By which filter, and to which group.
    pub route: Route,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Published: confirmed by the broker, and in at least one queue. Waiting: not confirmed yet.
    pub state: EventState,
    /// The inboxes of the settings; `None` where the broker could not be asked.
    pub inboxes: Option<Vec<InboxState>>,
}

/// Sends tests.
#[derive(Clone)]
pub struct TestEvents {
    store: Store,
    rules: LiveRules,
    broker: Arc<BrokerSettings>,
}

impl TestEvents {
    pub fn new(store: Store, rules: LiveRules, broker: Arc<BrokerSettings>) -> Self {
        Self {
            store,
            rules,
            broker,
        }
    }

    /// Writes a test into the journal, if a filter wants it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]: the account is not linked. [`AdminError::Refused`]: no filter wants
    /// it. And when the store cannot be written.
    pub async fn send(
        &self,
        wanted: Wanted,
        who: Actor,
        now: Timestamp,
    ) -> Result<Sent, AdminError> {
        let number = FIRST_ID + rand::random_range(0..IDS);
        let (event, route) = self.event(&wanted, number, now)?;
        let (id, routing_key) = (event.id(), event.routing_key());
        let object = id.to_string();
        let detail = json!({"account": wanted.account.to_string(), "filter": route.filter});
        let write = move |tx: &mut Tx<'_>| {
            tx.audit(&who, "event.test", &object, &detail, now)?;
            append(tx, id, event, now)
        };
        Ok(Sent {
            event: id,
            account: wanted.account,
            sequence: super::admin::write(&self.store, write).await?,
            routing_key,
            route,
        })
    }

    fn event(
        &self,
        wanted: &Wanted,
        number: u64,
        now: Timestamp,
    ) -> Result<(Event, Route), AdminError> {
        let rules = self.rules.now();
        let registry = &rules.registry;
        let Some(account) = registry.account(wanted.account.0) else {
            let id = wanted.account;
            return Err(AdminError::NotFound(format!("no account {id} is linked")));
        };
        let draft = Draft::new(account, wanted, number, now).ok_or_else(out_of_range)?;
        let candidate = Candidate {
            account: account.id,
            message: &draft.message,
            relations: &[draft.relation],
            explicit_mention: draft.relation == Relation::Mention,
            is_repost: false,
            own_author: false,
            blocked: false,
            message_request: None,
            followed: None,
            now,
        };
        match decide(registry.filters(account.id), &candidate) {
            Decision::Unwanted(why) => Err(AdminError::Refused(format!(
                "No filter of @{} wants such a message ({}). Add one, or send another text or kind.",
                account.username,
                why.why.name()
            ))),
            Decision::Wanted {
                route, relations, ..
            } => {
                let (route, via) = (route.clone(), via(registry.app_of(account)));
                let max_length = match draft.relation {
                    Relation::Direct => u32::try_from(DIRECT_MESSAGE_LIMIT).unwrap_or(u32::MAX),
                    _ => rules.post_limit(account),
                };
                let advice = advice(max_length, draft.relation, &rules.prices.calls);
                let event = draft.event(account, route.clone(), relations, advice, via);
                Ok((event, route))
            }
        }
    }

    /// Waits until the broker has confirmed or returned it, at most for `limit`; then looks at the
    /// inboxes. That one was confirmed is remembered: the set-up's last step is done then.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn arrival(&self, sent: &Sent, limit: Duration) -> Result<Arrival, StoreError> {
        let (sequence, deadline) = (sent.sequence, Instant::now() + limit);
        let state = loop {
            let state = self.store.read(move |tx| EventState::of(sequence, tx));
            match state.await? {
                EventState::Waiting if Instant::now() < deadline => sleep(LOOK_EVERY).await,
                state => break state,
            }
        };
        if state == EventState::Published {
            let (account, now) = (sent.account, Timestamp::now());
            let note = move |tx: &mut Tx<'_>| tx.note_tested(account, now);
            self.store.write(note).await?;
        }
        Ok(Arrival {
            state,
            inboxes: self.inboxes().await,
        })
    }

    async fn inboxes(&self) -> Option<Vec<InboxState>> {
        let mut monitor = InboxMonitor::new(Arc::clone(&self.broker));
        match tokio::time::timeout(INBOXES_WITHIN, monitor.observe()).await {
            Ok(Ok(inboxes)) => Some(inboxes),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the inboxes cannot be seen");
                None
            }
            Err(_late) => None,
        }
    }
}

fn out_of_range() -> AdminError {
    AdminError::Refused("no id is left for a test".to_owned())
}

fn via(app: Option<&App>) -> Via {
    match app.map(|app| &app.delivery) {
        Some(Subscribed::Activity) | None => Via::Activity,
        Some(Subscribed::AccountActivity | Subscribed::AccountActivityV1 { .. }) => {
            Via::AccountActivity
        }
    }
}

/// Nobody at X could be answered.
fn advice(max_length: u32, relation: Relation, prices: &CallPrices) -> ReplyAdvice {
    let (plain, with_link) = match relation {
        Relation::Direct => (prices.direct_message, prices.direct_message),
        _ => (prices.summoned_reply, prices.post_with_url),
    };
    ReplyAdvice {
        permission: Permission::Unknown(None),
        max_length,
        estimated_cost: plain,
        estimated_cost_with_link: with_link,
    }
}

/// A test message, before it is known whether a filter wants it.
struct Draft {
    message: Message,
    conversation: ConversationId,
    relation: Relation,
}

impl Draft {
    fn new(account: &Account, wanted: &Wanted, number: u64, now: Timestamp) -> Option<Self> {
        let author = author()?;
        let (id, conversation, relation) = match wanted.kind {
            TestKind::Mention => {
                let id = TweetId::from_number(number)?;
                let thread = ConversationId::Thread(id);
                (MessageId::Post(id), thread, Relation::Mention)
            }
            TestKind::DirectMessage => {
                let id = DirectMessageId::from_number(number)?;
                let pair = Pair::new(account.id.0, author.id);
                let conversation = ConversationId::DirectMessage(pair);
                (MessageId::DirectMessage(id), conversation, Relation::Direct)
            }
        };
        Some(Self {
            message: message(account, wanted, id, author, now),
            conversation,
            relation,
        })
    }

    fn event(
        self,
        account: &Account,
        route: Route,
        relations: Vec<Relation>,
        reply: ReplyAdvice,
        via: Via,
    ) -> Event {
        let (author, at) = (&self.message.author, self.message.created_at);
        let customer = Customer {
            id: author.id,
            username: author.username.clone(),
        };
        let edit_history = match self.message.id {
            MessageId::Post(id) => vec![id],
            MessageId::DirectMessage(_) | MessageId::Encrypted(_) => Vec::new(),
        };
        let incoming = Incoming {
            route,
            conversation: Conversation {
                id: self.conversation,
                customer: Some(customer),
                related: Vec::new(),
            },
            message: Described {
                original_id: self.message.id.clone(),
                message: self.message,
                relations,
                own: false,
                in_reply_to: None,
                quoted: None,
                quoted_own: false,
                edit_history,
            },
            context: Vec::new(),
            reply,
            delivery: Delivery {
                via,
                received_at: at,
                cost: Usd::default(),
            },
        };
        Event {
            account: AccountRef {
                id: Some(account.id),
                username: account.username.clone(),
            },
            time: at,
            backfilled: false,
            payload: Payload::TestMessage(Box::new(incoming)),
        }
    }
}

/// One and the same person for every test, so that a core makes one customer of them.
fn author() -> Option<Person> {
    Some(Person {
        username: "twitter_channel".to_owned(),
        name: "Test of twitter-channel".to_owned(),
        ..Person::unknown(UserId::from_number(FIRST_ID)?)
    })
}

fn message(
    account: &Account,
    wanted: &Wanted,
    id: MessageId,
    author: Person,
    now: Timestamp,
) -> Message {
    let text = wanted.text.clone().unwrap_or_else(|| {
        "This is a test of the channel. Nobody wrote it, and nobody can be answered.".to_owned()
    });
    let mention = Mention {
        id: Some(account.id.0),
        username: account.username.clone(),
        name: String::new(),
        explicit: true,
    };
    let (text, mentions) = match wanted.kind {
        TestKind::Mention => (format!("@{} {text}", account.username), vec![mention]),
        TestKind::DirectMessage => (text, Vec::new()),
    };
    let hashtags = crate::domain::text::hashtags(&text).into_iter();
    let hashtags = hashtags.filter_map(|place| Some(text.get(place)?.chars().skip(1).collect()));
    Message {
        id,
        // Times of posts are cut to the second.
        created_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
        author,
        hashtags: hashtags.collect(),
        text,
        lang: String::new(),
        mentions,
        links: Vec::new(),
        attachments: Vec::new(),
        possibly_sensitive: false,
        source_app: String::new(),
    }
}
