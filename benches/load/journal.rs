//! Journals that were filled before: through the store, as the service would have done it.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use twitter_channel::domain::ids::{AccountId, ConversationId, EventId};
use twitter_channel::store::{
    Case, ConversationRow, NewRow, PostRow, Store, StoreError, StoreSettings, Tx,
};

use crate::deliveries::{ACCOUNT, ids};
use crate::subject::journal;

/// Rows of one transaction.
const CHUNK: u64 = 10_000;
/// How long the store may take to close.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a journal is filled with.
#[derive(Clone, Copy)]
pub(crate) struct Filling {
    pub(crate) rows: u64,
    /// Size of an event's body.
    pub(crate) body_bytes: usize,
    /// Whether the broker has confirmed them.
    pub(crate) published: bool,
}

/// Makes the journal of `folder`. Its posts have the numbers from `first` on.
pub(crate) async fn fill(folder: &Path, first: u64, filling: Filling) -> anyhow::Result<()> {
    let path = journal(folder);
    let store = Store::open(StoreSettings {
        place: path.clone().into(),
        max_bytes: u64::MAX,
        retention: Duration::from_secs(30 * 24 * 3600),
    })?;
    let account = AccountId(ACCOUNT.parse()?);
    let body = vec![b'x'; filling.body_bytes];
    let mut done = 0;
    while done < filling.rows {
        let numbers = first + done..first + filling.rows.min(done + CHUNK);
        done += CHUNK;
        let body = body.clone();
        store
            .write(move |tx| {
                for number in numbers {
                    remember(tx, account, number, &body)?;
                }
                match filling.published {
                    true => tx.advance_cursor(tx.next_sequence() - 1, &[], Timestamp::now()),
                    false => Ok(()),
                }
            })
            .await?;
    }
    drop(store);
    closed(&path).await
}

/// One mention with all that is kept of it.
fn remember(
    tx: &mut Tx<'_>,
    account: AccountId,
    number: u64,
    body: &[u8],
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let (post, author) = ids(number).ok_or_else(|| StoreError::Corrupt {
        what: "number of a post",
        value: number.to_string(),
    })?;
    let conversation = ConversationId::Thread(post);
    let row = NewRow {
        id: EventId::new(ACCOUNT, "message.received", &post.to_string(), post.get()),
        event_type: "message.received",
        routing_key: format!("message.received.post.{ACCOUNT}"),
        correlation_id: conversation.to_string(),
        subject: post.to_string(),
        time: now,
        mandatory: true,
        case: Some(Case {
            account,
            customer: author,
            conversation: conversation.clone(),
        }),
        body: body.to_vec().into(),
    };
    let event = row.id;
    let sequence = tx.append(row, now)?;
    let known = PostRow {
        thread: post,
        author: Some(author),
        customer: Some(author),
        original: None,
        latest: Some(post),
        event: Some(event),
    };
    tx.put_post(account, post, &known, now)?;
    let row = ConversationRow {
        first_sequence: Some(sequence),
        received_at: Some(now),
        ..ConversationRow::default()
    };
    tx.put_conversation(account, &conversation, &row, now)
}

/// Waits until the store's threads have let go of the file: the last one deletes the log.
async fn closed(path: &Path) -> anyhow::Result<()> {
    let log = path.with_extension("db-wal");
    let deadline = Instant::now() + PATIENCE;
    while log.exists() {
        ensure!(
            Instant::now() < deadline,
            "the filled journal is not closed"
        );
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
