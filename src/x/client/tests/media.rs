//! Uploads.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::domain::attachment::MediaCategory;
use crate::x::client::testing::{Act, Bench, parts};
use crate::x::client::{
    Call, CallError, RefusalReason, Reply, UncertainBecause, Upload, UploadedMedia,
};

fn begun() -> Act {
    Act::ok(json!({"data": {"id": "32", "media_key": "13_32", "expires_after_secs": 86_400}}))
}

fn state(info: Value) -> Act {
    Act::ok(json!({"data": {"id": "32", "processing_info": info}}))
}

async fn upload(bench: &Bench, bytes: Vec<u8>, deadline: Duration) -> Reply<UploadedMedia> {
    let upload = Upload {
        bytes: Bytes::from(bytes),
        content_type: "video/mp4",
        category: MediaCategory::TweetVideo,
        processing_deadline: deadline,
    };
    bench.client.upload_media(bench.auth(), &upload).await
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_long_file_arrives_byte_for_byte() {
    let bytes: Vec<u8> = (0..(5 << 19) + 7)
        .map(|at: u32| at.to_le_bytes()[1] ^ 0x5a)
        .collect();
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
    let chunks = requests
        .iter()
        .filter(|it| it.path == "/2/media/upload/32/append")
        .map(parts);
    let chunks: Vec<_> = chunks.collect();
    let names = chunks
        .iter()
        .map(|it| (it[0].0.clone(), it[0].1.clone(), it[1].0.clone()));
    let expected = (0..3).map(|it: i32| {
        (
            "segment_index".to_owned(),
            it.to_string().into_bytes(),
            "media".to_owned(),
        )
    });
    assert!(names.eq(expected));
    let joined: Vec<u8> = chunks
        .into_iter()
        .flat_map(|mut it| it.remove(1).1)
        .collect();
    assert!(joined == bytes, "other bytes arrived");
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
