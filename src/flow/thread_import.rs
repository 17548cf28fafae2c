//! Conversations that began with another channel go on here: posts that its tickets hold are told to
//! belong to them, so that a reply to an old post comes as more of its old conversation.
//!
//! A CSV file says so, one line for each post. It is looked at as a whole before anything is
//! written; then each post is entered for itself, and entering it again changes nothing. So an
//! import that is cut off is simply made once more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use jiff::Timestamp;

use crate::domain::event::message_event_id;
use crate::domain::ids::{AccountId, ConversationId, EventId, MessageId, TweetId, UserId};
use crate::domain::registry::Registry;
use crate::store::{Case, ConversationRow, PostRow, Store, StoreError, Tx};

/// Columns a file must have, in any order. It may have `IGNORED` beside them.
pub const COLUMNS: [&str; 7] = [
    "account",
    "conversation",
    "post",
    "author",
    "customer",
    "group",
    "received_at",
];
/// Of use to the core alone, which reads the same file.
const IGNORED: &str = "ticket";
/// Lines entered by one transaction: some milliseconds, in which deliveries of X wait.
const BATCH: usize = 500;
/// What stands for the filter that wanted an imported conversation.
const FILTER: &str = "import";
/// Longest name of a group, characters.
const LONGEST_GROUP: usize = 200;

/// A line of the file that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct OldMessage {
    /// Of the file, from 1.
    pub line: u64,
    pub account: AccountId,
    /// A thread of posts, or the account's direct messages with one person.
    pub conversation: ConversationId,
    /// `None`: only the conversation is told of.
    pub post: Option<TweetId>,
    pub author: Option<UserId>,
    pub customer: Option<UserId>,
    /// Where replies go; empty where they are left to the filters.
    pub group: String,
    /// When it was received; `None` for the account's own.
    pub received_at: Option<Timestamp>,
}

/// What is wrong with a place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: u64,
    pub column: &'static str,
    pub value: String,
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            value,
            expected,
        } = self;
        let value: String = value.chars().take(80).collect();
        write!(f, "line {line}: {column}: {value:?}: expected {expected}")
    }
}

/// Why nothing, or not all, was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing was written.
    #[error("nothing was imported; {} to be mended:\n{}", places(.0.len()), lines(.0))]
    Faults(Vec<Fault>),
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// What was entered so far stays, and does not count twice.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn places(count: usize) -> String {
    match count {
        1 => "one place is".to_owned(),
        count => format!("{count} places are"),
    }
}

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(Fault::to_string).collect();
    lines.join("\n")
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub lines: usize,
    /// Posts that were not known to be of their conversation.
    pub posts: usize,
    /// Conversations that were not known.
    pub conversations: usize,
}

/// Reads a file; `now` tells which times are to come.
///
/// # Errors
/// [`ImportError::Faults`] with everything that is wrong in it, and when it cannot be read.
pub fn read(
    file: impl Read,
    registry: &Registry,
    now: Timestamp,
) -> Result<Vec<OldMessage>, ImportError> {
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(file);
    let (mut faults, mut messages, mut header) = (Vec::new(), Vec::new(), None);
    let mut record = StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                faults.push(unreadable(error, line)?);
                continue;
            }
        }
        let line = record.position().map_or(line, csv::Position::line);
        match &header {
            None => header = Some(Header::read(&record, line).map_err(ImportError::Faults)?),
            Some(header) => match header.message(&record, line, registry, now) {
                Ok(message) => messages.push(message),
                Err(found) => faults.extend(found),
            },
        }
    }
    if header.is_none() {
        let all = COLUMNS.join(",");
        faults.push(fault(1, "header", "", format!("the columns {all}")));
    }
    faults.extend(contradictions(&messages));
    match faults.is_empty() {
        true => Ok(messages),
        false => {
            faults.sort_by_key(|fault| fault.line);
            Err(ImportError::Faults(faults))
        }
    }
}

/// A line that is no text; any other error ends the reading.
fn unreadable(error: csv::Error, line: u64) -> Result<Fault, std::io::Error> {
    match error.kind() {
        ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(line, csv::Position::line);
            Ok(fault(line, "line", "", "text in UTF-8".to_owned()))
        }
        _ => Err(error.into()),
    }
}

fn fault(line: u64, column: &'static str, value: &str, expected: impl Into<String>) -> Fault {
    Fault {
        line,
        column,
        value: value.to_owned(),
        expected: expected.into(),
    }
}

