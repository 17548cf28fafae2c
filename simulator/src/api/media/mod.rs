//! Uploading media, and using them.

mod content;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::ledger::{Charge, Price};
use super::posts::author;
use super::problem::{self, Missing, Reason};
use super::serve::Call;
use crate::forms::json::with;
use crate::model::{Category, MediaId, MediaKind, Processing, Upload, User, UserId};

type Checked<T> = Result<T, Box<Answer>>;

/// By memory; X's pages name no limit.
const MAX_CHUNK: usize = 5 << 20;
const MAX_ALT_TEXT: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneShot {
    media: String,
    media_category: Category,
    #[serde(default, rename = "additional_owners")]
    other_owners: String,
}

/// `POST /2/media/upload`: all at once.
pub(super) fn upload(call: Call<'_>) -> Outcome {
    let owner = author(&call)?.id;
    let given = one_shot(&call)?;
    let (category, content, others) = given;
    let id = call.world.next_media_id();
    let mut upload = opened(&call, id, owner, category, content.len());
    upload.other_owners = owners(&others);
    complete(call, upload, content)
}

fn one_shot(call: &Call<'_>) -> Checked<(Category, Bytes, String)> {
    if call.incoming.is("multipart/form-data") {
        let raw = text_part(call, "media_category");
        let category = serde_json::from_value(json!(raw))
            .map_err(|_unknown| problem::invalid("media_category", &raw, "not a category"))?;
        return Ok((
            category,
            part(call, "media")?,
            text_part(call, "additional_owners"),
        ));
    }
    let body: OneShot = call.incoming.json()?;
    Ok((
        body.media_category,
        decoded(&body.media)?,
        body.other_owners,
    ))
}

fn part(call: &Call<'_>, name: &str) -> Checked<Bytes> {
    let found = call.parts.iter().find(|(key, _)| key == name);
    let found = found.map(|(_, value)| value.clone());
    found.ok_or_else(|| problem::invalid(name, "", "is required"))
}

fn text_part(call: &Call<'_>, name: &str) -> String {
    let found = part(call, name).unwrap_or_default();
    String::from_utf8_lossy(&found).into_owned()
}

fn decoded(base64: &str) -> Checked<Bytes> {
    STANDARD
        .decode(base64)
        .map(Bytes::from)
        .map_err(|error| problem::invalid("media", "", &error.to_string()))
}

fn owners(list: &str) -> Vec<UserId> {
    list.split(',')
        .filter_map(|id| id.trim().parse().ok())
        .collect()
}

fn opened(
    call: &Call<'_>,
    id: MediaId,
    owner: UserId,
    category: Category,
    total_bytes: usize,
) -> Upload {
    Upload {
        id,
        owner,
        other_owners: Vec::new(),
        category,
        media_type: String::new(),
        total_bytes,
        chunks: BTreeMap::new(),
        content: Bytes::new(),
        alt_text: String::new(),
        size: None,
        expires_at_ms: call.world.now_ms().saturating_add(life_ms(call)),
        processing: Processing::Uploading,
    }
}

