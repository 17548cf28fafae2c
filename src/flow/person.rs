//! All that is held of a person: handed out, or erased.
//!
//! Erasing goes through every table part by part, so that deliveries never wait behind it; done twice
//! it changes nothing. What of it the broker does not have yet is blanked and goes once published.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::deletion::{self, Gone};
use super::enrich::Enrichment;
use super::pseudonyms::Pseudonyms;
use super::reply::files;
use super::rules::{LiveRules, Rules};
use crate::attachments::vault::{Vault, VaultError};
use crate::broker::redact;
use crate::domain::access::Actor;
use crate::domain::activity::ActivityEvent;
use crate::domain::event::{DetectedBy, GoneBecause, message_event_id};
use crate::domain::ids::{AccountId, ConversationId, EventId, MessageId, Pair, TweetId, UserId};
use crate::store::{
    CommandRow, Deliveries, Delivery, Hold, JournalRow, Leaving, PostRow, Proof, Store, StoreError,
    Tx,
};
use crate::x::normalize::normalize;
use crate::x::redact::without_person;

/// Rows with bodies that one transaction looks at or changes: each is read as JSON.
const CHUNK: usize = 100;
/// The same of small rows.
const SMALL_CHUNK: usize = 2000;
/// Kept deliveries that one transaction looks at: each may be as large as a body may be.
const DELIVERIES_CHUNK: usize = 20;

/// Why a person was not erased, or not handed out, to the end; it may be asked for again.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the person stays.
    #[error(transparent)]
    Files(#[from] VaultError),
    /// Whoever is handed it takes no more.
    #[error("nobody takes what is held any more")]
    NotTaken,
}

/// Takes JSON lines that are handed out, each with its end; slow takers are waited for.
pub type Lines = mpsc::Sender<String>;

async fn send(out: &Lines, line: &Value) -> Result<(), PersonError> {
    let sent = out.send(format!("{line}\n")).await;
    sent.map_err(|_closed| PersonError::NotTaken)
}

/// How much was erased, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Events by the person, or in the person's cases.
    pub events: u64,
    /// Events of others in which the person was named.
    pub redacted: u64,
    /// `message.deleted` that the core hears.
    pub told: u64,
    /// Posts known by id.
    pub posts: u64,
    /// Deliveries kept for whatever reason, and what is remembered of messages nobody wanted.
    pub deliveries: u64,
    pub commands: u64,
    pub files: u64,
}

/// Finds what is held of people; cheap to clone.
#[derive(Clone)]
pub struct Persons {
    store: Store,
    rules: LiveRules,
    vault: Vault,
    /// What this process has read of X, where it reads.
    found: Option<Enrichment>,
}

/// Who asks to erase a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedBy {
    /// For the proof; names no person but whoever asks.
    name: String,
    /// Whose change it is; a core's commands are no changes of an administrator's.
    actor: Option<Actor>,
}

impl AskedBy {
    /// A core.
    pub fn core(name: String) -> Self {
        Self { name, actor: None }
    }

    /// An administrator, more closely known by `name` than as an actor.
    pub fn admin(actor: Actor, name: String) -> Self {
        Self {
            name,
            actor: Some(actor),
        }
    }
}

/// What one part of an erasure needs.
#[derive(Clone)]
struct Erasure {
    rules: Arc<Rules>,
    person: UserId,
    at: Timestamp,
}

/// Whom an event tells of.
#[derive(Debug, Default)]
struct Told {
    message: Option<MessageId>,
    author: Option<UserId>,
    customer: Option<UserId>,
    /// Who read, in `conversation.read`.
    reader: Option<UserId>,
    conversation: Option<ConversationId>,
    account: Option<AccountId>,
}

