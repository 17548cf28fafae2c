//! Posts: made, deleted, hidden, and read again.

use jiff::{Timestamp, Unit};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::auth::Auth;
use super::call::Call;
use super::classify::reason_beside_data;
use super::error::{CallError, NotSent, RefusalReason, UncertainBecause, Upstream};
use super::limits::Limits;
use super::send::{Request, Sent};
use super::transport::{Answer, read_object};
use super::vocabulary::{Detail, Fields};
use super::{Client, Page, Reply, Resources, Span};
use crate::domain::activity::Rejected;
use crate::domain::ids::{AccountId, MediaId, TweetId, UserId};
use crate::domain::message::Post;
use crate::x::normalize::answers;
use crate::x::normalize::reads::Means;
use crate::x::wire::answer::{Created, Done, Envelope, Problem};
use crate::x::wire::v2::Includes;
use crate::x::wire::{List, Raw};

/// Most ids of one lookup.
pub(super) const MAX_IDS: usize = 100;
/// Fewest and most results of a page of a timeline.
pub(super) const TIMELINE_PAGE: (u32, u32) = (5, 100);
/// The same of search.
pub(super) const SEARCH_PAGE: (u32, u32) = (10, 100);

/// A post to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewPost<'a> {
    /// May be empty where there is media.
    pub text: &'a str,
    pub in_reply_to: Option<TweetId>,
    /// Of the people that the reply would name, those to leave out. Without meaning if it is none.
    pub exclude_mentions: &'a [UserId],
    /// Up to 4 photos, or one GIF, or one video.
    pub media_ids: &'a [MediaId],
    /// See [`direct_message_link`].
    pub direct_message_deep_link: Option<&'a str>,
    /// Not offered on self-serve.
    pub quote: Option<TweetId>,
}

/// The link under a post that opens a direct message with an account.
/// Source: X's "Direct Message button".
pub fn direct_message_link(account: AccountId) -> String {
    format!("https://x.com/messages/compose?recipient_id={account}")
}

impl NewPost<'_> {
    fn body(&self) -> Value {
        let mut body = Map::new();
        // Always sent: X's OpenAPI says that its backend refuses an absent one.
        body.insert("text".to_owned(), self.text.into());
        if let Some(parent) = self.in_reply_to {
            body.insert("reply".to_owned(), self.reply(parent));
        }
        if !self.media_ids.is_empty() {
            let media = json!({"media_ids": self.media_ids});
            body.insert("media".to_owned(), media);
        }
        if let Some(link) = self.direct_message_deep_link {
            body.insert("direct_message_deep_link".to_owned(), link.into());
        }
        if let Some(quote) = self.quote {
            body.insert("quote_tweet_id".to_owned(), json!(quote));
        }
        body.into()
    }

    fn reply(&self, parent: TweetId) -> Value {
        if self.exclude_mentions.is_empty() {
            json!({"in_reply_to_tweet_id": parent})
        } else {
            json!({"in_reply_to_tweet_id": parent, "exclude_reply_user_ids": self.exclude_mentions})
        }
    }
}

/// A post that X made. Its text is not told: X may show it with other mentions and links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostCreated {
    pub id: TweetId,
}

/// Posts of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PostsFound {
    pub posts: Vec<Post>,
    /// Of a lookup: the ids that X left out.
    pub missing: Vec<Missing<TweetId>>,
    /// What in the answer was no readable post; such an answer proves no absence.
    pub unreadable: Vec<Rejected>,
    /// Whether X has more than it was asked for.
    pub has_more: bool,
}

/// An id that X left out of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<Id> {
    pub id: Id,
    /// `Unclassified` where X does not say why.
    pub reason: RefusalReason,
    pub upstream: Upstream,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Everything that X still shows.
    Beginning,
    /// Cut to the second.
    Time(Timestamp),
    /// Younger than this post.
    Post(TweetId),
}

impl Request {
    pub(super) fn since(self, since: Since) -> Self {
        match since {
            Since::Beginning => self,
            Since::Time(at) => {
                let second = at.round(Unit::Second).unwrap_or(at);
                let second = if second > at { second - SECOND } else { second };
                self.query("start_time", second)
            }
            Since::Post(id) => self.query("since_id", id),
        }
    }
}

/// The second that ends not before a time.
pub(super) fn full_second(at: Timestamp) -> Timestamp {
    let second = at.round(Unit::Second).unwrap_or(at);
    if second < at { second + SECOND } else { second }
}

const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

