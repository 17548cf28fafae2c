//! Batch compliance jobs: which of many posts X wants out of all copies. Ids are uploaded, X looks
//! them up in its own time, and the results name those that are no longer to be shown.
//!
//! Files go to and come from a storage of X's choice, at addresses that are capabilities: no other
//! credential goes there, and they are never written to a log. Source: X's batch compliance guide.

use std::fmt;
use std::fmt::Write;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;
use url::Url;

use super::auth::Auth;
use super::call::Call;
use super::error::{CallError, NotSent, UncertainBecause};
use super::hosts;
use super::lines::{LineError, Lines};
use super::posts::{data, id, no_result, not_sent, parse};
use super::send::Request;
use super::transport::read_object;
use super::{Client, Reply, Resources};
use crate::domain::account::App;
use crate::domain::activity::{RejectReason, Rejected};
use crate::domain::ids::{ComplianceJobId, TweetId};
use crate::telemetry::chain;
use crate::x::wire::{List, answer};

const PATH: &str = "2/compliance/jobs";
/// Longest name of a job, characters. Source: X's schema.
const LONGEST_NAME: usize = 64;
/// Most ids of one job, 20 MB; X names no limit.
const MOST_IDS: usize = 1_000_000;
/// Longest line of results, bytes; X's have about 150.
const LONGEST_LINE: usize = 16 << 10;

/// A job for posts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComplianceJob {
    pub id: ComplianceJobId,
    pub name: String,
    pub state: JobState,
    pub created_at: Option<Timestamp>,
    pub upload: Option<StorageUrl>,
    /// Until when ids are taken: a quarter of an hour.
    pub upload_expires_at: Option<Timestamp>,
    pub download: Option<StorageUrl>,
    /// Until when results are there: a week.
    pub download_expires_at: Option<Timestamp>,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its ids.
    Created,
    InProgress,
    /// The results are there.
    Complete,
    Failed,
    Expired,
    /// X's word for it.
    Other(String),
}

/// An address in X's storage. Shown by its host only: the rest lets anybody in.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageUrl(Url);

impl StorageUrl {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn host(&self) -> &str {
        self.0.host_str().unwrap_or("no host")
    }
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StorageUrl").field(&self.host()).finish()
    }
}

/// A post that copies may no longer show as they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub id: TweetId,
    pub reason: FindingReason,
    /// When the post was made.
    pub created_at: Option<Timestamp>,
    /// When it became so.
    pub redacted_at: Option<Timestamp>,
}

/// What has become of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingReason {
    Deleted,
    /// Its author's posts are protected now.
    Protected,
    /// Its author is suspended.
    Suspended,
    /// Its author has left.
    Deactivated,
    /// X itself took it down.
    Bounced,
    /// Only its place is to go.
    ScrubGeo,
    /// X's word for it.
    Other(String),
}

/// One line of the results.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultLine {
    Finding(Finding),
    /// A line that tells of no post; the others hold.
    Unreadable(Rejected),
}

/// Why ids did not get to X's storage, or results from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Not a storage of X's; nothing was asked.
    #[error("no files of jobs are exchanged with {host}")]
    NotAllowed { host: String },
    /// The job does not say where; nothing was asked.
    #[error("the job names no address")]
    NoAddress,
    /// Nothing was asked.
    #[error("{count} ids, expected 1 to {MOST_IDS}")]
    Count { count: usize },
    /// The address has expired, most likely; another job is needed.
    #[error("the storage refuses it ({status})")]
    Refused { status: u16 },
    /// The same may do better a little later.
    #[error("the storage cannot be used just now: {0}")]
    Unavailable(String),
    /// What comes are no results.
    #[error("the results cannot be read: {0}")]
    Unreadable(String),
}

