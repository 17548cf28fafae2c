//! Files of direct messages, which X shows to the participants only.
//!
//! v1.1 gives an address of X's media hosts, to be asked with the account's OAuth 1.0a token. v2
//! has a call for the same file, which takes OAuth 2.0 only: an account without OAuth 1.0a gets it
//! there, as both have the message, the media and the file's name in their paths.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use reqwest::Response;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, RANGE,
};
use tokio::time::timeout;
use url::Url;

use super::Client;
use super::auth::{Auth, Context};
use super::call::Call;
use super::error::{CallError, NotSent};
use super::hosts;
use super::limits::{Limits, Window};
use super::open::Opening;
use crate::domain::account::{Account, App};
use crate::domain::attachment::LARGEST_BYTES;
use crate::telemetry::chain;

/// Paths of the v1.1 form and of the v2 call; message, media and file name follow.
const V1: &str = "/1.1/ton/data/dm/";
const V2: &str = "/2/dm_conversations/media/";
/// Longest name of a file in a path.
const LONGEST_NAME: usize = 100;

/// A part of a file, as in a `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From a byte, to a byte or to the end.
    From { first: u64, last: Option<u64> },
    /// So many at the end.
    Last(u64),
}

impl ByteRange {
    /// Of a `Range` header; `None` for several ranges, other units and nonsense: such a header is to
    /// be ignored (RFC 9110, 14.2).
    pub fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten()
        };
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From {
                first: number(first)?,
                last: None,
            }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                let range = Self::From {
                    first,
                    last: Some(last),
                };
                (first <= last).then_some(range)
            }
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From { first, last: None } => write!(f, "bytes={first}-"),
            Self::From {
                first,
                last: Some(last),
            } => write!(f, "bytes={first}-{last}"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

/// A file, or a part of it, on its way.
#[derive(Debug)]
pub struct MediaFile {
    /// It is the part that was asked for, see `content_range`; else all of it, whatever was.
    pub is_partial: bool,
    /// As X says; empty where it says nothing.
    pub content_type: String,
    /// Bytes that follow; `None` where X does not say.
    pub length: Option<u64>,
    /// Which part of how many bytes, as in the header; empty for all of it.
    pub content_range: String,
    pub body: MediaBody,
}

/// Why a file does not come. Names hosts, never paths: those are capabilities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// Not an address of X's; nothing was asked.
    #[error("files of direct messages are not fetched from {host}")]
    NotAllowed { host: String },
    /// Nothing was asked: the account has no credential that would do.
    #[error("no credential for this file: {0}")]
    NoCredential(&'static str),
    /// X has deleted it.
    #[error("X has the file no more ({status})")]
    Gone { status: u16 },
    /// Not this account's to see, or its credential is no longer good.
    #[error("X does not show the file to this account ({status})")]
    Refused { status: u16 },
    /// The part that was asked for is not in the file.
    #[error("the file has no such part")]
    NoSuchRange {
        /// As X's `Content-Range` says it, e.g. `bytes */1000`; may be empty.
        content_range: String,
    },
    #[error("the file has more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("X takes no more reads for now")]
    RateLimited { until: Option<Timestamp> },
    /// A later try may do better.
    #[error("the file cannot be had just now: {0}")]
    Unavailable(String),
}

/// The content of a file. Each piece has the time of a call, all of them together have no limit.
pub struct MediaBody {
    response: Response,
    patience: Duration,
    left: u64,
}

impl fmt::Debug for MediaBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaBody").finish_non_exhaustive()
    }
}

/// A file that does not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file breaks off: {0}")]
pub struct MediaCut(pub String);

impl MediaBody {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`MediaCut`], when it breaks off, pauses too long or has more than the largest file.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, MediaCut> {
        let chunk = match timeout(self.patience, self.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => return Err(MediaCut(chain(&error.without_url()))),
            Err(_late) => return Err(MediaCut("nothing came in time".to_owned())),
        };
        let length = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let left = self.left.checked_sub(length);
        self.left =
            left.ok_or_else(|| MediaCut(format!("it has more than {LARGEST_BYTES} bytes")))?;
        Ok(chunk)
    }

    /// The pieces as a stream, which ends with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, MediaCut>> + Send + 'static {
        stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.chunk().await {
                Ok(chunk) => chunk.map(|chunk| (Ok(chunk), Some(body))),
                Err(cut) => Some((Err(cut), None)),
            }
        })
    }
}

impl Client {
    /// Asks for a file of a direct message that the account takes part in, or for a part of it. The
    /// beginning of the answer has the time of a call. Redirects are not followed.
    ///
    /// # Errors
    /// [`MediaError`]; it is never worse to ask once more.
    pub async fn dm_media(
        &self,
        app: &App,
        account: &Account,
        url: &Url,
        range: Option<ByteRange>,
    ) -> Result<MediaFile, MediaError> {
        let (context, url) = self.media_place(account, url)?;
        let opening = Opening {
            call: Call::DirectMessageMedia,
            context,
            url,
            headers: headers(range)?,
        };
        let auth = Auth::Account { app, account };
        match self.open(auth, opening).await {
            Ok(response) => self.media_file(response),
            Err(error) => Err(not_opened(error)),
        }
    }

