//! What apps asked, and what they were answered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::watch;

use super::endpoint::Endpoint;
use crate::model::UserId;

/// One request and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct ApiCall {
    /// Counts up from 1, in the order in which the calls ended.
    pub id: u64,
    /// When it came, by the simulator's clock.
    #[serde(serialize_with = "as_display")]
    pub at: Timestamp,
    /// How long it took, by this machine's clock.
    #[serde(rename = "took_ms", serialize_with = "as_milliseconds")]
    pub took: Duration,
    /// What was called.
    pub endpoint: Endpoint,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// `OAuth`, `Bearer` or `Basic`; absent without credentials.
    pub scheme: Option<String>,
    /// The type of the body, as sent.
    pub content_type: String,
    /// The app that called; absent where it could not be told.
    pub app: Option<String>,
    /// For whom; absent with a bearer token.
    pub account: Option<UserId>,
    /// The body; of a multipart one only its size.
    pub body: String,
    /// What was made or changed, by id; absent where nothing was.
    pub effect: Option<String>,
    /// The status of the answer; absent where none went out.
    pub status: Option<u16>,
    /// The body of the answer, also of one that did not go out.
    pub answer: String,
    /// How many bytes the answer has, head and body: where it can be cut.
    pub answer_length: usize,
    /// What went wrong by order.
    pub fault: Option<String>,
}

/// The latest calls, and how many are being answered.
pub(crate) struct CallLog {
    kept: Mutex<Kept>,
    open: watch::Sender<usize>,
}

struct Kept {
    calls: VecDeque<ApiCall>,
    limit: usize,
    last_id: u64,
}

impl CallLog {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                calls: VecDeque::new(),
                limit,
                last_id: 0,
            }),
            open: watch::Sender::new(0),
        }
    }

    /// A call has come.
    pub(super) fn begin(&self) {
        self.open.send_modify(|count| *count += 1);
    }

    /// A call is over, or its caller went away before it was read.
    pub(super) fn end(&self) {
        self.open
            .send_modify(|count| *count = count.saturating_sub(1));
    }

    /// What became of a call.
    pub(super) fn note(&self, mut call: ApiCall) {
        let mut kept = self.lock();
        kept.last_id += 1;
        call.id = kept.last_id;
        kept.calls.push_back(call);
        if kept.calls.len() > kept.limit {
            kept.calls.pop_front();
        }
    }

    pub(crate) fn after(&self, id: u64) -> Vec<ApiCall> {
        let kept = self.lock();
        let newer = kept.calls.iter().rev().take_while(|call| call.id > id);
        let mut newer: Vec<ApiCall> = newer.cloned().collect();
        newer.reverse();
        newer
    }

    /// Waits until no call is being answered.
    pub(crate) async fn idle(&self) {
        // The sender lives in `self`, so the channel cannot close under us.
        let _ = self.open.subscribe().wait_for(|count| *count == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_display<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_milliseconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}