impl Client {
    /// Begins a job for posts. X runs one at a time and refuses a second. Not known whether there
    /// is one after all, it is found by its name among [`compliance_jobs`](Self::compliance_jobs).
    pub async fn create_compliance_job(&self, app: &App, name: &str) -> Reply<ComplianceJob> {
        let call = Call::CreateComplianceJob;
        let length = name.chars().count();
        if length > LONGEST_NAME {
            let why = format!("a name of {length} characters, expected at most {LONGEST_NAME}");
            return not_sent(call, NotSent::Unaskable(why).into());
        }
        let request = Request::new(call, Method::POST, PATH);
        let request = request.json(json!({"type": "tweets", "name": name}));
        self.job(app, &request).await
    }

    /// A job, with addresses that may differ from earlier ones.
    pub async fn compliance_job(&self, app: &App, id: ComplianceJobId) -> Reply<ComplianceJob> {
        let path = format!("{PATH}/{id}");
        self.job(app, &Request::new(Call::ComplianceJob, Method::GET, path))
            .await
    }

    /// The app's jobs for posts, of whatever state.
    pub async fn compliance_jobs(&self, app: &App) -> Reply<Vec<ComplianceJob>> {
        let request = Request::new(Call::ComplianceJobs, Method::GET, PATH).query("type", "tweets");
        let sent = self.send(Auth::App(app), &request).await;
        sent.read(|answer, envelope| {
            self.refuse_errors_alone(answer, envelope)?;
            let listed: Option<List<answer::ComplianceJob<'_>>> = envelope.data.and_then(parse);
            let listed = listed.unwrap_or_default();
            let jobs: Option<Vec<_>> = listed.iter().map(job).collect();
            let unreadable = || answer.uncertain(UncertainBecause::Unreadable);
            Ok((jobs.ok_or_else(unreadable)?, Resources::default()))
        })
    }

    async fn job(&self, app: &App, request: &Request) -> Reply<ComplianceJob> {
        let sent = self.send(Auth::App(app), request).await;
        sent.read(|answer, envelope| {
            let read: Option<answer::ComplianceJob<'_>> = data(envelope);
            let read = read.as_ref().and_then(job);
            let read = read.ok_or_else(|| no_result(answer, envelope))?;
            Ok((read, Resources::default()))
        })
    }

    /// Uploads the ids of a job, 1,000,000 at most, which starts it.
    ///
    /// # Errors
    /// [`StorageError`]. After `Unavailable` they may have arrived: the job's state tells.
    pub async fn upload_compliance_ids(
        &self,
        job: &ComplianceJob,
        ids: &[TweetId],
    ) -> Result<(), StorageError> {
        let url = self.storage(job.upload.as_ref())?;
        let count = ids.len();
        if !(1..=MOST_IDS).contains(&count) {
            return Err(StorageError::Count { count });
        }
        let put = self.transport.http.put(url.clone());
        let put = put.timeout(self.transport.upload_timeout);
        let put = put.header(CONTENT_TYPE, "text/plain").body(lines(ids));
        let response = put
            .send()
            .await
            .map_err(|error| StorageError::Unavailable(chain(&error.without_url())))?;
        check(response.status().as_u16())
    }

    /// The results of a job that is complete. Posts that they do not name are as they were, once
    /// the results have been read to their end.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn compliance_results(
        &self,
        job: &ComplianceJob,
    ) -> Result<ComplianceResults, StorageError> {
        let url = self.storage(job.download.as_ref())?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let opened = self.transport.open(url.clone(), headers, None).await;
        let response =
            opened.map_err(|error: CallError| StorageError::Unavailable(error.to_string()))?;
        check(response.status().as_u16())?;
        let encoding = response.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            let why = "they are compressed, which was not asked for";
            return Err(StorageError::Unreadable(why.to_owned()));
        }
        Ok(ComplianceResults {
            lines: Lines::new(response, LONGEST_LINE, self.transport.call_timeout),
            count: 0,
            is_at_end: false,
        })
    }

    fn storage<'u>(&self, place: Option<&'u StorageUrl>) -> Result<&'u Url, StorageError> {
        let place = place.ok_or(StorageError::NoAddress)?;
        if hosts::is_storage(&self.transport.base_url, &place.0) {
            return Ok(&place.0);
        }
        let host = place.host().to_owned();
        Err(StorageError::NotAllowed { host })
    }
}

