//! Lists of posts and messages, page by page and as deliveries: what polls live on and gaps are
//! filled with.

use std::fmt;

use jiff::Timestamp;
use reqwest::Method;

use super::auth::Auth;
use super::call::Call;
use super::posts::{Since, TIMELINE_PAGE, full_second, resources, within};
use super::send::{Request, Sent};
use super::vocabulary::{Detail, Fields};
use super::{Client, Reply};
use crate::domain::activity::ActivityEvent;
use crate::domain::ids::{AccountId, TweetId};
use crate::x::normalize::ReadDelivery;
use crate::x::normalize::reads::{Item, Mark, Means, deliveries};
use crate::x::wire::answer::{Envelope, Meta};

/// Where the next page begins: X's word, opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageToken(String);

impl PageToken {
    /// One that was kept.
    pub fn new(kept: impl Into<String>) -> Self {
        Self(kept.into())
    }

    pub(super) fn read(meta: Option<&Meta<'_>>) -> Option<Self> {
        let token = meta.map(|meta| meta.next_token.to_string())?;
        (!token.is_empty()).then_some(Self(token))
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// The newest. Search ends 30 s ago.
    #[default]
    Now,
    /// Before this time, which is rounded up to the second. Search takes none of the last 10 s.
    Time(Timestamp),
    /// Older than this post.
    Post(TweetId),
}

/// Which posts, and how many of them in one answer.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Search refuses what is older than seven days.
    pub since: Since,
    pub until: Until,
    /// Of the page before; all else has to be as it was then.
    pub page: Option<&'a PageToken>,
    /// Cut to what X allows: 5 to 100, of search 10 to 100.
    pub max_results: u32,
    pub detail: Detail,
}

/// One page, the newest item first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Readable or not: what is not understood is known by its rejection.
    pub deliveries: Vec<ReadDelivery>,
    /// Of posts: the youngest id, to go on from. `None` where the page is empty.
    pub newest: Option<TweetId>,
    /// `None` on the last page.
    pub next: Option<PageToken>,
}

impl Request {
    pub(super) fn span(self, span: &Span<'_>, page: (u32, u32)) -> Self {
        let request = self
            .query("max_results", within(span.max_results, page))
            .since(span.since);
        let request = match span.until {
            Until::Now => request,
            Until::Time(at) => request.query("end_time", full_second(at)),
            Until::Post(id) => request.query("until_id", id),
        };
        request.page(span.page).fields(Fields::Posts(span.detail))
    }

    pub(super) fn page(self, page: Option<&PageToken>) -> Self {
        match page {
            Some(token) => self.query("pagination_token", token),
            None => self,
        }
    }
}

impl Client {
    /// Posts that name an account, replies and quotes among them; X shows the newest 800. Past
    /// those it answers with an empty page.
    pub async fn mentions(
        &self,
        auth: Auth<'_>,
        account: AccountId,
        span: &Span<'_>,
    ) -> Reply<Page> {
        let path = format!("2/users/{account}/mentions");
        let request = Request::new(Call::Mentions, Method::GET, path).span(span, TIMELINE_PAGE);
        let sent = self.send(auth, &request).await;
        self.post_page(sent, Means::Lookup, Some(account))
    }

    /// What an account posted itself; X shows the newest 3,200.
    pub async fn own_posts(
        &self,
        auth: Auth<'_>,
        account: AccountId,
        span: &Span<'_>,
    ) -> Reply<Page> {
        let path = format!("2/users/{account}/tweets");
        let request = Request::new(Call::UserPosts, Method::GET, path).span(span, TIMELINE_PAGE);
        let sent = self.send(auth, &request).await;
        self.post_page(sent, Means::Lookup, Some(account))
    }

    pub(super) fn post_page(
        &self,
        sent: Sent,
        means: Means,
        for_account: Option<AccountId>,
    ) -> Reply<Page> {
        let mark = Mark {
            means,
            item: Item::Post,
            for_user_id: for_account.map(|account| account.0),
        };
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            Ok((page(mark, envelope), resources(envelope)))
        })
    }
}

pub(super) fn page(mark: Mark, envelope: &Envelope<'_>) -> Page {
    let meta = envelope.meta.as_ref();
    let deliveries = deliveries(mark, envelope.data, envelope.includes);
    let named = meta.and_then(|meta| meta.newest_id.parse().ok());
    Page {
        newest: named.max(deliveries.iter().filter_map(post_id).max()),
        deliveries,
        next: PageToken::read(meta),
    }
}

fn post_id(delivery: &ReadDelivery) -> Option<TweetId> {
    let activities = delivery.normalized.activities.iter();
    activities
        .filter_map(|activity| match &activity.event {
            ActivityEvent::Post(post) => Some(post.id),
            _ => None,
        })
        .next()
}
