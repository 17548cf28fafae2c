//! The files of direct messages, which only those who wrote and got them may have.

use bytes::Bytes;

use super::answer::{Answer, Outcome};
use super::problem::{self, Missing, Reason};
use super::serve::Call;
use crate::model::{MediaId, MessageId, World};
use crate::photo;

/// `GET /1.1/ton/data/dm/{id}/{media_id}/{file}`: what `media_url_https` says, by OAuth 1.0a.
pub(super) fn by_address(call: Call<'_>) -> Outcome {
    let (media_type, content) = file(&call)?;
    Ok(part(&call, media_type, content))
}

/// `GET /2/dm_conversations/media/{id}/{media_id}/{resource_id}`, by OAuth 2.0.
pub(super) fn by_ids(call: Call<'_>) -> Outcome {
    let (_, content) = file(&call)?;
    Ok(part(&call, "application/octet-stream", content))
}

/// Message, medium and file as the last three parts of the path name them.
fn file(call: &Call<'_>) -> Result<(&'static str, Bytes), Box<Answer>> {
    let me = call.caller.user.ok_or_else(problem::unauthorized)?;
    let path = call.incoming.target.split('?').next().unwrap_or_default();
    let mut parts = path.rsplit('/');
    let (name, medium) = (parts.next().unwrap_or_default(), parts.next());
    let gone = || {
        let missing = Missing {
            resource: "dm_event",
            parameter: "dm_id",
            value: call.incoming.id.clone(),
            reason: Reason::Gone,
        };
        missing.answer()
    };
    let id: MessageId = call.incoming.id.parse().map_err(|_not_a_number| gone())?;
    let message = call.world.message(id).map_err(|_unknown| gone())?;
    if ![message.sender, message.recipient].contains(&me) {
        return Err(problem::forbidden(
            "You are not a participant of this conversation.",
        ));
    }
    let media = message.media.as_ref().map(|media| media.id);
    let is_named = |id: &MediaId| {
        let id = id.to_string();
        medium == Some(id.as_str()) && name.split('.').next() == Some(id.as_str())
    };
    let media = media
        .filter(|_| call.world.sees_message(me, message))
        .filter(is_named);
    Ok(content(call.world, media.ok_or_else(gone)?))
}

/// What was uploaded under that id, else a square.
fn content(world: &World, id: MediaId) -> (&'static str, Bytes) {
    match world.upload(id) {
        Some(upload) => (known(&upload.media_type), upload.content.clone()),
        None => ("image/png", photo::png(&id.to_string()).into()),
    }
}

fn known(media_type: &str) -> &'static str {
    let types = [
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "video/mp4",
    ];
    let found = types.into_iter().find(|known| *known == media_type);
    found.unwrap_or("application/octet-stream")
}

/// All of it, or the range that is asked for.
fn part(call: &Call<'_>, media_type: &'static str, content: Bytes) -> Answer {
    let header = |name: &str, value: String| (name.to_owned(), value);
    let length = content.len();
    let whole = Answer {
        status: 200,
        content_type: media_type,
        body: content.to_vec(),
        headers: vec![header("accept-ranges", "bytes".to_owned())],
        ..Answer::default()
    };
    match call
        .incoming
        .range
        .as_deref()
        .map(|given| range(given, length))
    {
        // What is no range of bytes is passed over.
        None | Some(Wanted::All) => whole,
        Some(Wanted::Nothing) => Answer {
            status: 416,
            body: Vec::new(),
            ..whole
        }
        .with_headers(vec![header("content-range", format!("bytes */{length}"))]),
        Some(Wanted::Part(first, last)) => Answer {
            status: 206,
            body: content.slice(first..=last).to_vec(),
            ..whole
        }
        .with_headers(vec![header(
            "content-range",
            format!("bytes {first}-{last}/{length}"),
        )]),
    }
}

#[derive(Debug, PartialEq)]
enum Wanted {
    All,
    /// The first byte and the last, both of them there.
    Part(usize, usize),
    /// A range that the file does not have.
    Nothing,
}

/// One range of bytes, as RFC 9110 has it; several are answered with all.
fn range(given: &str, length: usize) -> Wanted {
    let Some((first, last)) = given
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Wanted::All;
    };
    let end = length.saturating_sub(1);
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(end)),
        (Ok(first), Err(_)) if last.is_empty() => (first, end),
        (Err(_), Ok(0)) => return Wanted::Nothing,
        (Err(_), Ok(count)) if first.is_empty() => (length.saturating_sub(count), end),
        _ => return Wanted::All,
    };
    if first >= length {
        return Wanted::Nothing;
    }
    Wanted::Part(first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_of_bytes_that_are_there() {
        for (given, wanted) in [
            ("bytes=0-9", Wanted::Part(0, 9)),
            ("bytes=5-", Wanted::Part(5, 99)),
            ("bytes=-10", Wanted::Part(90, 99)),
            ("bytes=-1000", Wanted::Part(0, 99)),
            ("bytes=90-1000", Wanted::Part(90, 99)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-5", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("lines=1-2", Wanted::All),
        ] {
            assert_eq!(range(given, 100), wanted, "{given}");
        }
        assert_eq!(range("bytes=0-", 0), Wanted::Nothing);
    }
}
