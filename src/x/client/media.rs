//! Files for posts and messages: uploaded, prepared by X, described. Nothing of it is seen by
//! anybody until an id is used, so whatever fails here may be done again.

use std::mem;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::auth::Auth;
use super::call::Call;
use super::error::{CallError, RefusalReason, UncertainBecause, Upstream};
use super::limits::Limits;
use super::posts::{data, id, no_result};
use super::send::Request;
use super::transport::{Answer, Body};
use super::{Client, Reply, Resources};
use crate::domain::attachment::{LARGEST_BYTES, MediaCategory};
use crate::domain::ids::MediaId;
use crate::x::wire::answer::{self, Created, Envelope};

/// Bytes of one part of a file, the last excepted; X's guide takes as much.
const PART: usize = 1 << 20;
/// Most parts of one file. Source: X's `segment_index`, 0 to 999.
const PARTS: u64 = 1_000;
const _: () = assert!(LARGEST_BYTES.div_ceil(PART as u64) <= PARTS);
/// Shortest and longest pause between two looks at a file that X prepares.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// A file to be uploaded; its content comes beside it.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    /// Bytes of all of it.
    pub size: u64,
    /// One that X knows: `image/png`, `video/mp4`, ...
    pub content_type: &'a str,
    pub category: MediaCategory,
    /// How long X may take to prepare it, after it is there.
    pub processing_deadline: Duration,
}

/// A file that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadedMedia {
    pub id: MediaId,
    /// `None` where X does not say.
    pub expires_at: Option<Timestamp>,
}

/// Where an upload is.
struct Stage {
    media: UploadedMedia,
    progress: Progress,
}

enum Progress {
    Ready,
    /// To be looked at after this.
    Waiting(Duration),
    Failed(String),
}

