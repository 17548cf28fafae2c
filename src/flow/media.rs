//! Files of direct messages, for whoever holds the link that an event names.
//!
//! X shows them to participants only, so they are fetched with the account's credential, as they
//! are read: nothing of them is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::media_link::{LinkedFile, MediaLinks};
use super::rules::LiveRules;
use crate::domain::ids::AccountId;
use crate::store::{FileMark, GoneFile, Store, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{Auth, ByteRange, Client, MediaBody, MediaCut, MediaError, MediaFile};

/// Files of one account on their way at once, and how long one more waits for its turn.
const AT_ONCE: usize = 8;
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// A file that comes just after its message may not be there yet: X's word is final when it has
/// given it twice, this far apart.
const FINAL_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// How long is remembered that a file is gone; then X is asked once more.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Why a file does not come. Its address is a capability and never told.
#[derive(Debug, thiserror::Error)]
pub enum NoFile {
    #[error("This is no link of ours.")]
    BadLink,
    #[error("The account of this file is not linked any more.")]
    NotLinked,
    #[error("X has deleted this file.")]
    Gone,
    #[error("The file has no such part.")]
    NoSuchRange {
        /// As in a `Content-Range` header; may be empty.
        content_range: String,
    },
    #[error("The file has more than the {limit} bytes of media.max_bytes.")]
    TooLarge { limit: u64 },
    #[error("Too many files of this account are on their way.")]
    Busy,
    #[error("X takes no more reads of this account for now.")]
    RateLimited { until: Option<Timestamp> },
    /// Asking again does not help before somebody has mended it.
    #[error("X does not give the file to this account: {0}.")]
    Refused(String),
    #[error("X cannot be asked for the file just now: {0}.")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches files.
pub struct Media {
    links: MediaLinks,
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    max_bytes: u64,
    turns: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
}

/// A file, or a part of it, that has begun to come.
#[derive(Debug)]
pub struct OpenFile {
    /// It is the part that was asked for; else all of it.
    pub is_partial: bool,
    /// As X says, or by the name's ending where X says nothing of use; may be empty.
    pub content_type: String,
    /// Bytes that follow; `None` where X does not say.
    pub length: Option<u64>,
    /// As in a `Content-Range` header; empty for all of it.
    pub content_range: String,
    /// Safe in a header and as a name of a file.
    pub name: String,
    body: Body,
}

/// What follows; dropped, it ends the read at X.
#[derive(Debug)]
struct Body {
    body: MediaBody,
    left: u64,
    limit: u64,
    _turn: OwnedSemaphorePermit,
}

impl Media {
    /// `max_bytes` of the largest file that is passed on.
    pub fn new(
        links: MediaLinks,
        store: Store,
        rules: LiveRules,
        client: Arc<Client>,
        max_bytes: u64,
    ) -> Self {
        Self {
            links,
            store,
            rules,
            client,
            max_bytes,
            turns: Mutex::default(),
        }
    }

    /// Asks X for the file behind the last part of a link, or for a part of it.
    ///
    /// # Errors
    /// [`NoFile`].
    pub async fn open(
        &self,
        signed: &str,
        range: Option<ByteRange>,
        now: Timestamp,
    ) -> Result<OpenFile, NoFile> {
        let linked = self.links.read(signed).ok_or(NoFile::BadLink)?;
        let mark = linked.mark;
        if let Some(gone) = self.store.read(move |tx| tx.gone_file(mark)).await?
            && is_settled(gone, now)
        {
            return Err(NoFile::Gone);
        }
        let turn = self.turn(linked.account).await?;
        let opened = self.ask(&linked, range).await;
        let (call, result) = ("direct_message_media", result_name(opened.as_ref().err()));
        metrics::count_call(call, result);
        match opened {
            Ok(file) => self.pass_on(&linked, file, turn),
            Err(NoFile::Gone) => {
                self.note_gone(mark, now).await?;
                Err(NoFile::Gone)
            }
            Err(other) => Err(other),
        }
    }

    async fn ask(
        &self,
        linked: &LinkedFile,
        range: Option<ByteRange>,
    ) -> Result<MediaFile, NoFile> {
        let rules = self.rules.now();
        let auth = rules.auth(Some(linked.account));
        let Some(Auth::Account { app, account }) = auth else {
            return Err(NoFile::NotLinked);
        };
        let asked = self.client.dm_media(app, account, &linked.url, range).await;
        asked.map_err(no_file)
    }

    async fn turn(&self, account: AccountId) -> Result<OwnedSemaphorePermit, NoFile> {
        let turns = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let of_account = turns.entry(account);
            Arc::clone(of_account.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        match timeout(TURN_WITHIN, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(NoFile::Busy),
        }
    }

    async fn note_gone(&self, mark: FileMark, now: Timestamp) -> Result<(), StoreError> {
        let kept_since = now.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        let note = move |tx: &mut crate::store::Tx<'_>| tx.note_gone_file(mark, now, kept_since);
        self.store.write(note).await
    }

    fn pass_on(
        &self,
        linked: &LinkedFile,
        file: MediaFile,
        turn: OwnedSemaphorePermit,
    ) -> Result<OpenFile, NoFile> {
        let limit = self.max_bytes;
        let size = whole_size(&file.content_range).or(file.length);
        if size.is_some_and(|size| size > limit) {
            return Err(NoFile::TooLarge { limit });
        }
        let name = file_name(linked.url.path());
        Ok(OpenFile {
            is_partial: file.is_partial,
            content_type: content_type(&file.content_type, &name),
            length: file.length,
            content_range: file.content_range,
            name,
            body: Body {
                body: file.body,
                left: limit,
                limit,
                _turn: turn,
            },
        })
    }
}

impl OpenFile {
    /// The pieces; they end with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, MediaCut>> + Send + 'static {
        stream::unfold(Some(self.body), |body| async {
            let mut body = body?;
            match body.chunk().await {
                Ok(chunk) => chunk.map(|chunk| (Ok(chunk), Some(body))),
                Err(cut) => Some((Err(cut), None)),
            }
        })
    }
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, MediaCut> {
        let Some(chunk) = self.body.chunk().await? else {
            return Ok(None);
        };
        let length = chunk.len() as u64;
        let left = self.left.checked_sub(length);
        self.left =
            left.ok_or_else(|| MediaCut(format!("it has more than {} bytes", self.limit)))?;
        metrics::count_media_bytes(length);
        Ok(Some(chunk))
    }
}

/// Whether X need not be asked again: it has said so long enough, or just now.
fn is_settled(gone: GoneFile, now: Timestamp) -> bool {
    let age = |since| now.duration_since(since);
    let is_final = gone.last.duration_since(gone.first) >= FINAL_AFTER;
    (is_final && age(gone.last) < REMEMBERED) || age(gone.first) < FINAL_AFTER
}

fn no_file(error: MediaError) -> NoFile {
    match error {
        MediaError::Gone { .. } => NoFile::Gone,
        MediaError::NoSuchRange { content_range } => NoFile::NoSuchRange { content_range },
        MediaError::TooLarge { limit } => NoFile::TooLarge { limit },
        MediaError::RateLimited { until } => NoFile::RateLimited { until },
        MediaError::Unavailable(_) => NoFile::Unavailable(error.to_string()),
        MediaError::NotAllowed { .. }
        | MediaError::NoCredential(_)
        | MediaError::Refused { .. } => NoFile::Refused(error.to_string()),
    }
}

/// For the count of calls.
fn result_name(error: Option<&NoFile>) -> &'static str {
    match error {
        None => "ok",
        Some(NoFile::RateLimited { .. }) => "rate_limited",
        Some(NoFile::Unavailable(_)) => "unavailable",
        Some(NoFile::NotLinked) => "not_sent",
        Some(_) => "refused",
    }
}

/// How large the whole file is of which this is a part: `bytes 0-9/1000`.
fn whole_size(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

fn file_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().filter(plain).collect();
    match name.trim_start_matches('.') {
        "" => "file".to_owned(),
        name => name.to_owned(),
    }
}

/// X's v2 call names no type.
fn content_type(said: &str, name: &str) -> String {
    if !matches!(said, "" | "application/octet-stream") {
        return said.to_owned();
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let known = match ending.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        _ => "",
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn x_is_asked_again_until_its_word_is_final() {
        let gone = |first, last| GoneFile {
            first: second(first),
            last: second(last),
        };
        assert!(is_settled(gone(0, 0), second(59)), "it just said so");
        assert!(!is_settled(gone(0, 0), second(60)), "it may have come");
        assert!(is_settled(gone(0, 60), second(61)));
        assert!(is_settled(gone(0, 60), second(80 * 86400)));
        assert!(!is_settled(gone(0, 60), second(91 * 86400)));
    }

    #[test]
    fn the_whole_size_stands_behind_the_slash() {
        assert_eq!(whole_size("bytes 0-9/1000"), Some(1000));
        assert_eq!(whole_size("bytes 0-9/*"), None);
        assert_eq!(whole_size(""), None);
    }

    #[test]
    fn a_name_is_safe_in_a_header() {
        assert_eq!(file_name("/1.1/ton/data/dm/1/2/aB_-1.jpg"), "aB_-1.jpg");
        assert_eq!(file_name("/a/x%22%0d;.."), "x220d..");
        assert_eq!(file_name("/a/.."), "file");
        assert_eq!(file_name(""), "file");
    }

    #[test]
    fn a_type_that_x_leaves_out_is_told_by_the_name() {
        let octets = "application/octet-stream";
        assert_eq!(content_type(octets, "a.JPG"), "image/jpeg");
        assert_eq!(content_type("", "a.mp4"), "video/mp4");
        assert_eq!(content_type("image/png", "a.jpg"), "image/png");
        assert_eq!(content_type(octets, "a.svg"), "");
    }
}
