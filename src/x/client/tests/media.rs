//! Uploads.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use rstest::rstest;
use serde_json::{Value, json};

use crate::domain::attachment::MediaCategory;
use crate::x::client::testing::{Act, Bench, parts};
use crate::x::client::{
    Call, CallError, RefusalReason, Reply, UncertainBecause, Upload, UploadedMedia,
};

const PART: usize = 1 << 20;

fn begun() -> Act {
    Act::ok(json!({"data": {"id": "32", "media_key": "13_32", "expires_after_secs": 86_400}}))
}

fn state(info: Value) -> Act {
    Act::ok(json!({"data": {"id": "32", "processing_info": info}}))
}

async fn upload(bench: &Bench, bytes: Vec<u8>, deadline: Duration) -> Reply<UploadedMedia> {
    let upload = Upload {
        processing_deadline: deadline,
        ..video(bytes.len())
    };
    let content = in_pieces(Bytes::from(bytes), PART);
    let Ok(reply) = upload_from(bench, &upload, content).await;
    reply
}

async fn upload_from<E>(
    bench: &Bench,
    upload: &Upload<'_>,
    content: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Reply<UploadedMedia>, E> {
    let (client, auth) = (&bench.client, bench.auth());
    client.upload_media(auth, upload, content).await
}

fn video(size: usize) -> Upload<'static> {
    Upload {
        size: size as u64,
        content_type: "video/mp4",
        category: MediaCategory::TweetVideo,
        processing_deadline: LONG,
    }
}

fn in_pieces(bytes: Bytes, size: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let starts = (0..bytes.len()).step_by(size);
    let pieces = starts.map(move |at| Ok(bytes.slice(at..bytes.len().min(at + size))));
    stream::iter(pieces)
}

/// Bytes that differ from place to place.
fn content(size: u32) -> Vec<u8> {
    (0..size)
        .map(|at| (at >> 8) as u8 ^ at as u8 ^ 0x5a)
        .collect()
}