/// Where the columns stand.
struct Header {
    places: [usize; COLUMNS.len()],
    width: usize,
}

impl Header {
    fn read(record: &StringRecord, line: u64) -> Result<Self, Vec<Fault>> {
        // Spreadsheets begin a file with a mark of its encoding.
        let names: Vec<_> = record
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim())
            .collect();
        let mut faults = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let known = COLUMNS.contains(name) || *name == IGNORED;
            if !known || names.iter().take(at).any(|before| before == name) {
                let all = COLUMNS.join(",");
                faults.push(fault(line, "header", name, format!("each of {all} once")));
            }
        }
        let places = COLUMNS.map(
            |column| match names.iter().position(|name| *name == column) {
                Some(place) => place,
                None => {
                    let expected = format!("a column {column}");
                    faults.push(fault(line, "header", &names.join(","), expected));
                    0
                }
            },
        );
        let width = names.len();
        match faults.is_empty() {
            true => Ok(Self { places, width }),
            false => Err(faults),
        }
    }

    fn message(
        &self,
        record: &StringRecord,
        line: u64,
        registry: &Registry,
        now: Timestamp,
    ) -> Result<OldMessage, Vec<Fault>> {
        if record.len() != self.width {
            let (found, expected) = (record.len().to_string(), self.width);
            let expected = format!("{expected} fields as in the header");
            return Err(vec![fault(line, "line", &found, expected)]);
        }
        let values = self.places.map(|at| record.get(at).unwrap_or("").trim());
        let mut line = Line {
            number: line,
            registry,
            now,
            faults: Vec::new(),
        };
        match line.message(values) {
            Some(message) if line.faults.is_empty() => Ok(message),
            _ => Err(line.faults),
        }
    }
}

/// A line while it is read.
struct Line<'a> {
    number: u64,
    registry: &'a Registry,
    now: Timestamp,
    faults: Vec<Fault>,
}

impl Line<'_> {
    fn message(&mut self, values: [&str; COLUMNS.len()]) -> Option<OldMessage> {
        let [
            account,
            conversation,
            post,
            author,
            customer,
            group,
            received,
        ] = values;
        let account = self.account(account);
        let conversation = self.conversation(conversation, account);
        let of_posts = matches!(conversation, Some(ConversationId::Thread(_)));
        let post = match (post, of_posts, &conversation) {
            ("", true, _) => self.refuse("post", "", "the id of a post of the thread"),
            (value, false, Some(_)) if !value.is_empty() => {
                self.refuse("post", value, "nothing: direct messages are not named")
            }
            (value, ..) => self.id("post", value),
        };
        let (author, customer) = (self.id("author", author), self.id("customer", customer));
        let (group, received_at) = (self.group(group), self.received(received));
        Some(OldMessage {
            line: self.number,
            account: account?,
            conversation: conversation?,
            post,
            author,
            customer,
            group,
            received_at,
        })
    }

    fn refuse<T>(&mut self, column: &'static str, value: &str, expected: &str) -> Option<T> {
        self.faults
            .push(fault(self.number, column, value, expected));
        None
    }

    fn account(&mut self, value: &str) -> Option<AccountId> {
        let mut accounts = self.registry.accounts();
        let found = accounts.find(|account| {
            account.id.to_string() == value || account.username.eq_ignore_ascii_case(value)
        });
        match found.map(|account| account.id) {
            None => self.refuse("account", value, "id or username of a linked account"),
            found => found,
        }
    }

    fn conversation(&mut self, value: &str, account: Option<AccountId>) -> Option<ConversationId> {
        let expected = "post:<id of the thread's first post>, or dm:<low id>-<high id> with the \
                        account as one of the two";
        match value.parse() {
            Ok(id @ ConversationId::Thread(_)) => Some(id),
            Ok(id @ ConversationId::DirectMessage(pair))
                if account.is_none_or(|account| pair.other(account.0).is_some()) =>
            {
                Some(id)
            }
            _ => self.refuse("conversation", value, expected),
        }
    }

    /// An id, or nothing.
    fn id<T: std::str::FromStr>(&mut self, column: &'static str, value: &str) -> Option<T> {
        if value.is_empty() {
            return None;
        }
        let expected = "an id of X, 1 to 19 digits without leading zeros";
        value
            .parse()
            .ok()
            .or_else(|| self.refuse(column, value, expected))
    }

    fn group(&mut self, value: &str) -> String {
        if value.chars().count() > LONGEST_GROUP || value.chars().any(char::is_control) {
            let expected = format!("a name of at most {LONGEST_GROUP} characters in one line");
            self.refuse::<()>("group", value, &expected);
        }
        value.to_owned()
    }

    fn received(&mut self, value: &str) -> Option<Timestamp> {
        if value.is_empty() {
            return None;
        }
        match value.parse() {
            Ok(at) if at <= self.now => Some(at),
            _ => {
                let expected = "a time that has passed, RFC 3339, such as 2026-01-31T09:30:00Z";
                self.refuse("received_at", value, expected)
            }
        }
    }
}