impl Client {
    /// Uploads a file and waits until X has prepared it. `TimedOut` if that takes too long. The
    /// reply is that of the last call made.
    ///
    /// Of `content`, which may come in pieces of any size, no more is held than one part (1 MiB) and
    /// one piece; a photo is held whole.
    ///
    /// # Errors
    /// Whatever `content` fails with. What was uploaded by then is of no use to anybody.
    pub async fn upload_media<E>(
        &self,
        auth: Auth<'_>,
        upload: &Upload<'_>,
        content: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Reply<UploadedMedia>, E> {
        let content = pin!(content);
        let uploaded = if upload.category.is_photo() {
            let whole = Parts::new(content, usize::MAX).next().await?;
            let whole = whole.unwrap_or_default();
            self.upload_whole(auth, upload, whole).await
        } else {
            let parts = Parts::new(content, PART);
            self.upload_in_parts(auth, upload, parts).await?
        };
        let deadline = Instant::now() + upload.processing_deadline;
        Ok(self.prepared(auth, uploaded, deadline).await)
    }

    /// Describes an image for those who do not see it; up to 1,000 characters, before it is used.
    pub async fn describe_media(&self, auth: Auth<'_>, media: MediaId, text: &str) -> Reply<()> {
        let request = Request::new(Call::MediaMetadata, Method::POST, "2/media/metadata");
        let metadata = json!({"alt_text": {"text": text}});
        let request = request.json(json!({"id": media, "metadata": metadata}));
        let sent = self.send(auth, &request).await;
        sent.read(|answer, envelope| {
            let described: Option<Created<'_>> = data(envelope);
            let described: Option<MediaId> = described.and_then(|it| id(it.id));
            match described {
                Some(_) => Ok(((), Resources::default())),
                None => Err(no_result(answer, envelope)),
            }
        })
    }

    async fn upload_whole(
        &self,
        auth: Auth<'_>,
        upload: &Upload<'_>,
        bytes: Bytes,
    ) -> Reply<Stage> {
        let mut request = Request::new(Call::MediaUpload, Method::POST, "2/media/upload");
        request.body = Body::Multipart {
            texts: vec![("media_category", upload.category.as_str().to_owned())],
            media: bytes,
        };
        self.stage(auth, &request).await
    }

    async fn upload_in_parts<E>(
        &self,
        auth: Auth<'_>,
        upload: &Upload<'_>,
        mut parts: Parts<impl Stream<Item = Result<Bytes, E>> + Unpin>,
    ) -> Result<Reply<Stage>, E> {
        let begun = self.initialize(auth, upload).await;
        let media = match begun.result {
            Ok(Stage { media, .. }) => media.id,
            Err(_) => return Ok(begun),
        };
        for index in 0.. {
            let Some(part) = parts.next().await? else {
                break;
            };
            let appended = self.append(auth, media, index, part).await;
            if let Err(error) = appended.result {
                return Ok(failed(appended.call, error, appended.limits));
            }
        }
        let path = format!("2/media/upload/{media}/finalize");
        let request = Request::new(Call::MediaFinalize, Method::POST, path);
        Ok(self.stage(auth, &request).await)
    }

    async fn initialize(&self, auth: Auth<'_>, upload: &Upload<'_>) -> Reply<Stage> {
        let path = "2/media/upload/initialize";
        let request = Request::new(Call::MediaInitialize, Method::POST, path).json(json!({
            "total_bytes": upload.size,
            "media_type": upload.content_type,
            "media_category": upload.category.as_str(),
        }));
        self.stage(auth, &request).await
    }

    /// X's answer says nothing but when the upload ends, and not even that for certain.
    async fn append(&self, auth: Auth<'_>, media: MediaId, index: u32, part: Bytes) -> Reply<()> {
        let path = format!("2/media/upload/{media}/append");
        let mut request = Request::new(Call::MediaAppend, Method::POST, path);
        request.body = Body::Multipart {
            texts: vec![("segment_index", index.to_string())],
            media: part,
        };
        let sent = self.send(auth, &request).await;
        let (call, limits) = (sent.call, sent.limits);
        Reply {
            call,
            result: sent.result.map(|_| ()),
            limits,
            resources: Resources::default(),
        }
    }

    async fn status(&self, auth: Auth<'_>, media: MediaId) -> Reply<Stage> {
        let request = Request::new(Call::MediaStatus, Method::GET, "2/media/upload")
            .query("command", "STATUS")
            .query("media_id", media);
        self.stage(auth, &request).await
    }

    async fn stage(&self, auth: Auth<'_>, request: &Request) -> Reply<Stage> {
        let sent = self.send(auth, request).await;
        let now = (self.clock)();
        sent.read(|answer, envelope| Ok((stage(answer, envelope, now)?, Resources::default())))
    }

    /// Looks as often as X says, until the file is ready, refused, or too late.
    async fn prepared(
        &self,
        auth: Auth<'_>,
        mut reply: Reply<Stage>,
        deadline: Instant,
    ) -> Reply<UploadedMedia> {
        loop {
            let (call, limits) = (reply.call, reply.limits);
            let Stage { media, progress } = match reply.result {
                Ok(stage) => stage,
                Err(error) => return failed(call, error, limits),
            };
            match progress {
                Progress::Ready => return done(call, media, limits),
                Progress::Failed(why) => return failed(call, unusable(why), limits),
                Progress::Waiting(pause) if Instant::now() + pause > deadline => {
                    let late = CallError::uncertain(UncertainBecause::TimedOut);
                    return failed(call, late, limits);
                }
                Progress::Waiting(pause) => sleep(pause).await,
            }
            let looked = self.status(auth, media.id).await;
            // The status may leave out when the file ends; the upload said it.
            reply = looked.keeping(media);
        }
    }
}

impl Reply<Stage> {
    fn keeping(mut self, known: UploadedMedia) -> Self {
        if let Ok(stage) = &mut self.result {
            stage.media.expires_at = stage.media.expires_at.or(known.expires_at);
        }
        self
    }
}

/// A content, cut into parts of one size, the last excepted.
struct Parts<S> {
    content: S,
    size: usize,
    /// What came beyond the last part.
    rest: Bytes,
}

impl<E, S: Stream<Item = Result<Bytes, E>> + Unpin> Parts<S> {
    fn new(content: S, size: usize) -> Self {
        Self {
            content,
            size,
            rest: Bytes::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, E> {
        let mut part = mem::take(&mut self.rest);
        while part.len() < self.size {
            match self.content.try_next().await? {
                Some(piece) => part = joined(part, piece),
                None => break,
            }
        }
        self.rest = part.split_off(part.len().min(self.size));
        Ok((!part.is_empty()).then_some(part))
    }
}

/// Pieces of the right size are not copied.
fn joined(part: Bytes, piece: Bytes) -> Bytes {
    if part.is_empty() {
        return piece;
    }
    let mut joined = BytesMut::from(part);
    joined.extend_from_slice(&piece);
    joined.freeze()
}

fn stage(answer: &Answer, envelope: &Envelope<'_>, now: Timestamp) -> Result<Stage, CallError> {
    let upload: Option<answer::Upload<'_>> = data(envelope);
    let upload = upload.unwrap_or_default();
    let id = id(upload.id).ok_or_else(|| no_result(answer, envelope))?;
    let life = upload.expires_after_secs.map(u64::from);
    let expires_at = life.and_then(|life| now.checked_add(Duration::from_secs(life)).ok());
    Ok(Stage {
        media: UploadedMedia { id, expires_at },
        progress: upload
            .processing_info
            .as_ref()
            .map_or(Progress::Ready, progress),
    })
}

fn progress(info: &answer::Processing<'_>) -> Progress {
    match &*info.state {
        "succeeded" => Progress::Ready,
        "failed" => {
            let error = info.error.as_ref();
            let words = error.map_or("", |error| match &*error.message {
                "" => &*error.name,
                message => message,
            });
            Progress::Failed(words.to_owned())
        }
        // `pending`, `in_progress`, and whatever X may call it next.
        _ => {
            let (shortest, longest) = PAUSE;
            let asked = Duration::from_secs(info.check_after_secs.unwrap_or(1).into());
            Progress::Waiting(asked.clamp(shortest, longest))
        }
    }
}

/// X took the file and could not prepare it.
fn unusable(why: String) -> CallError {
    CallError::refused(
        RefusalReason::MediaInvalid,
        Upstream {
            status: 200,
            title: "Media processing failed".to_owned(),
            detail: why,
            ..Upstream::default()
        },
    )
}

fn done(call: Call, media: UploadedMedia, limits: Limits) -> Reply<UploadedMedia> {
    Reply {
        call,
        result: Ok(media),
        limits,
        resources: Resources::default(),
    }
}

fn failed<T>(call: Call, error: CallError, limits: Limits) -> Reply<T> {
    Reply {
        call,
        result: Err(error),
        limits,
        resources: Resources::default(),
    }
}