fn life_ms(call: &Call<'_>) -> i64 {
    let life = i64::try_from(call.state.settings.media_life_s);
    life.unwrap_or(i64::MAX / 1000).saturating_mul(1000)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Announced {
    total_bytes: usize,
    media_type: String,
    /// Without one X takes it for a post.
    media_category: Option<Category>,
    #[serde(default, rename = "shared")]
    _shared: bool,
    #[serde(default)]
    additional_owners: Vec<UserId>,
}

/// `POST /2/media/upload/initialize`
pub(super) fn initialize(call: Call<'_>) -> Outcome {
    let owner = author(&call)?.id;
    let announced: Announced = call.incoming.json()?;
    let category = announced.media_category;
    let category = category.unwrap_or_else(|| content::usual_category(&announced.media_type));
    check_size(category, announced.total_bytes)?;
    if !content::may_be(category, &announced.media_type) {
        let message = "The media type does not go with the category";
        return Err(problem::invalid(
            "media_type",
            &announced.media_type,
            message,
        ));
    }
    let id = call.world.next_media_id();
    let mut upload = opened(&call, id, owner, category, announced.total_bytes);
    upload.other_owners = announced.additional_owners;
    upload.media_type = announced.media_type;
    let body = json!({ "data": {
        "id": id,
        "media_key": upload.key(),
        "expires_after_secs": call.state.settings.media_life_s,
    }});
    call.world.keep_upload(upload);
    Ok(Answer::ok(&body).with_effect(id, None))
}

fn check_size(category: Category, size: usize) -> Checked<()> {
    let limit = category.max_size();
    if size == 0 || size > limit {
        let message = format!("File size is not between 1 and {limit} bytes.");
        return Err(problem::invalid("media", &size.to_string(), &message));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk {
    segment_index: u16,
    media: String,
}

/// `POST /2/media/upload/{id}/append`
pub(super) fn append(call: Call<'_>) -> Outcome {
    let owner = author(&call)?.id;
    let (index, chunk) = chunk(&call)?;
    if index > 999 || chunk.len() > MAX_CHUNK {
        let message = "segment_index up to 999, chunks up to 5 MB";
        return Err(problem::invalid(
            "segment_index",
            &index.to_string(),
            message,
        ));
    }
    let id = media_id(&call.incoming.id)?;
    let upload = call
        .world
        .upload_mut(id)
        .filter(|upload| upload.owner == owner);
    let upload = upload.filter(|upload| upload.processing == Processing::Uploading);
    let upload = upload.ok_or_else(|| unknown(id))?;
    upload.chunks.insert(index, chunk);
    let received: usize = upload.chunks.values().map(Bytes::len).sum();
    if received > upload.total_bytes {
        let message = "More bytes than announced";
        return Err(problem::invalid("media", &received.to_string(), message));
    }
    let body = json!({ "data": { "expires_at": upload.expires_at_ms / 1000 } });
    Ok(Answer::ok(&body).with_effect(id, None))
}

fn chunk(call: &Call<'_>) -> Checked<(u16, Bytes)> {
    if call.incoming.is("multipart/form-data") {
        let raw = text_part(call, "segment_index");
        let index = raw
            .parse()
            .map_err(|_not_a_number| problem::invalid("segment_index", &raw, "not a number"))?;
        return Ok((index, part(call, "media")?));
    }
    let body: Chunk = call.incoming.json()?;
    Ok((body.segment_index, decoded(&body.media)?))
}

/// `POST /2/media/upload/{id}/finalize`
pub(super) fn finalize(call: Call<'_>) -> Outcome {
    let owner = author(&call)?.id;
    let id = media_id(&call.incoming.id)?;
    let upload = call.world.upload(id).filter(|upload| upload.owner == owner);
    let upload = upload.ok_or_else(|| unknown(id))?.clone();
    if upload.processing != Processing::Uploading {
        // X answers again as it did.
        return Ok(Answer::ok(&described(&call, &upload)));
    }
    let in_a_row = upload
        .chunks
        .keys()
        .copied()
        .eq((0..).take(upload.chunks.len()));
    let parts: Vec<Bytes> = upload.chunks.values().cloned().collect();
    let content = Bytes::from(parts.concat());
    if !in_a_row || content.len() != upload.total_bytes {
        let message = "Segments do not add up to provided total file size.";
        return Err(problem::invalid("media_id", &id.to_string(), message));
    }
    complete(call, upload, content)
}

/// The content is there: it is looked at, and processed where that takes time.
fn complete(call: Call<'_>, mut upload: Upload, content: Bytes) -> Outcome {
    check_size(upload.category, content.len())?;
    let found = content::look(&content);
    let Some(found) = found.filter(|found| content::fits(upload.category, found)) else {
        let message = "The content is not of the category, or its pixels are too many.";
        return Err(problem::invalid("media", "", message));
    };
    upload.size = found.size;
    upload.media_type = found.media_type.to_owned();
    upload.content = content;
    upload.chunks.clear();
    let is_slow = upload.category.kind() != Some(MediaKind::Photo);
    upload.processing = match call.state.settings.processing_looks {
        _ if std::mem::take(&mut call.state.failing_uploads) > 0 => Processing::Failed,
        looks if is_slow && looks > 0 => Processing::Running {
            looks_left: looks,
            looks,
        },
        _ => Processing::Done,
    };
    let answer = Answer::ok(&described(&call, &upload)).with_effect(upload.id, None);
    call.world.keep_upload(upload);
    Ok(answer)
}

fn described(call: &Call<'_>, upload: &Upload) -> Value {
    let left_ms = upload.expires_at_ms.saturating_sub(call.world.now_ms());
    let data = json!({
        "id": upload.id,
        "media_key": upload.key(),
        "size": upload.content.len(),
        "expires_after_secs": left_ms.max(0) / 1000,
    });
    let is_slow = upload.category.kind() != Some(MediaKind::Photo);
    let info = (is_slow || upload.processing == Processing::Failed).then(|| info(call, upload));
    json!({ "data": with(data, "processing_info", info.flatten()) })
}

/// Nothing for what has never been processed.
fn info(call: &Call<'_>, upload: &Upload) -> Option<Value> {
    let wait = call.state.settings.check_after_s;
    match upload.processing {
        Processing::Uploading => None,
        Processing::Running { looks_left, looks } if looks_left == looks => {
            Some(json!({ "state": "pending", "check_after_secs": wait, "progress_percent": 0 }))
        }
        Processing::Running { looks_left, looks } => Some(json!({
            "state": "in_progress",
            "check_after_secs": wait,
            "progress_percent": (looks - looks_left) * 100 / looks.max(1),
        })),
        Processing::Done => Some(json!({ "state": "succeeded", "progress_percent": 100 })),
        Processing::Failed => Some(json!({ "state": "failed", "progress_percent": 0 })),
    }
}

/// `GET /2/media/upload?command=STATUS&media_id=`
pub(super) fn status(call: Call<'_>) -> Outcome {
    let owner = author(&call)?.id;
    let command = call.incoming.parameter("command").unwrap_or("STATUS");
    if command != "STATUS" {
        return Err(problem::invalid("command", command, "is not STATUS"));
    }
    let id = media_id(call.incoming.parameter("media_id").unwrap_or_default())?;
    let upload = call
        .world
        .upload_mut(id)
        .filter(|upload| upload.owner == owner);
    let upload = upload.ok_or_else(|| unknown(id))?;
    upload.processing = match upload.processing {
        Processing::Running {
            looks_left: 0 | 1, ..
        } => Processing::Done,
        Processing::Running { looks_left, looks } => Processing::Running {
            looks_left: looks_left - 1,
            looks,
        },
        other => other,
    };
    let upload = upload.clone();
    Ok(Answer::ok(&described(&call, &upload)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    id: MediaId,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    alt_text: AltText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AltText {
    text: String,
}

/// `POST /2/media/metadata`
pub(super) fn metadata(call: Call<'_>) -> Outcome {
    let owner = author(&call)?.id;
    let given: Described = call.incoming.json()?;
    let (id, text) = (given.id, given.metadata.alt_text.text);
    if text.chars().count() > MAX_ALT_TEXT {
        let message = "At most 1000 characters are allowed";
        return Err(problem::invalid("metadata.alt_text.text", "", message));
    }
    let upload = call
        .world
        .upload_mut(id)
        .filter(|upload| upload.is_owned_by(owner));
    let upload = upload.ok_or_else(|| unknown(id))?;
    if upload.category.kind() == Some(MediaKind::Video) {
        return Err(problem::invalid(
            "id",
            &id.to_string(),
            "Only images have alt text",
        ));
    }
    upload.alt_text.clone_from(&text);
    let body =
        json!({ "data": { "id": id, "associated_metadata": { "alt_text": { "text": text } } } });
    Ok(Answer::ok(&body)
        .charging([Charge::once(Price::MediaMetadata)])
        .with_effect(id, None))
}

fn media_id(raw: &str) -> Checked<MediaId> {
    raw.parse()
        .map_err(|_not_a_number| problem::invalid("media_id", raw, "not a valid id"))
}

fn unknown(id: MediaId) -> Box<Answer> {
    let missing = Missing {
        resource: "media",
        parameter: "media_id",
        value: id.to_string(),
        reason: Reason::Gone,
    };
    missing.answer()
}

/// The uploads that a post wants: four photos, or one GIF, or one video.
pub(super) fn for_post(call: &Call<'_>, user: &User, ids: &[MediaId]) -> Checked<Vec<MediaId>> {
    let mut kinds = Vec::new();
    for id in ids {
        let upload = usable(call, user, *id, "media.media_ids")?;
        if upload.category.is_for_messages() {
            return Err(invalid_ids("media.media_ids", *id));
        }
        kinds.extend(upload.category.kind());
    }
    let photos = kinds.iter().all(|kind| *kind == MediaKind::Photo);
    if ids.len() > 1 && !photos {
        let message = "Attach up to 4 photos, 1 animated GIF or 1 video in a Tweet.";
        return Err(problem::invalid("media.media_ids", "", message));
    }
    Ok(ids.to_vec())
}

/// The upload that a message wants.
pub(super) fn for_message(call: &Call<'_>, user: &User, id: MediaId) -> Checked<MediaId> {
    let upload = usable(call, user, id, "attachments.media_id")?;
    if !upload.category.is_for_messages() {
        return Err(invalid_ids("attachments.media_id", id));
    }
    Ok(id)
}

fn usable<'a>(
    call: &'a Call<'_>,
    user: &User,
    id: MediaId,
    parameter: &str,
) -> Checked<&'a Upload> {
    let now_ms = call.world.now_ms();
    let upload = call.world.upload(id).filter(|upload| {
        upload.is_owned_by(user.id)
            && upload.processing == Processing::Done
            && now_ms < upload.expires_at_ms
            && upload.category.kind().is_some()
    });
    upload.ok_or_else(|| invalid_ids(parameter, id))
}

fn invalid_ids(parameter: &str, id: MediaId) -> Box<Answer> {
    problem::invalid(parameter, &id.to_string(), "Your media IDs are invalid.")
}