/// The parts that X got, joined; each was numbered by its place and none is longer than 1 MiB.
fn arrived(bench: &Bench) -> Vec<u8> {
    let requests = bench.x.recorded().into_iter();
    let appended = requests.filter(|it| it.path == "/2/media/upload/32/append");
    let mut joined = Vec::new();
    for (place, request) in appended.enumerate() {
        let [(index, number), (media, bytes)] = parts(&request).try_into().unwrap();
        assert_eq!((&*index, &*media), ("segment_index", "media"));
        assert_eq!(number, place.to_string().into_bytes());
        assert!(bytes.len() <= PART && (joined.len() == place * PART));
        joined.extend(bytes);
    }
    joined
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_long_file_arrives_byte_for_byte() {
    let bytes = content((5 << 19) + 7);
    let bench = Bench::new([
        begun(),
        Act::ok("{}"),
        Act::ok(""),
        Act::status(204, ""),
        begun(),
    ])
    .await;
    let media = upload(&bench, bytes.clone(), LONG).await.result.unwrap();
    assert_eq!(media.id.to_string(), "32");
    assert_eq!(
        media.expires_at.unwrap().to_string(),
        "2026-09-02T12:00:00Z"
    );
    let requests = bench.x.recorded();
    assert_eq!(requests[0].json()["total_bytes"], bytes.len());
    assert!(arrived(&bench) == bytes, "other bytes arrived");
}

#[rstest]
#[case::small(1_000)]
#[case::beside_the_parts(700_001)]
#[case::large(3 * PART + 1)]
#[tokio::test]
async fn pieces_of_any_size_become_parts_of_one_size(#[case] size: usize) {
    let bytes = content(4 * PART as u32 + 9);
    let appended = (0..5).map(|_| Act::ok("{}"));
    let script = [begun()].into_iter().chain(appended).chain([begun()]);
    let bench = Bench::new(script).await;
    let pieces = in_pieces(bytes.clone().into(), size);
    let Ok(reply) = upload_from(&bench, &video(bytes.len()), pieces).await;
    reply.result.unwrap();
    assert!(arrived(&bench) == bytes, "other bytes arrived");
}

#[tokio::test]
async fn a_photo_goes_whole_in_whatever_pieces_it_comes() {
    let bench = Bench::new([begun()]).await;
    let bytes = content(2 * PART as u32 + 5);
    let photo = Upload {
        content_type: "image/png",
        category: MediaCategory::TweetImage,
        ..video(bytes.len())
    };
    let pieces = in_pieces(bytes.clone().into(), PART);
    let Ok(reply) = upload_from(&bench, &photo, pieces).await;
    assert_eq!(
        (reply.result.is_ok(), reply.call),
        (true, Call::MediaUpload)
    );
    let sent = parts(&bench.x.only());
    assert!(
        sent.iter()
            .any(|(name, sent)| name == "media" && *sent == bytes)
    );
}

#[tokio::test]
async fn a_content_that_fails_ends_the_upload_with_its_own_error() {
    let bench = Bench::new([begun(), Act::ok("{}")]).await;
    let content = stream::iter([Ok(Bytes::from(vec![7; PART])), Err("the disk is broken")]);
    let failed = upload_from(&bench, &video(2 * PART), content).await;
    assert_eq!(failed.unwrap_err(), "the disk is broken");
    let asked = bench.x.recorded();
    let asked: Vec<_> = asked.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(
        asked,
        ["/2/media/upload/initialize", "/2/media/upload/32/append"]
    );
}

/// A piece that tells how many there are.
struct Counted(Arc<AtomicUsize>, Vec<u8>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn no_more_of_a_long_file_is_held_than_two_parts() {
    const COUNT: usize = 24;
    let appended = (0..COUNT).map(|_| Act::ok("{}"));
    let script = [begun()].into_iter().chain(appended).chain([begun()]);
    let bench = Bench::new(script).await;
    let (held, most) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let content = stream::iter(0..COUNT).map(|_| {
        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let piece = Counted(held.clone(), vec![7; PART]);
        Ok::<_, Infallible>(Bytes::from_owner(piece))
    });
    let Ok(reply) = upload_from(&bench, &video(COUNT * PART), content).await;
    reply.result.unwrap();
    let most = most.into_inner();
    assert!((1..=2).contains(&most), "{most} parts at once");
}

#[tokio::test]
async fn x_is_asked_until_the_file_is_ready() {
    let bench = Bench::new([
        begun(),
        Act::ok("{}"),
        state(json!({"state": "pending", "check_after_secs": 0})),
        state(json!({"state": "in_progress", "check_after_secs": 0, "progress_percent": 50})),
        state(json!({"state": "succeeded", "progress_percent": 100})),
    ])
    .await;
    let reply = upload(&bench, vec![1], LONG).await;
    assert_eq!(
        (reply.result.is_ok(), reply.call),
        (true, Call::MediaStatus)
    );
    let asked = bench.x.recorded();
    assert_eq!(asked.len(), 5);
    assert_eq!(asked[3].raw_query, "command=STATUS&media_id=32");
}

#[tokio::test]
async fn a_file_that_x_cannot_prepare_is_invalid() {
    let failed = json!({"state": "failed", "error": {"code": 1, "name": "InvalidMedia", "message": "Unsupported video format"}});
    let bench = Bench::new([begun(), Act::ok("{}"), state(failed)]).await;
    match upload(&bench, vec![1], LONG).await.result.unwrap_err() {
        CallError::Refused(refusal) => {
            assert_eq!(refusal.reason, RefusalReason::MediaInvalid);
            assert_eq!(refusal.upstream.detail, "Unsupported video format");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_that_x_does_not_prepare_in_time_is_given_up_without_waiting() {
    let slow = json!({"state": "in_progress", "check_after_secs": 3600});
    let bench = Bench::new([begun(), Act::ok("{}"), state(slow)]).await;
    let error = upload(&bench, vec![1], Duration::from_secs(5))
        .await
        .result
        .unwrap_err();
    assert_eq!(error, CallError::uncertain(UncertainBecause::TimedOut));
    assert_eq!(bench.x.recorded().len(), 3);
}

#[tokio::test]
async fn the_first_step_that_fails_ends_an_upload() {
    let refusal = || {
        Act::status(
            400,
            json!({"title": "Invalid Request", "detail": "too large"}),
        )
    };
    for (script, call) in [
        (vec![refusal()], Call::MediaInitialize),
        (vec![begun(), refusal()], Call::MediaAppend),
        (vec![begun(), Act::ok("{}"), refusal()], Call::MediaFinalize),
        (
            vec![
                begun(),
                Act::ok("{}"),
                state(json!({"state": "pending", "check_after_secs": 0})),
                refusal(),
            ],
            Call::MediaStatus,
        ),
    ] {
        let (steps, bench) = (script.len(), Bench::new(script).await);
        let reply = upload(&bench, vec![1], LONG).await;
        assert!(
            matches!(reply.result, Err(CallError::Refused(_))),
            "{reply:?}"
        );
        assert_eq!((reply.call, bench.x.recorded().len()), (call, steps));
    }
}
