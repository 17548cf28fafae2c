//! Which conversation a post belongs to, and which conversations it proves to be one.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::domain::ids::{AccountId, ConversationId, EventId, TweetId, UserId};
use crate::domain::message::Post;
use crate::domain::registry::Registry;
use crate::store::{ConversationRow, PostRow, StoreError, Tx};

/// A post's place.
pub(super) struct Place {
    pub conversation: ConversationId,
    /// Published conversations that are part of it from now on.
    pub merged: Vec<ConversationId>,
    /// Whose exchange the post belongs to.
    pub customer: Option<UserId>,
    /// The conversation as stored so far, merges included.
    pub stored: Option<ConversationRow>,
    pub known: Known,
    root: TweetId,
}

/// The posts that are of one thread with a post by what it says itself, for one account and as
/// stored so far: read once, asked for often.
pub(super) struct Known {
    account: AccountId,
    posts: Vec<(TweetId, Option<PostRow>)>,
}

impl Known {
    pub(super) fn read(tx: &Tx<'_>, account: AccountId, post: &Post) -> Result<Self, StoreError> {
        let mut posts: Vec<(TweetId, Option<PostRow>)> = Vec::new();
        for id in nodes(post) {
            if !posts.iter().any(|(other, _)| *other == id) {
                posts.push((id, tx.post(account, id)?));
            }
        }
        Ok(Self { account, posts })
    }

    /// Adds the first version of the post, which only the store knew of.
    pub(super) fn add_original(&mut self, tx: &Tx<'_>, id: TweetId) -> Result<(), StoreError> {
        let row = self.row(tx, id)?.into_owned();
        self.posts.retain(|(other, _)| *other != id);
        self.posts.insert(0, (id, row));
        Ok(())
    }

    /// What is known of any post of the account.
    pub(super) fn row(
        &self,
        tx: &Tx<'_>,
        id: TweetId,
    ) -> Result<Cow<'_, Option<PostRow>>, StoreError> {
        match self.posts.iter().find(|(known, _)| *known == id) {
            Some((_, row)) => Ok(Cow::Borrowed(row)),
            None => tx.post(self.account, id).map(Cow::Owned),
        }
    }
}

/// Finds the place of `post` and makes the merges that it proves. The post itself is not stored,
/// see [`remember`].
pub(super) fn place(
    tx: &Tx<'_>,
    registry: &Registry,
    post: &Post,
    known: Known,
    at: Timestamp,
) -> Result<Place, StoreError> {
    let account = known.account;
    let threads = threads_of(tx, &known)?;
    let chosen = choose(tx, post, &known, &threads)?;
    let conversation = ConversationId::Thread(chosen);
    let mut merged = Vec::new();
    for thread in threads.into_iter().filter(|thread| *thread != chosen) {
        let other = ConversationId::Thread(thread);
        if merge(tx, account, &other, &conversation, at)? {
            merged.push(other);
        }
    }
    Ok(Place {
        stored: tx.conversation(account, &conversation)?,
        conversation,
        merged,
        customer: customer(tx, registry, post, &known)?,
        root: chosen,
        known,
    })
}

/// The conversation that a post would be of, before anything is asked or merged for it.
pub(super) fn expected(
    tx: &Tx<'_>,
    post: &Post,
    known: &Known,
) -> Result<ConversationId, StoreError> {
    let threads = threads_of(tx, known)?;
    choose(tx, post, known, &threads).map(ConversationId::Thread)
}

/// Makes `other` a part of `survivor`; whether it was published.
fn merge(
    tx: &Tx<'_>,
    account: AccountId,
    other: &ConversationId,
    survivor: &ConversationId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let part = tx.conversation(account, other)?.unwrap_or_default();
    let mut whole = tx.conversation(account, survivor)?.unwrap_or_default();
    tx.merge_conversation(account, other, survivor, at)?;
    tx.merge_storms(account, other, survivor)?;
    let published = part.first_sequence.is_some();
    // Replies follow what was received last in any part of it.
    if part.received_at > whole.received_at {
        whole = ConversationRow {
            first_sequence: whole.first_sequence,
            ..part
        };
        tx.put_conversation(account, survivor, &whole, at)?;
    }
    Ok(published)
}

