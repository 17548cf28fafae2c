//! The filtered stream, as a connection that we open: posts that rules of the app match.
//!
//! One connection for each app. Whoever reads has to be quick: X ends a connection whose buffer
//! runs full. Who connects again waits as [`Backoff`] says, and fills the hole by search.

mod backoff;
mod rules;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::header::HeaderMap;

pub use backoff::{Backoff, Trouble};
pub use rules::{NewRule, RefusedRule, Rule, Rules, RulesAdded, RulesDeleted};

use super::auth::{Auth, Context};
use super::call::Call;
use super::classify;
use super::error::{CallError, Upstream};
use super::limits::Limits;
use super::lines::{LineError, Lines};
use super::open::Opening;
use super::posts::not_sent;
use super::transport::{read_object, read_problem, transaction_id};
use super::vocabulary::{Detail, Fields, Vocabulary};
use super::{Client, Reply, Resources};
use crate::domain::account::App;
use crate::x::wire::answer::Envelope;

/// X sends something, be it a line end, at least this often.
pub const SILENCE: Duration = Duration::from_secs(20);
/// Longest line that is read. A post of 25,000 characters with two others that it refers to, every
/// character escaped, has about 2 MB.
const LONGEST: usize = 4 << 20;

/// What a stream brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamItem {
    /// A match, or a message of a kind that X has added: what a webhook of the stream would deliver.
    Delivery(Bytes),
    /// X is there and has nothing.
    Heartbeat,
    /// X's own trouble; most often the end follows.
    Error(Box<Upstream>),
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// X ended it without a word.
    #[error("X ended the stream")]
    Ended,
    /// X ended it and said why.
    #[error("X ended the stream: {0}")]
    ByX(Box<Upstream>),
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("a line is longer than {0} bytes")]
    LineTooLong(usize),
    /// Something else than X answers.
    #[error("the stream holds what is no JSON object")]
    Unreadable,
}

impl From<LineError> for Disconnect {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Silent(silence) => Self::Silent(silence),
            LineError::Lost(why) => Self::Lost(why),
            LineError::TooLong(longest) => Self::LineTooLong(longest),
        }
    }
}

/// A stream that is connected; dropped, it is closed.
pub struct PostStream {
    lines: Lines,
    transaction_id: String,
    /// X's last trouble.
    trouble: Option<Box<Upstream>>,
}

impl fmt::Debug for PostStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostStream").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the stream of an app. The beginning of the answer has the time of a call; after
    /// that only a silence ends it, [`SILENCE`] as X asks. Posts come whole, see [`Detail::Whole`].
    ///
    /// The reply's error is 409 where the app has no rules, see [`is_without_rules`].
    ///
    /// [`is_without_rules`]: CallError::is_without_rules
    pub async fn post_stream(&self, app: &App, silence: Duration) -> Reply<PostStream> {
        let (call, auth) = (Call::StreamConnect, Auth::App(app));
        let response = match self.stream_opening() {
            Ok(opening) => self.open(auth, opening).await,
            Err(error) => Err(error),
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return not_sent(call, error),
        };
        if !response.status().is_success() {
            return self.refused_stream(response).await;
        }
        Reply {
            call,
            limits: Limits::read(response.headers()),
            resources: Resources::default(),
            result: Ok(PostStream {
                transaction_id: transaction_id(response.headers()),
                lines: Lines::new(response, LONGEST, silence),
                trouble: None,
            }),
        }
    }

    /// The stream keeps the names of X's pages, whatever other reads have come to.
    fn stream_opening(&self) -> Result<Opening, CallError> {
        let fields = Vocabulary::Pages.parameters(Fields::Posts(Detail::Whole));
        let query: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        Ok(Opening {
            call: Call::StreamConnect,
            context: Context::Bearer,
            url: self.transport.url("2/tweets/search/stream", &query)?,
            headers: HeaderMap::new(),
        })
    }

    async fn refused_stream(&self, response: reqwest::Response) -> Reply<PostStream> {
        let (limits, answer) = self.transport.rest(response).await;
        let error = match answer {
            Ok(answer) => {
                let uncertain = super::UncertainBecause::UnexpectedStatus;
                let failure = self.transport.failure(&answer);
                failure.unwrap_or_else(|| answer.uncertain(uncertain))
            }
            Err(error) => error,
        };
        Reply {
            limits,
            ..not_sent(Call::StreamConnect, error)
        }
    }
}

impl CallError {
    /// Whether X has no stream for an app since it has no rules. Source: X's list of statuses.
    pub fn is_without_rules(&self) -> bool {
        self.upstream()
            .is_some_and(|upstream| upstream.status == 409)
    }
}

impl PostStream {
    /// The next item. A call that is dropped loses nothing.
    ///
    /// # Errors
    /// [`Disconnect`]: the end, whatever the reason; nothing comes after it.
    pub async fn next(&mut self) -> Result<StreamItem, Disconnect> {
        match self.lines.next().await? {
            Some(line) => self.item(line),
            None => Err(match self.trouble.take() {
                Some(upstream) => Disconnect::ByX(upstream),
                None => Disconnect::Ended,
            }),
        }
    }

    /// The items as a stream, whose last is the end.
    pub fn items(self) -> impl Stream<Item = Result<StreamItem, Disconnect>> {
        stream::unfold(Some(self), |stream| async {
            let mut stream = stream?;
            let item = stream.next().await;
            let next = item.is_ok().then_some(stream);
            Some((item, next))
        })
    }

    fn item(&mut self, line: Bytes) -> Result<StreamItem, Disconnect> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(StreamItem::Heartbeat);
        }
        let text = std::str::from_utf8(&line).or(Err(Disconnect::Unreadable))?;
        let envelope: Option<Envelope<'_>> = read_object(text);
        let envelope = envelope.ok_or(Disconnect::Unreadable)?;
        if envelope.data.is_none()
            && let Some(problem) = read_problem(text)
        {
            let upstream = Box::new(classify::upstream(200, &problem, &self.transaction_id));
            self.trouble = Some(upstream.clone());
            return Ok(StreamItem::Error(upstream));
        }
        self.trouble = None;
        Ok(StreamItem::Delivery(line))
    }
}