impl Client {
    /// Makes a post. Any error but `Uncertain` and `Unavailable` means that there is none.
    pub async fn create_post(&self, auth: Auth<'_>, post: &NewPost<'_>) -> Reply<PostCreated> {
        let request = Request::new(Call::CreatePost, Method::POST, "2/tweets").json(post.body());
        let sent = self.send(auth, &request).await;
        sent.read(|answer, envelope| {
            let created: Option<Created<'_>> = data(envelope);
            let id = created.and_then(|created| id(created.id));
            let id = id.ok_or_else(|| no_result(answer, envelope))?;
            Ok((PostCreated { id }, Resources::default()))
        })
    }

    /// Deletes a post of the account's own; of an edited one, all versions.
    pub async fn delete_post(&self, auth: Auth<'_>, id: TweetId) -> Reply<()> {
        let path = format!("2/tweets/{id}");
        let request = Request::new(Call::DeletePost, Method::DELETE, path);
        let sent = self.send(auth, &request).await;
        done(sent, |done| *done.deleted == Some(true))
    }

    /// Hides a reply in a conversation that the account started, or shows it again.
    pub async fn hide_reply(&self, auth: Auth<'_>, id: TweetId, hidden: bool) -> Reply<()> {
        let path = format!("2/tweets/{id}/hidden");
        let request = Request::new(Call::HideReply, Method::PUT, path);
        let request = request.json(json!({"hidden": hidden}));
        let sent = self.send(auth, &request).await;
        done(sent, |done| *done.hidden == Some(hidden))
    }

    /// Looks up to 100 posts up.
    pub async fn posts(
        &self,
        auth: Auth<'_>,
        ids: &[TweetId],
        detail: Detail,
    ) -> Reply<PostsFound> {
        let request = Request::new(Call::PostLookup, Method::GET, "2/tweets");
        let request = match list_of_ids(ids) {
            Ok(list) => request.query("ids", list).fields(Fields::Posts(detail)),
            Err(error) => return not_sent(Call::PostLookup, error),
        };
        let sent = self.send(auth, &request).await;
        sent.read(|answer, envelope| {
            expect_something(answer, envelope)?;
            let mut found = posts_found(envelope);
            let is_found = |id: &TweetId| found.posts.iter().any(|post| post.id == *id);
            let left_out = ids.iter().filter(|id| !is_found(id));
            found.missing = left_out
                .map(|id| self.missing(*id, answer, envelope))
                .collect();
            Ok((found, resources(envelope)))
        })
    }

    /// The newest posts of a user, at most `max_results` or the 5 that X sends at least.
    pub async fn user_posts(
        &self,
        auth: Auth<'_>,
        user: UserId,
        since: Since,
        max_results: u32,
        detail: Detail,
    ) -> Reply<PostsFound> {
        let path = format!("2/users/{user}/tweets");
        let request = Request::new(Call::UserPosts, Method::GET, path)
            .query("max_results", within(max_results, TIMELINE_PAGE))
            .since(since)
            .fields(Fields::Posts(detail));
        let sent = self.send(auth, &request).await;
        self.page(sent)
    }

    /// Searches the last seven days; at most `max_results` or the 10 that X sends at least. X's
    /// search knows a post some time after it was made.
    pub async fn search_recent(
        &self,
        auth: Auth<'_>,
        query: &str,
        since: Since,
        max_results: u32,
        detail: Detail,
    ) -> Reply<PostsFound> {
        let request = Request::new(Call::SearchRecent, Method::GET, "2/tweets/search/recent")
            .query("query", query)
            .query("max_results", within(max_results, SEARCH_PAGE))
            .since(since)
            .fields(Fields::Posts(detail));
        let sent = self.send(auth, &request).await;
        self.page(sent)
    }

    /// A page of a search in the last seven days, as deliveries to an account, or to all of the app
    /// where none is named.
    /// Keywords find no reposts.
    pub async fn search(
        &self,
        auth: Auth<'_>,
        query: &str,
        for_account: Option<AccountId>,
        span: &Span<'_>,
    ) -> Reply<Page> {
        let request = Request::new(Call::SearchRecent, Method::GET, "2/tweets/search/recent")
            .query("query", query)
            .span(span, SEARCH_PAGE);
        let sent = self.send(auth, &request).await;
        self.post_page(sent, Means::Search, for_account)
    }