/// Lines that cannot both hold: a post in two conversations, a conversation in two groups.
fn contradictions(messages: &[OldMessage]) -> Vec<Fault> {
    let (mut posts, mut groups) = (HashMap::new(), HashMap::new());
    let mut faults = Vec::new();
    for message in messages {
        let OldMessage { line, account, .. } = *message;
        if let Some(post) = message.post {
            match posts.entry((account, post)) {
                Entry::Vacant(place) => {
                    place.insert((line, &message.conversation));
                }
                Entry::Occupied(first) => {
                    let (before, known) = *first.get();
                    if known != &message.conversation {
                        let expected = format!("one conversation; line {before} has it in {known}");
                        faults.push(fault(line, "post", &post.to_string(), expected));
                    }
                }
            }
        }
        match groups.entry((account, &message.conversation)) {
            Entry::Vacant(place) => {
                place.insert((line, &message.group));
            }
            Entry::Occupied(first) => {
                let (before, known) = *first.get();
                if known != &message.group {
                    let expected =
                        format!("one group for a conversation; line {before}: {known:?}");
                    faults.push(fault(line, "group", &message.group, expected));
                }
            }
        }
    }
    faults
}

/// Enters what was read.
///
/// # Errors
/// [`ImportError::Faults`] where posts were published in other conversations since, and when the
/// store cannot be used.
pub async fn enter(
    store: &Store,
    messages: Vec<OldMessage>,
    at: Timestamp,
) -> Result<Imported, ImportError> {
    let messages = Arc::new(messages);
    let mut faults = Vec::new();
    for first in (0..messages.len()).step_by(BATCH) {
        let messages = Arc::clone(&messages);
        let look = move |tx: &Tx<'_>| {
            batch(&messages, first)
                .map(|it| elsewhere(tx, it))
                .collect()
        };
        let found: Vec<Option<Fault>> = store.read(look).await?;
        faults.extend(found.into_iter().flatten());
    }
    if !faults.is_empty() {
        return Err(ImportError::Faults(faults));
    }
    let mut imported = Imported {
        lines: messages.len(),
        ..Imported::default()
    };
    for first in (0..messages.len()).step_by(BATCH) {
        let messages = Arc::clone(&messages);
        let write = move |tx: &mut Tx<'_>| enter_batch(tx, batch(&messages, first), at);
        let batch = store
            .write(write)
            .await?
            .map_err(|it| ImportError::Faults(vec![it]))?;
        imported.posts += batch.posts;
        imported.conversations += batch.conversations;
    }
    Ok(imported)
}

fn batch(messages: &[OldMessage], first: usize) -> impl Iterator<Item = &OldMessage> + Clone {
    messages.iter().skip(first).take(BATCH)
}

/// A post that the core was told of in another conversation stays there.
fn elsewhere(tx: &Tx<'_>, message: &OldMessage) -> Result<Option<Fault>, StoreError> {
    let Some(post) = message.post else {
        return Ok(None);
    };
    let Some(known) = tx.post(message.account, post)? else {
        return Ok(None);
    };
    let thread = tx.survivor(message.account, &ConversationId::Thread(known.thread))?;
    let here = tx.survivor(message.account, &message.conversation)?;
    let row = tx.conversation(message.account, &thread)?;
    if thread == here || row.is_none_or(|row| row.first_sequence.is_none()) {
        return Ok(None);
    }
    let expected = format!("a post of {here}, but it was published in {thread} before");
    let value = post.to_string();
    Ok(Some(fault(message.line, "post", &value, expected)))
}