impl Told {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |at: &str| body.pointer(at).and_then(Value::as_str);
        let user = |at: &str| text(at).and_then(|id| id.parse::<UserId>().ok());
        let original = text("/message/original_id").unwrap_or_default();
        Self {
            message: match text("/message/kind") {
                Some("POST") => original.parse().ok().map(MessageId::Post),
                Some("DIRECT_MESSAGE") => original.parse().ok().map(MessageId::DirectMessage),
                Some("ENCRYPTED_MESSAGE") => Some(MessageId::Encrypted(original.to_owned())),
                _ => None,
            },
            author: user("/message/author/id"),
            customer: user("/conversation/customer/id"),
            reader: user("/reader/id"),
            conversation: text("/conversation/id").and_then(|id| id.parse().ok()),
            account: user("/account/id").map(AccountId),
        }
    }

    fn is_of(&self, person: UserId) -> bool {
        [self.author, self.customer, self.reader].contains(&Some(person))
    }
}

impl Persons {
    pub fn new(store: Store, rules: LiveRules, vault: Vault) -> Self {
        Self {
            store,
            rules,
            vault,
            found: None,
        }
    }

    /// The same, of a process that reads X.
    pub fn forgetting(self, found: Enrichment) -> Self {
        Self {
            found: Some(found),
            ..self
        }
    }

    /// Whether it is one of our own accounts, which nobody has to be told of and no erasure is for.
    pub fn is_ours(&self, person: UserId) -> bool {
        self.rules.now().registry.is_ours(person)
    }

    /// Erases what is held of a person; who asked stands in the proof.
    ///
    /// # Errors
    /// [`PersonError`]: a part of it may be erased by then.
    pub async fn erase(
        &self,
        person: UserId,
        by: AskedBy,
        at: Timestamp,
    ) -> Result<Erased, PersonError> {
        if let Some(found) = &self.found {
            found.forget(person);
        }
        let erasure = Erasure {
            rules: self.rules.now(),
            person,
            at,
        };
        // What comes from now on is new.
        let until = self.store.read(|tx| tx.last_sequence()).await?;
        let mut erased = Erased::default();
        self.erase_posts(&erasure, &mut erased).await?;
        self.erase_events(&erasure, until, &mut erased).await?;
        self.erase_seen(&erasure, until).await?;
        self.erase_cases(&erasure).await?;
        self.erase_commands(&erasure, &mut erased).await?;
        for kept in Deliveries::ALL {
            erased.deliveries += self.erase_deliveries(&erasure, kept).await?;
        }
        erased.deliveries += self.erase_sightings(person).await?;
        self.prove(&erasure, by, erased).await?;
        self.store.purge_log().await?;
        Ok(erased)
    }