    /// Where the file is asked for, and in which context.
    fn media_place(&self, account: &Account, url: &Url) -> Result<(Context, Url), MediaError> {
        let base = &self.transport.base_url;
        let is_base = hosts::is_base(base, url);
        let is_v2 = is_base && url.path().starts_with(V2);
        // Whatever else X's API has, it is no file.
        let is_api = is_base && !is_v2 && base.scheme() == "https";
        if is_api || !hosts::is_media(base, url) {
            let host = url.host_str().unwrap_or("no host").to_owned();
            return Err(MediaError::NotAllowed { host });
        }
        let mut url = url.clone();
        url.set_fragment(None);
        if account.access_token.is_some() && !is_v2 {
            return Ok((Context::OAuth1, url));
        }
        let why = "the account has no OAuth 1.0a token, and v2 does not know this address";
        let path = v2_path(url.path()).ok_or(MediaError::NoCredential(why))?;
        let url = self.transport.url(&path, &[]).map_err(not_opened)?;
        Ok((Context::OAuth2, url))
    }

    fn media_file(&self, response: Response) -> Result<MediaFile, MediaError> {
        let (status, headers) = (response.status().as_u16(), response.headers());
        if !matches!(status, 200 | 206) {
            return Err(refused(status, headers));
        }
        let encoding = text(headers, &CONTENT_ENCODING);
        if !matches!(&*encoding, "" | "identity") {
            let why = "X sent it compressed, which it was not asked for";
            return Err(MediaError::Unavailable(why.to_owned()));
        }
        let length = response.content_length();
        if length.is_some_and(|length| length > LARGEST_BYTES) {
            let limit = LARGEST_BYTES;
            return Err(MediaError::TooLarge { limit });
        }
        Ok(MediaFile {
            is_partial: status == 206,
            content_type: text(headers, &CONTENT_TYPE),
            length,
            content_range: text(headers, &CONTENT_RANGE),
            body: MediaBody {
                response,
                patience: self.transport.call_timeout,
                left: LARGEST_BYTES,
            },
        })
    }
}

fn headers(range: Option<ByteRange>) -> Result<HeaderMap, MediaError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(range) = range {
        let value = HeaderValue::from_str(&range.to_string());
        let value = value.map_err(|error| MediaError::Unavailable(error.to_string()))?;
        headers.insert(RANGE, value);
    }
    Ok(headers)
}

/// The path of v2's call for a file of either form.
fn v2_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix(V1).or_else(|| path.strip_prefix(V2))?;
    let mut parts = rest.split('/');
    let (message, media, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str| {
        (1..=19).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = (1..=LONGEST_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(is_sign);
    let fits = is_number(message) && is_number(media) && is_name && parts.next().is_none();
    let call = V2.trim_start_matches('/');
    fits.then(|| format!("{call}{message}/{media}/{name}"))
}

/// What a status means for a file, whatever the page that comes with it.
fn refused(status: u16, headers: &HeaderMap) -> MediaError {
    match status {
        404 | 410 => MediaError::Gone { status },
        416 => MediaError::NoSuchRange {
            content_range: text(headers, &CONTENT_RANGE),
        },
        429 => {
            let window = Limits::read(headers).window;
            let until = window.filter(Window::is_used_up).map(|window| window.reset);
            MediaError::RateLimited { until }
        }
        400..=499 if status != 408 => MediaError::Refused { status },
        300..=399 => MediaError::Unavailable(format!("X redirects ({status})")),
        _ => MediaError::Unavailable(format!("X answers {status}")),
    }
}

fn not_opened(error: CallError) -> MediaError {
    match error {
        CallError::NotSent {
            reason: NotSent::NoCredential(why),
        } => MediaError::NoCredential(why),
        CallError::RateLimited { until, .. } => MediaError::RateLimited { until },
        // Of the question for a token.
        CallError::Unauthorized { upstream, .. } => MediaError::Refused {
            status: upstream.status,
        },
        other => MediaError::Unavailable(other.to_string()),
    }
}

/// A header that is no text counts as none.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_and_written_as_it_was() {
        for header in ["bytes=0-99", "bytes=100-", "bytes=-5", "bytes=7-7"] {
            let range = ByteRange::parse(header).unwrap();
            assert_eq!(range.to_string(), header);
        }
    }

    #[test]
    fn a_range_that_is_none_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-1",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
            "bytes=a-b",
            "bytes=0-99999999999999999999",
        ] {
            assert_eq!(ByteRange::parse(header), None, "{header}");
        }
    }

    #[test]
    fn v2_knows_a_file_by_the_parts_of_its_older_path() {
        let call = "2/dm_conversations/media/12/34/aB_-1.jpg";
        assert_eq!(
            v2_path("/1.1/ton/data/dm/12/34/aB_-1.jpg").as_deref(),
            Some(call)
        );
        assert_eq!(v2_path(&format!("/{call}")).as_deref(), Some(call));
        for path in [
            "/dm_video/1.mp4",
            "/1.1/ton/data/dm/12/34",
            "/1.1/ton/data/dm/12/34/a/b",
            "/1.1/ton/data/dm/12/34/..",
            "/1.1/ton/data/dm/12/34/%2e%2e",
            "/1.1/ton/data/dm/x/34/a.jpg",
            "/1.1/ton/data/dm/12//a.jpg",
        ] {
            assert_eq!(v2_path(path), None, "{path}");
        }
    }
}