/// Results on their way.
pub struct ComplianceResults {
    lines: Lines,
    count: usize,
    is_at_end: bool,
}

impl fmt::Debug for ComplianceResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComplianceResults")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl ComplianceResults {
    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// [`StorageError`], when they break off or have more lines than a job may have ids.
    pub async fn next(&mut self) -> Result<Option<ResultLine>, StorageError> {
        while let Some(line) = self.next_line().await? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.count += 1;
            if self.count > MOST_IDS {
                let why = format!("more than {MOST_IDS} lines");
                return Err(StorageError::Unreadable(why));
            }
            return Ok(Some(result_line(&line, self.count)));
        }
        Ok(None)
    }

    /// The last line needs no end.
    async fn next_line(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.is_at_end {
            return Ok(None);
        }
        if let Some(line) = self.lines.next().await? {
            return Ok(Some(line));
        }
        self.is_at_end = true;
        Ok(Some(self.lines.rest()))
    }
}

impl From<LineError> for StorageError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Silent(_) | LineError::Lost(_) => Self::Unavailable(error.to_string()),
            LineError::TooLong(_) => Self::Unreadable(error.to_string()),
        }
    }
}

fn check(status: u16) -> Result<(), StorageError> {
    match status {
        200..=299 => Ok(()),
        408 | 429 | 500..=599 => {
            let why = format!("it answers {status}");
            Err(StorageError::Unavailable(why))
        }
        _ => Err(StorageError::Refused { status }),
    }
}

fn lines(ids: &[TweetId]) -> String {
    ids.iter().fold(String::new(), |mut text, id| {
        // A string takes everything.
        let _ = writeln!(text, "{id}");
        text
    })
}

fn job(read: &answer::ComplianceJob<'_>) -> Option<ComplianceJob> {
    Some(ComplianceJob {
        id: id(read.id)?,
        name: read.name.to_string(),
        state: state(&read.status),
        created_at: read.created_at.parse().ok(),
        upload: StorageUrl::read(&read.upload_url),
        upload_expires_at: read.upload_expires_at.parse().ok(),
        download: StorageUrl::read(&read.download_url),
        download_expires_at: read.download_expires_at.parse().ok(),
    })
}

fn state(word: &str) -> JobState {
    match word {
        "created" => JobState::Created,
        "in_progress" => JobState::InProgress,
        "complete" => JobState::Complete,
        "failed" => JobState::Failed,
        "expired" => JobState::Expired,
        other => JobState::Other(other.to_owned()),
    }
}

fn result_line(line: &[u8], number: usize) -> ResultLine {
    finding(line).map_or_else(
        |problem| {
            ResultLine::Unreadable(Rejected {
                reason: RejectReason::MalformedEvent,
                detail: format!("results[{number}]: {problem}"),
            })
        },
        ResultLine::Finding,
    )
}

fn finding(line: &[u8]) -> Result<Finding, &'static str> {
    let text = std::str::from_utf8(line).or(Err("not UTF-8"))?;
    let result: Option<answer::ComplianceResult<'_>> = read_object(text);
    let result = result.ok_or("not a JSON object")?;
    let word = match &*result.reason {
        "" => &*result.action,
        reason => reason,
    };
    Ok(Finding {
        id: id(result.id).ok_or("without a readable id")?,
        reason: reason(word).ok_or("without a reason")?,
        created_at: result.created_at.parse().ok(),
        redacted_at: result.redacted_at.parse().ok(),
    })
}

fn reason(word: &str) -> Option<FindingReason> {
    Some(match word {
        "" => return None,
        "deleted" | "delete" => FindingReason::Deleted,
        "protected" => FindingReason::Protected,
        "suspended" => FindingReason::Suspended,
        "deactivated" => FindingReason::Deactivated,
        "bounced" => FindingReason::Bounced,
        "scrub_geo" => FindingReason::ScrubGeo,
        other => FindingReason::Other(other.to_owned()),
    })
}