    async fn erase_posts(&self, of: &Erasure, erased: &mut Erased) -> Result<(), StoreError> {
        let (person, mut after) = (of.person, None);
        loop {
            let page = self
                .store
                .read(move |tx| tx.posts_of(person, after, SMALL_CHUNK))
                .await?;
            let mut posts = page.posts.into_iter().peekable();
            while posts.peek().is_some() {
                let chunk: Vec<_> = posts.by_ref().take(CHUNK).collect();
                let of = of.clone();
                erased.posts += chunk.len() as u64;
                erased.told += self
                    .store
                    .write(move |tx| {
                        let mut posts = chunk.iter();
                        posts.try_fold(0, |told, post| Ok(told + of.erase_post(tx, post)?))
                    })
                    .await?;
            }
            match page.last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn erase_events(
        &self,
        of: &Erasure,
        until: u64,
        erased: &mut Erased,
    ) -> Result<(), StoreError> {
        let (digits, mut after) = (of.person.to_string(), 0);
        loop {
            let digits = digits.clone();
            let page = self
                .store
                .read(move |tx| tx.events_naming(&digits, after, until, CHUNK))
                .await?;
            if !page.rows.is_empty() {
                let of = of.clone();
                let found = page.rows;
                let part = self
                    .store
                    .write(move |tx| {
                        let mut part = Erased::default();
                        for row in &found {
                            of.erase_event(tx, row, &mut part)?;
                        }
                        Ok(part)
                    })
                    .await?;
                erased.events += part.events;
                erased.redacted += part.redacted;
                erased.told += part.told;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn erase_seen(&self, of: &Erasure, until: u64) -> Result<(), StoreError> {
        let (person, mut after) = (of.person, 0);
        loop {
            let page = self
                .store
                .read(move |tx| tx.seen_of(person, after, until, SMALL_CHUNK))
                .await?;
            if !page.rows.is_empty() {
                let of = of.clone();
                self.store
                    .write(move |tx| {
                        page.rows.iter().try_for_each(|row| {
                            let hash = of.pseudonyms().event(row.id);
                            tx.remember_erased(hash, of.at)?;
                            tx.forget_seen(row.seen.sequence, hash)
                        })
                    })
                    .await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn erase_cases(&self, of: &Erasure) -> Result<(), StoreError> {
        let of = of.clone();
        self.store.write(move |tx| of.erase_cases(tx)).await
    }

    async fn erase_commands(&self, of: &Erasure, erased: &mut Erased) -> Result<(), PersonError> {
        let (digits, mut after) = (of.person.to_string(), 0);
        loop {
            let digits = digits.clone();
            let page = self
                .store
                .read(move |tx| tx.commands_naming(&digits, after, CHUNK))
                .await?;
            // The command that asks for it names the person until it ends.
            let (_asking, found): (Vec<_>, Vec<_>) = page
                .rows
                .into_iter()
                .partition(|row| row.waiting.hold == Hold::Erasing);
            let ended = found.iter().filter(|row| row.finished_at.is_some());
            for name in ended.flat_map(|row| files::names(&row.plan)) {
                self.vault.remove(&name).await?;
                erased.files += 1;
            }
            if !found.is_empty() {
                let (of, commands) = (of.clone(), found);
                erased.commands += commands.len() as u64;
                self.store
                    .write(move |tx| {
                        commands
                            .iter()
                            .try_for_each(|row| of.erase_command(tx, row))
                    })
                    .await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn erase_deliveries(&self, of: &Erasure, kept: Deliveries) -> Result<u64, StoreError> {
        let (numbers, mut after, mut count) = (vec![of.person.to_string()], 0, 0);
        loop {
            let numbers = numbers.clone();
            let page = self
                .store
                .read(move |tx| tx.deliveries_naming(kept, &numbers, after, DELIVERIES_CHUNK))
                .await?;
            let rows = page.rows.into_iter();
            let left: Vec<_> = rows.map(|row| (row.id, of.rest_of(kept, &row))).collect();
            count += left.iter().filter(|(_, rest)| rest.is_none()).count() as u64;
            if !left.is_empty() {
                let change = move |tx: &mut Tx<'_>| {
                    left.iter().try_for_each(|(id, rest)| match rest {
                        Some(rest) => tx.replace_delivery(kept, *id, rest),
                        None => tx.erase_delivery(kept, *id),
                    })
                };
                self.store.write(change).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(count),
            }
        }
    }

    async fn erase_sightings(&self, person: UserId) -> Result<u64, StoreError> {
        let (digits, mut after, mut count) = (person.to_string(), 0, 0);
        loop {
            let digits = digits.clone();
            let read = move |tx: &Tx<'_>| tx.sightings_naming(&digits, after, CHUNK);
            let page = self.store.read(read).await?;
            count += page.rows.len() as u64;
            if !page.rows.is_empty() {
                let forget = move |tx: &mut Tx<'_>| {
                    let mut rows = page.rows.iter();
                    rows.try_for_each(|row| tx.forget_sighting(row.id))
                };
                self.store.write(forget).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(count),
            }
        }
    }

    async fn prove(&self, of: &Erasure, by: AskedBy, erased: Erased) -> Result<(), StoreError> {
        let person = of.pseudonyms().person(of.person);
        let proof = Proof {
            at: of.at,
            person: person.into(),
            asked_by: by.name,
            counts: json!(erased).to_string(),
        };
        let hash: String = person.iter().map(|byte| format!("{byte:02x}")).collect();
        tracing::info!(
            person = %hash,
            asked_by = %proof.asked_by,
            counts = %proof.counts,
            "a person was erased"
        );
        let note = move |tx: &mut Tx<'_>| {
            if let Some(actor) = by.actor {
                tx.audit(&actor, "person.erase", &hash, &json!(erased), proof.at)?;
            }
            tx.prove_erasure(&proof)
        };
        self.store.write(note).await
    }

    /// Hands out what is held of a person, as JSON lines with a `kind` each.
    ///
    /// # Errors
    /// [`PersonError`]: the store cannot be read, or nobody takes it any more.
    pub async fn export(&self, person: UserId, out: &Lines) -> Result<(), PersonError> {
        let until = self.store.read(|tx| tx.last_sequence()).await?;
        self.export_events(person, until, out).await?;
        self.export_posts(person, out).await?;
        self.export_seen(person, until, out).await?;
        self.export_commands(person, out).await?;
        for kept in Deliveries::ALL {
            self.export_deliveries(person, kept, out).await?;
        }
        self.export_sightings(person, out).await
    }

    async fn export_events(
        &self,
        person: UserId,
        until: u64,
        out: &Lines,
    ) -> Result<(), PersonError> {
        let (digits, mut after) = (person.to_string(), 0);
        loop {
            let digits = digits.clone();
            let read = move |tx: &Tx<'_>| tx.events_naming(&digits, after, until, CHUNK);
            let page = self.store.read(read).await?;
            for row in page.rows {
                let line = json!({
                    "kind": "event",
                    "sequence": row.sequence.to_string(),
                    "id": row.id.to_string(),
                    "type": row.event_type,
                    "written": row.at.to_string(),
                    "body": readable(&row.body),
                });
                send(out, &line).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn export_posts(&self, person: UserId, out: &Lines) -> Result<(), PersonError> {
        let mut after = None;
        loop {
            let read = move |tx: &Tx<'_>| tx.posts_of(person, after, SMALL_CHUNK);
            let page = self.store.read(read).await?;
            for (account, id, row) in page.posts {
                let line = json!({
                    "kind": "post",
                    "account": account.to_string(),
                    "id": id.to_string(),
                    "thread": row.thread.to_string(),
                    "author": row.author.map(|id| id.to_string()),
                    "customer": row.customer.map(|id| id.to_string()),
                });
                send(out, &line).await?;
            }
            match page.last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn export_seen(
        &self,
        person: UserId,
        until: u64,
        out: &Lines,
    ) -> Result<(), PersonError> {
        let mut after = 0;
        loop {
            let read = move |tx: &Tx<'_>| tx.seen_of(person, after, until, SMALL_CHUNK);
            let page = self.store.read(read).await?;
            for row in page.rows {
                let line = json!({
                    "kind": "decision",
                    "sequence": row.seen.sequence.to_string(),
                    "event": row.id.to_string(),
                });
                send(out, &line).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn export_commands(&self, person: UserId, out: &Lines) -> Result<(), PersonError> {
        let (digits, mut after) = (person.to_string(), 0);
        loop {
            let digits = digits.clone();
            let read = move |tx: &Tx<'_>| {
                let page = tx.commands_naming(&digits, after, CHUNK)?;
                let mut lines = Vec::with_capacity(page.rows.len());
                for row in &page.rows {
                    lines.push(command_line(tx, row)?);
                }
                Ok((lines, page.last))
            };
            let (lines, last) = self.store.read(read).await?;
            for line in lines {
                send(out, &line).await?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn export_deliveries(
        &self,
        person: UserId,
        kept: Deliveries,
        out: &Lines,
    ) -> Result<(), PersonError> {
        let (numbers, mut after) = (vec![person.to_string()], 0);
        loop {
            let numbers = numbers.clone();
            let read =
                move |tx: &Tx<'_>| tx.deliveries_naming(kept, &numbers, after, DELIVERIES_CHUNK);
            let page = self.store.read(read).await?;
            for delivery in page.rows {
                let kind = match kept {
                    Deliveries::Quarantine => "quarantined_delivery",
                    Deliveries::Echoes => "waiting_delivery",
                    Deliveries::Held => "held_delivery",
                };
                let line = json!({
                    "kind": kind,
                    "id": delivery.id,
                    "body": readable(&delivery.body),
                });
                send(out, &line).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

impl Persons {
    async fn export_sightings(&self, person: UserId, out: &Lines) -> Result<(), PersonError> {
        let (digits, mut after) = (person.to_string(), 0);
        loop {
            let digits = digits.clone();
            let read = move |tx: &Tx<'_>| tx.sightings_naming(&digits, after, CHUNK);
            let page = self.store.read(read).await?;
            for row in page.rows {
                let line = json!({
                    "kind": "unwanted_message",
                    "sequence": row.id.to_string(),
                    "body": readable(&row.body),
                });
                send(out, &line).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

/// A body as JSON; what is none is shown as text.
fn readable(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

fn command_line(tx: &Tx<'_>, row: &CommandRow) -> Result<Value, StoreError> {
    let outcome = tx.outcome(row.waiting.sequence)?;
    let sends = tx.sends(row.waiting.sequence)?.into_iter();
    let texts: Vec<_> = sends.map(|send| send.text).collect();
    Ok(json!({
        "kind": "command",
        "id": row.id.to_string(),
        "received": row.waiting.received_at.to_string(),
        "state": row.waiting.state.name(),
        "content": readable(row.content.as_bytes()),
        "plan": readable(row.plan.as_bytes()),
        "sent": texts,
        "outcome": outcome.map(|outcome| readable(&outcome.body)),
    }))
}

impl Erasure {
    fn pseudonyms(&self) -> &Pseudonyms {
        &self.rules.pseudonyms
    }

    fn gone(&self, id: MessageId) -> Gone {
        Gone {
            id,
            author: Some(self.person),
            reason: GoneBecause::Erased,
            detected_by: DetectedBy::Request,
            time: self.at,
            conversation: None,
        }
    }

    /// Tells the core that a message of the person is gone; how often. What tells of it goes too,
    /// once the core has had its time.
    fn announce(
        &self,
        tx: &mut Tx<'_>,
        account: AccountId,
        gone: &Gone,
    ) -> Result<u64, StoreError> {
        let account = self.rules.account_ref(Some(account));
        let Some(id) = deletion::announce(tx, &account, gone, self.at)? else {
            return Ok(0);
        };
        if let Some(seen) = tx.seen(id)? {
            self.let_go_later(tx, seen.sequence, id)?;
        }
        Ok(1)
    }

    fn let_go_later(&self, tx: &Tx<'_>, sequence: u64, id: EventId) -> Result<(), StoreError> {
        let hash = self.pseudonyms().event(id);
        let not_before = deletion::redact_by(self.at);
        tx.let_go(Leaving::Event, sequence, not_before, Some(hash))
    }

    fn erase_post(
        &self,
        tx: &mut Tx<'_>,
        (account, id, row): &(AccountId, TweetId, PostRow),
    ) -> Result<u64, StoreError> {
        if row.author != Some(self.person) {
            return tx.forget_customer(*account, *id).map(|()| 0);
        }
        let told = self.announce(tx, *account, &self.gone(MessageId::Post(*id)))?;
        let original = MessageId::Post(row.original.unwrap_or(*id));
        let event = message_event_id(*account, "message.received", &original);
        let hash = self.pseudonyms().event(event);
        tx.remember_erased(hash, self.at)?;
        // A body of it is found by the events.
        if let Some(seen) = tx.seen(event)?.filter(|seen| !seen.wanted) {
            tx.forget_seen(seen.sequence, hash)?;
        }
        tx.forget_post(*account, *id)?;
        Ok(told)
    }

    fn erase_event(
        &self,
        tx: &mut Tx<'_>,
        row: &JournalRow,
        erased: &mut Erased,
    ) -> Result<(), StoreError> {
        let told = Told::read(&row.body);
        let redacted = redact::without_person(&row.event_type, &row.body, self.person);
        if !told.is_of(self.person) {
            if let Some(redacted) = redacted {
                tx.replace_body(row.sequence, &redacted)?;
                erased.redacted += 1;
            }
            return Ok(());
        }
        match row.event_type.as_str() {
            // The core has not had its time yet.
            "message.deleted" => return self.let_go_later(tx, row.sequence, row.id),
            "message.received" | "message.edited" => {
                erased.told += self.announce_shown(tx, told)?;
            }
            _ => {}
        }
        // A command's outcome is known by the command's id, which is the core's.
        let names_message = !row.event_type.starts_with("command.");
        let forget = names_message.then_some((self.pseudonyms(), row.id));
        deletion::retire(tx, row.sequence, redacted.as_deref(), forget, self.at)?;
        erased.events += 1;
        Ok(())
    }

    fn announce_shown(&self, tx: &mut Tx<'_>, told: Told) -> Result<u64, StoreError> {
        let (Some(account), Some(id), Some(conversation)) =
            (told.account, told.message, told.conversation)
        else {
            return Ok(0);
        };
        if told.author != Some(self.person) {
            return Ok(0);
        }
        let gone = Gone {
            conversation: Some((conversation, told.customer)),
            ..self.gone(id)
        };
        self.announce(tx, account, &gone)
    }

    fn erase_cases(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for account in self.rules.registry.accounts() {
            let pair = Pair::new(account.id.0, self.person);
            for id in [
                ConversationId::DirectMessage(pair),
                ConversationId::Encrypted(pair),
            ] {
                tx.forget_conversation(account.id, &id)?;
            }
        }
        tx.forget_cases(self.person)?;
        tx.forget_answered(self.person)?;
        // Another process that holds cases in memory sees by it that it has to read them again.
        let hash = self.pseudonyms().person(self.person);
        let number = self.at.as_millisecond().unsigned_abs();
        let mark = EventId::new(&format!("{hash:?}"), "person.erased", "", number);
        tx.remember_unwanted(mark, self.at).map(drop)
    }

    fn erase_command(&self, tx: &mut Tx<'_>, row: &CommandRow) -> Result<(), StoreError> {
        let sequence = row.waiting.sequence;
        match row.finished_at {
            Some(_) => erase_ended(tx, sequence, self.at),
            // It is still to be done; its texts go with its outcome.
            None => tx.let_go(Leaving::Command, sequence, self.at, None),
        }
    }

    /// What others wrote in a delivery that is to be processed yet, without the person; `None` for
    /// what goes as a whole. It goes on, and is a new event.
    fn rest_of(&self, kept: Deliveries, delivery: &Delivery) -> Option<Vec<u8>> {
        if kept == Deliveries::Quarantine || self.is_by(delivery) {
            return None;
        }
        let rest = without_person(&delivery.body, self.person)?;
        let read = normalize(&rest).ok()?;
        read.rejected.is_empty().then_some(rest)
    }

    /// Whether all that a delivery tells is by the person, or some of it repeats the person's words.
    fn is_by(&self, delivery: &Delivery) -> bool {
        let Ok(delivery) = normalize(&delivery.body) else {
            return true;
        };
        let mut all = delivery.activities.iter();
        let reposts = all.clone().any(|it| match &it.event {
            ActivityEvent::Post(post) => {
                let of = post.reposted.as_ref().and_then(|of| of.author_id);
                of == Some(self.person)
            }
            _ => false,
        });
        let by_person = all.all(|it| match &it.event {
            ActivityEvent::Post(post) => post.message.author.id == self.person,
            ActivityEvent::Direct(direct) => direct.message.author.id == self.person,
            _ => true,
        });
        reposts || by_person
    }
}

/// Blanks an ended command; its outcome's event goes once it is published.
pub(crate) fn erase_ended(tx: &Tx<'_>, sequence: u64, at: Timestamp) -> Result<(), StoreError> {
    if let Some(event) = tx.outcome_event(sequence)?
        && let Some(row) = tx.event(event)?
    {
        deletion::retire(tx, row.sequence, None, None, at)?;
    }
    tx.erase_command(sequence)
}
