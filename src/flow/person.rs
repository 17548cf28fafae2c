//! All that is held of a person: handed out, or erased.
//!
//! Erasing goes through every table part by part, so that deliveries never wait behind it; done twice
//! it changes nothing. What of it the broker does not have yet is blanked and goes once published.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::deletion::{self, Gone};
use super::pseudonyms::Pseudonyms;
use super::reply::files;
use super::rules::{LiveRules, Rules};
use crate::attachments::vault::{Vault, VaultError};
use crate::broker::redact;
use crate::domain::activity::ActivityEvent;
use crate::domain::event::{DetectedBy, GoneBecause, message_event_id};
use crate::domain::ids::{AccountId, ConversationId, EventId, MessageId, Pair, TweetId, UserId};
use crate::store::{
    CommandRow, Deliveries, Delivery, JournalRow, Leaving, PostRow, Proof, Store, StoreError, Tx,
};
use crate::x::normalize::normalize;

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
    /// Nobody takes what is handed out.
    #[error("what is held cannot be written: {0}")]
    Written(#[from] io::Error),
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
        }
    }

    /// Erases what is held of a person. `asked_by` stands in the proof, and names no person but
    /// whoever asked.
    ///
    /// # Errors
    /// [`PersonError`]: a part of it may be erased by then.
    pub async fn erase(
        &self,
        person: UserId,
        asked_by: String,
        at: Timestamp,
    ) -> Result<Erased, PersonError> {
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
        self.prove(&erasure, asked_by, erased).await?;
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
            let ended = page.rows.iter().filter(|row| row.finished_at.is_some());
            for name in ended.flat_map(|row| files::names(&row.plan)) {
                self.vault.remove(&name).await?;
                erased.files += 1;
            }
            if !page.rows.is_empty() {
                let (of, commands) = (of.clone(), page.rows);
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
            let ids: Vec<_> = page
                .rows
                .iter()
                .filter(|delivery| kept != Deliveries::Echoes || of.is_by(delivery))
                .map(|delivery| delivery.id)
                .collect();
            count += ids.len() as u64;
            if !ids.is_empty() {
                self.store
                    .write(move |tx| ids.iter().try_for_each(|id| tx.erase_delivery(kept, *id)))
                    .await?;
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

    async fn prove(
        &self,
        of: &Erasure,
        asked_by: String,
        erased: Erased,
    ) -> Result<(), StoreError> {
        let person = of.pseudonyms().person(of.person);
        let proof = Proof {
            at: of.at,
            person: person.into(),
            asked_by,
            counts: json!(erased).to_string(),
        };
        let hash: String = person.iter().map(|byte| format!("{byte:02x}")).collect();
        tracing::info!(
            person = %hash,
            asked_by = %proof.asked_by,
            counts = %proof.counts,
            "a person was erased"
        );
        self.store.write(move |tx| tx.prove_erasure(&proof)).await
    }

    /// Hands out what is held of a person, as JSON lines with a `kind` each.
    ///
    /// # Errors
    /// [`PersonError`]: the store cannot be read, or `out` takes no more.
    pub async fn export(&self, person: UserId, out: &mut dyn io::Write) -> Result<(), PersonError> {
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
        out: &mut dyn io::Write,
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
                writeln!(out, "{line}")?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn export_posts(
        &self,
        person: UserId,
        out: &mut dyn io::Write,
    ) -> Result<(), PersonError> {
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
                writeln!(out, "{line}")?;
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
        out: &mut dyn io::Write,
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
                writeln!(out, "{line}")?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    async fn export_commands(
        &self,
        person: UserId,
        out: &mut dyn io::Write,
    ) -> Result<(), PersonError> {
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
                writeln!(out, "{line}")?;
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
        out: &mut dyn io::Write,
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
                writeln!(out, "{line}")?;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

impl Persons {
    async fn export_sightings(
        &self,
        person: UserId,
        out: &mut dyn io::Write,
    ) -> Result<(), PersonError> {
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
                writeln!(out, "{line}")?;
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

    /// Whether all that a delivery tells is by the person. What others wrote goes on, and is a new
    /// event.
    fn is_by(&self, delivery: &Delivery) -> bool {
        let Ok(delivery) = normalize(&delivery.body) else {
            return true;
        };
        delivery.activities.iter().all(|it| match &it.event {
            ActivityEvent::Post(post) => post.message.author.id == self.person,
            ActivityEvent::Direct(direct) => direct.message.author.id == self.person,
            _ => true,
        })
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