/// The posts that are of one thread with `post` by what it says itself.
pub(super) fn nodes(post: &Post) -> impl Iterator<Item = TweetId> {
    let parent = post.replied_to.as_ref().map(|parent| parent.id);
    let versions = post.edit_history.iter().copied();
    versions.chain([post.id]).chain(parent).chain(post.root)
}

fn threads_of(tx: &Tx<'_>, known: &Known) -> Result<Vec<TweetId>, StoreError> {
    let mut threads = Vec::new();
    for row in known.posts.iter().filter_map(|(_, row)| row.as_ref()) {
        let thread = survivor(tx, known.account, row.thread)?;
        if !threads.contains(&thread) {
            threads.push(thread);
        }
    }
    Ok(threads)
}

fn survivor(tx: &Tx<'_>, account: AccountId, thread: TweetId) -> Result<TweetId, StoreError> {
    match tx.survivor(account, &ConversationId::Thread(thread))? {
        ConversationId::Thread(root) => Ok(root),
        _ => Ok(thread),
    }
}

fn first_sequence(
    tx: &Tx<'_>,
    account: AccountId,
    thread: TweetId,
) -> Result<Option<u64>, StoreError> {
    let row = tx.conversation(account, &ConversationId::Thread(thread))?;
    Ok(row.and_then(|row| row.first_sequence))
}

/// The id published first stays. While none is published the thread is named by its root as X
/// says, else by the highest ancestor known.
fn choose(
    tx: &Tx<'_>,
    post: &Post,
    known: &Known,
    threads: &[TweetId],
) -> Result<TweetId, StoreError> {
    let mut published = Vec::new();
    for thread in threads {
        if let Some(sequence) = first_sequence(tx, known.account, *thread)? {
            published.push((sequence, *thread));
        }
    }
    if let Some((_, first)) = published.into_iter().min() {
        return Ok(first);
    }
    if let Some(root) = post.root {
        return Ok(root);
    }
    match &post.replied_to {
        Some(parent) => match &*known.row(tx, parent.id)? {
            Some(row) => survivor(tx, known.account, row.thread),
            None => Ok(parent.id),
        },
        None => Ok(post.original_id()),
    }
}

/// The author; for a message of ours the author of the nearest ancestor that is not ours.
fn customer(
    tx: &Tx<'_>,
    registry: &Registry,
    post: &Post,
    known: &Known,
) -> Result<Option<UserId>, StoreError> {
    let author = post.message.author.id;
    if !registry.is_ours(author) {
        return Ok(Some(author));
    }
    let Some(parent) = &post.replied_to else {
        return Ok((author != known.account.0).then_some(author));
    };
    if let Some(author) = parent.author_id.filter(|id| !registry.is_ours(*id)) {
        return Ok(Some(author));
    }
    let row = known.row(tx, parent.id)?;
    Ok(row.as_ref().as_ref().and_then(|row| row.customer))
}

/// Stores the post and those it points to, so that what comes later finds its place; with the event
/// that this version was published by, if it was.
pub(super) fn remember(
    tx: &Tx<'_>,
    registry: &Registry,
    post: &Post,
    place: Place,
    published: Option<EventId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let account = place.known.account;
    for (id, known) in place.known.posts {
        let mut row = known.clone().unwrap_or(PostRow {
            thread: place.root,
            author: None,
            customer: None,
            original: None,
            latest: None,
            event: None,
        });
        row.thread = place.root;
        if is_version(post, id) {
            row.author = Some(post.message.author.id);
            row.customer = place.customer;
            row.original = (id != post.original_id()).then(|| post.original_id());
        } else if let Some(author) = parent_author(post, id) {
            row.author = Some(author);
            row.customer = (!registry.is_ours(author))
                .then_some(author)
                .or(row.customer);
        }
        if let Some(event) = published.filter(|_| id == post.original_id()) {
            row.latest = Some(post.id);
            row.event = Some(event);
        }
        if known.as_ref() != Some(&row) {
            tx.put_post(account, id, &row, at)?;
        }
    }
    Ok(())
}

fn is_version(post: &Post, id: TweetId) -> bool {
    id == post.id || post.edit_history.contains(&id)
}

/// Who wrote the parent, where `id` is the parent and the delivery says.
fn parent_author(post: &Post, id: TweetId) -> Option<UserId> {
    let parent = post.replied_to.as_ref().filter(|parent| parent.id == id);
    parent.and_then(|parent| parent.author_id)
}