/// The first post that was published elsewhere meanwhile ends the batch before anything is written.
fn enter_batch<'m>(
    tx: &mut Tx<'_>,
    messages: impl Iterator<Item = &'m OldMessage> + Clone,
    at: Timestamp,
) -> Result<Result<Imported, Fault>, StoreError> {
    for message in messages.clone() {
        if let Some(fault) = elsewhere(tx, message)? {
            return Ok(Err(fault));
        }
    }
    let mut imported = Imported::default();
    for message in messages {
        imported.conversations += usize::from(enter_conversation(tx, message, at)?);
        imported.posts += usize::from(enter_post(tx, message, at)?);
        if let (Some(customer), Some(at)) = (message.customer, message.received_at) {
            let case = Case {
                account: message.account,
                customer,
                conversation: tx.survivor(message.account, &message.conversation)?,
            };
            tx.touch_case(&case, at)?;
        }
    }
    Ok(Ok(imported))
}

/// Whether the conversation was not known. It counts as published, before all others: its id is the
/// one that the core's tickets have.
fn enter_conversation(
    tx: &Tx<'_>,
    message: &OldMessage,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let id = tx.survivor(message.account, &message.conversation)?;
    let known = tx.conversation(message.account, &id)?;
    let mut row = known.clone().unwrap_or_default();
    let is_new = row.first_sequence.is_none();
    row.first_sequence.get_or_insert(0);
    if !message.group.is_empty() && message.received_at > row.received_at {
        row = ConversationRow {
            first_sequence: row.first_sequence,
            received_at: message.received_at,
            group: message.group.clone(),
            filter: FILTER.to_owned(),
            tags: Vec::new(),
        };
    }
    if known.as_ref() != Some(&row) {
        tx.put_conversation(message.account, &id, &row, at)?;
    }
    Ok(is_new)
}

/// Whether the post was not known to be of its conversation. It counts as published too: X may
/// deliver it again, and the core has it.
fn enter_post(tx: &Tx<'_>, message: &OldMessage, at: Timestamp) -> Result<bool, StoreError> {
    let account = message.account;
    let here = tx.survivor(account, &message.conversation)?;
    let (Some(post), ConversationId::Thread(thread)) = (message.post, &here) else {
        return Ok(false);
    };
    let known = tx.post(account, post)?;
    if let Some(row) = &known {
        // Nothing was published in it: its posts are of this one.
        let before = tx.survivor(account, &ConversationId::Thread(row.thread))?;
        tx.merge_conversation(account, &before, &here, at)?;
    }
    let before = known.clone().unwrap_or_else(|| unknown(*thread));
    let row = PostRow {
        thread: *thread,
        author: before.author.or(message.author),
        customer: before.customer.or(message.customer),
        latest: before.latest.or(Some(post)),
        event: before.event.or_else(|| Some(event_of(message, post))),
        original: before.original,
    };
    if known.as_ref() == Some(&row) {
        return Ok(false);
    }
    tx.put_post(account, post, &row, at)?;
    Ok(true)
}

fn unknown(thread: TweetId) -> PostRow {
    PostRow {
        thread,
        author: None,
        customer: None,
        original: None,
        latest: None,
        event: None,
    }
}