    fn page(&self, sent: Sent) -> Reply<PostsFound> {
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            Ok((posts_found(envelope), resources(envelope)))
        })
    }

    /// An answer of errors only is a refusal, though its status is 200; one of nothing is empty.
    pub(super) fn refuse_errors_alone(
        &self,
        answer: &Answer,
        envelope: &Envelope<'_>,
    ) -> Result<(), CallError> {
        expect_something(answer, envelope)?;
        match envelope.errors.first() {
            Some(problem) if envelope.data.is_none() => {
                let upstream = answer.upstream(problem);
                let reason = reason_beside_data(&upstream, &self.transport.texts);
                Err(CallError::refused(reason, upstream))
            }
            _ => Ok(()),
        }
    }

    /// Why an id is not among the items.
    pub(super) fn missing<Id: ToString>(
        &self,
        id: Id,
        answer: &Answer,
        envelope: &Envelope<'_>,
    ) -> Missing<Id> {
        let digits = id.to_string();
        let is_about =
            |problem: &&Problem<'_>| *problem.resource_id == *digits || *problem.value == *digits;
        let problem = envelope.errors.iter().find(is_about);
        let upstream = problem.map_or_else(Upstream::default, |it| answer.upstream(it));
        let reason = match problem {
            Some(_) => reason_beside_data(&upstream, &self.transport.texts),
            None => RefusalReason::Unclassified,
        };
        Missing {
            id,
            reason,
            upstream,
        }
    }
}

/// An empty object is no proof that there is nothing.
pub(super) fn expect_something(answer: &Answer, envelope: &Envelope<'_>) -> Result<(), CallError> {
    let is_empty = envelope.data.is_none() && envelope.meta.is_none() && envelope.errors.is_empty();
    match is_empty {
        true => Err(answer.uncertain(UncertainBecause::Unreadable)),
        false => Ok(()),
    }
}

fn posts_found(envelope: &Envelope<'_>) -> PostsFound {
    let read = answers::posts(envelope.data, envelope.includes);
    let meta = envelope.meta.as_ref();
    PostsFound {
        posts: read.items,
        missing: Vec::new(),
        unreadable: read.unreadable,
        has_more: meta.is_some_and(|meta| !meta.next_token.is_empty()),
    }
}

/// What X counts as read in an answer of posts.
pub(super) fn resources(envelope: &Envelope<'_>) -> Resources {
    let (posts, users) = included(envelope);
    Resources {
        posts: posts + listed(envelope.data),
        users,
        direct_messages: 0,
    }
}

/// Posts and people that came along.
pub(super) fn included(envelope: &Envelope<'_>) -> (u32, u32) {
    let includes = envelope
        .includes
        .and_then(|raw| read_object::<Includes<'_>>(raw.get()));
    let includes = includes.unwrap_or_default();
    let users = u32::try_from(includes.users.len()).unwrap_or(u32::MAX);
    (listed(includes.tweets) + listed(includes.posts), users)
}

/// How many items a list has; one item that is no list counts as one.
pub(super) fn listed(raw: Option<Raw<'_>>) -> u32 {
    let Some(raw) = raw else { return 0 };
    if !raw.get().starts_with('[') {
        return 1;
    }
    let list = parse::<List<Raw<'_>>>(raw);
    list.map_or(0, |list| u32::try_from(list.len()).unwrap_or(u32::MAX))
}

pub(super) fn parse<'a, T: serde::Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// The `data` of an envelope as an object.
pub(super) fn data<'a, T: serde::Deserialize<'a>>(envelope: &Envelope<'a>) -> Option<T> {
    read_object(envelope.data?.get())
}

pub(super) fn id<'a, Id: serde::Deserialize<'a>>(raw: Option<Raw<'a>>) -> Option<Id> {
    raw.and_then(parse)
}

/// A success that brings no result: whatever X says beside it, it is not certain.
pub(super) fn no_result(answer: &Answer, envelope: &Envelope<'_>) -> CallError {
    let nothing = Problem::default();
    let problem = envelope.errors.first().unwrap_or(&nothing);
    CallError::Uncertain {
        reason: UncertainBecause::NoResult,
        upstream: Some(Box::new(answer.upstream(problem))),
    }
}

/// Of a call that has nothing to say but that it is done.
pub(super) fn done(sent: Sent, is_done: impl FnOnce(&Done) -> bool) -> Reply<()> {
    sent.read(|answer, envelope| {
        let done: Option<Done> = data(envelope);
        if done.is_some_and(|done| is_done(&done)) {
            Ok(((), Resources::default()))
        } else {
            Err(no_result(answer, envelope))
        }
    })
}

/// The ids of a lookup, as X lists them.
pub(super) fn list_of_ids<Id: ToString>(ids: &[Id]) -> Result<String, CallError> {
    if ids.is_empty() || ids.len() > MAX_IDS {
        let why = format!("{} ids, expected 1 to {MAX_IDS}", ids.len());
        return Err(NotSent::Unaskable(why).into());
    }
    let ids = ids.iter().map(Id::to_string);
    Ok(ids.collect::<Vec<_>>().join(","))
}

pub(super) fn not_sent<T>(call: Call, error: CallError) -> Reply<T> {
    Reply {
        call,
        result: Err(error),
        limits: Limits::default(),
        resources: Resources::default(),
    }
}

pub(super) fn within(wanted: u32, (least, most): (u32, u32)) -> u32 {
    wanted.clamp(least, most)
}