/// The id its event would have had.
fn event_of(message: &OldMessage, post: TweetId) -> EventId {
    let own = message.author == Some(message.account.0);
    let event_type = match own {
        true => "message.sent",
        false => "message.received",
    };
    message_event_id(message.account, event_type, &MessageId::Post(post))
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::{at, registry, store};

    const HEADER: &str = "account,conversation,post,author,customer,group,received_at\n";

    fn read_lines(lines: &str) -> Result<Vec<OldMessage>, ImportError> {
        read(
            (HEADER.to_owned() + lines).as_bytes(),
            &registry(),
            at(1_000),
        )
    }

    fn faults(lines: &str) -> Vec<String> {
        match read_lines(lines) {
            Err(ImportError::Faults(faults)) => faults.iter().map(Fault::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_faulty_place_is_named_with_line_column_value_and_expectation() {
        let found = faults(
            "acme,post:1,1,7,7,support,1970-01-01T00:10:00Z\n\
             nobody,post:0,x,7,-7,support,tomorrow\n\
             acme,post:2,2,7\n\
             acme,dm:3-4,,,,,\n",
        );
        let expected = [
            "line 3: account: \"nobody\": expected id or username of a linked account",
            "line 3: conversation: \"post:0\": expected post:<id",
            "line 3: post: \"x\": expected an id of X",
            "line 3: customer: \"-7\": expected an id of X",
            "line 3: received_at: \"tomorrow\": expected a time that has passed, RFC 3339",
            "line 4: line: \"4\": expected 7 fields as in the header",
            "line 5: conversation: \"dm:3-4\": expected",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn lines_that_contradict_each_other_are_named_both() {
        let found = faults(
            "acme,post:1,1,7,7,support,\nacme,post:2,1,7,7,support,\nacme,post:1,3,7,7,sales,\n",
        );
        assert!(found[0].contains("line 3: post") && found[0].contains("line 2 has it in post:1"));
        assert!(found[1].contains("line 4: group") && found[1].contains("line 2: \"support\""));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_header_is_asked_for_column_by_column() {
        let of = |header: &str| match read(header.as_bytes(), &registry(), at(0)) {
            Err(ImportError::Faults(faults)) => lines(&faults),
            other => panic!("{other:?}"),
        };
        assert!(of("").contains("the columns account,"));
        assert!(of("account;post\n").contains("line 1: header: \"account;post\""));
        assert!(of("account,account\n").contains("a column received_at"));
        let bom = format!("\u{feff}ticket,{HEADER}");
        let read = read(bom.as_bytes(), &registry(), at(0));
        assert_eq!(read.unwrap(), []);
    }

    #[test]
    fn a_line_that_is_no_text_is_named() {
        let mut file = HEADER.as_bytes().to_vec();
        file.extend(b"acme,post:1,1,\xff,,,\nacme,post:1,2,,,,\n");
        let Err(ImportError::Faults(faults)) = read(&*file, &registry(), at(0)) else {
            panic!("it was taken");
        };
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0]
                .to_string()
                .contains("line 2: line: \"\": expected text in UTF-8")
        );
    }

    #[tokio::test]
    async fn what_is_imported_again_changes_nothing() {
        let (store, _folder) = store();
        let lines = "acme,post:1,1,7,7,support,1970-01-01T00:10:00Z\n\
                     acme,post:1,2,1,7,support,\n\
                     1,dm:1-7,,,7,support,1970-01-01T00:11:00Z\n";
        let messages = read_lines(lines).unwrap();
        let first = enter(&store, messages.clone(), at(1_000)).await.unwrap();
        let expected = Imported {
            lines: 3,
            posts: 2,
            conversations: 2,
        };
        assert_eq!(first, expected);
        let again = enter(&store, messages.clone(), at(2_000)).await.unwrap();
        assert_eq!((again.posts, again.conversations), (0, 0));
        let account = messages[0].account;
        let read = move |tx: &Tx<'_>| {
            let thread = ConversationId::Thread(messages[0].post.unwrap());
            Ok((
                tx.post(account, messages[1].post.unwrap())?.unwrap(),
                tx.conversation(account, &thread)?.unwrap(),
                tx.related(account, messages[0].customer.unwrap(), &thread, at(0))?,
            ))
        };
        let (post, conversation, related) = store.read(read).await.unwrap();
        assert_eq!(post.thread.get(), 1);
        assert_eq!(post.author, Some(account.0));
        assert_eq!(conversation.group, "support");
        assert_eq!(conversation.received_at, Some(at(600)));
        assert_eq!(related[0].to_string(), "dm:1-7");
    }

    #[tokio::test]
    async fn a_post_that_was_published_elsewhere_is_refused_and_nothing_written() {
        let (store, _folder) = store();
        let before = read_lines("acme,post:5,5,7,7,support,\n").unwrap();
        enter(&store, before, at(1_000)).await.unwrap();
        let more = read_lines("acme,post:1,1,7,7,support,\nacme,post:1,5,7,7,support,\n").unwrap();
        let account = more[0].account;
        let Err(ImportError::Faults(faults)) = enter(&store, more, at(1_000)).await else {
            panic!("it was taken");
        };
        assert!(
            faults[0]
                .to_string()
                .starts_with("line 3: post: \"5\": expected a post of post:1")
        );
        let read = move |tx: &Tx<'_>| tx.post(account, "1".parse().unwrap());
        assert_eq!(store.read(read).await.unwrap(), None);
    }

    mod world {

        use tempfile::TempDir;

        use super::super::*;
        use crate::flow::reply::rules_of_tests;

        pub(super) fn registry() -> Registry {
            (*rules_of_tests().registry).clone()
        }

        pub(super) fn at(second: i64) -> Timestamp {
            Timestamp::from_second(second).unwrap()
        }

        pub(super) fn store() -> (Store, TempDir) {
            let folder = tempfile::tempdir().unwrap();
            (Store::open_in(folder.path()), folder)
        }
    }
}
