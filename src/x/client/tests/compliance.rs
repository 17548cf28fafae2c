//! Batch compliance jobs, and the files that go with them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::ids::TweetId;
use crate::x::client::CallError;
use crate::x::client::compliance::{
    ComplianceJob, FindingReason, JobState, ResultLine, StorageError,
};
use crate::x::client::testing::{Act, Bench};

fn posts(ids: &[&str]) -> Vec<TweetId> {
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// As X's guide shows it, with the storage on this machine.
fn described(bench: &Bench) -> Value {
    let place = |path: &str| bench.x.url.join(path).unwrap().to_string();
    json!({"id": "1372966999991541762", "type": "tweets", "name": "daily", "status": "created",
        "upload_url": place("storage/up?signature=secret"), "upload_expires_at": "2026-09-01T12:15:00.000Z",
        "download_url": place("storage/down?signature=secret"), "download_expires_at": "2026-09-08T12:00:00.000Z",
        "created_at": "2026-09-01T12:00:00.000Z"})
}

async fn job(bench: &Bench, changes: Value) -> ComplianceJob {
    let mut job = described(bench);
    for (name, value) in changes.as_object().unwrap() {
        job[name] = value.clone();
    }
    bench.x.then([Act::ok(json!({"data": job}))]);
    let app = bench.app_with_bearer();
    let reply = bench.client.create_compliance_job(&app, "daily").await;
    reply.result.unwrap()
}

#[tokio::test]
async fn a_job_tells_its_state_and_hides_its_addresses() {
    let bench = Bench::new([]).await;
    let created = job(&bench, json!({})).await;
    assert_eq!(created.id.get(), 1_372_966_999_991_541_762);
    assert_eq!(
        (&*created.name, &created.state),
        ("daily", &JobState::Created)
    );
    let until = created.upload_expires_at.unwrap().to_string();
    assert_eq!(until, "2026-09-01T12:15:00Z");
    let shown = format!("{created:?}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
    assert!(
        !shown.contains("secret") && !shown.contains("storage"),
        "{shown}"
    );
    let asked = bench.x.only();
    assert_eq!(asked.json(), json!({"type": "tweets", "name": "daily"}));
    assert_eq!(asked.header("authorization"), "Bearer the-bearer");
}

#[tokio::test]
async fn jobs_are_found_again_by_id_and_by_list() {
    let bench = Bench::new([]).await;
    let state = |state: &str| {
        let mut job = described(&bench);
        job["status"] = state.into();
        job
    };
    bench.x.then([
        Act::ok(json!({"data": state("complete")})),
        Act::ok(json!({"data": [state("in_progress"), state("expired"), state("failed"), state("paused")], "meta": {"result_count": 4}})),
        Act::ok(json!({"meta": {"result_count": 0}})),
        Act::ok(json!({"data": [{"status": "created"}]})),
    ]);
    let (client, app) = (&bench.client, bench.app_with_bearer());
    let found = client.compliance_job(&app, "5".parse().unwrap()).await;
    assert_eq!(found.result.unwrap().state, JobState::Complete);
    let listed = client.compliance_jobs(&app).await.result.unwrap();
    let states: Vec<_> = listed.into_iter().map(|job| job.state).collect();
    let other = JobState::Other("paused".to_owned());
    use JobState::{Expired, Failed, InProgress};
    assert_eq!(states, [InProgress, Expired, Failed, other]);
    let none = client.compliance_jobs(&app).await.result;
    assert_eq!(none, Ok(vec![]));
    let unreadable = client.compliance_jobs(&app).await.result;
    assert!(matches!(unreadable, Err(CallError::Uncertain { .. })));
}

#[tokio::test]
async fn ids_are_uploaded_line_by_line_and_without_a_credential() {
    let bench = Bench::new([]).await;
    let job = job(&bench, json!({})).await;
    bench.x.then([Act::ok("")]);
    let uploaded = bench
        .client
        .upload_compliance_ids(&job, &posts(&["20", "21"]))
        .await;
    assert_eq!(uploaded, Ok(()));
    let asked = bench.x.recorded().pop().unwrap();
    assert_eq!(asked.line(), "PUT /storage/up");
    assert_eq!(asked.parameter("signature"), "secret");
    assert_eq!(asked.header("content-type"), "text/plain");
    assert_eq!(asked.header("authorization"), "");
    assert_eq!(asked.body, b"20\n21\n");
}

#[tokio::test]
async fn files_go_nowhere_but_to_xs_storage() {
    let bench = Bench::new([]).await;
    for url in [
        "https://evil.example/up",
        "https://storage.googleapis.com/up",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
    ] {
        let changes = json!({"upload_url": url, "download_url": url});
        let job = job(&bench, changes).await;
        let asked = bench.x.recorded().len();
        let uploaded = bench
            .client
            .upload_compliance_ids(&job, &posts(&["20"]))
            .await;
        assert!(
            matches!(uploaded, Err(StorageError::NotAllowed { .. })),
            "{url}"
        );
        let results = bench.client.compliance_results(&job).await;
        assert!(
            matches!(results, Err(StorageError::NotAllowed { .. })),
            "{url}"
        );
        assert_eq!(bench.x.recorded().len(), asked);
    }
    let nowhere = job(&bench, json!({"upload_url": null, "download_url": ""})).await;
    let uploaded = bench
        .client
        .upload_compliance_ids(&nowhere, &posts(&["20"]))
        .await;
    assert_eq!(uploaded, Err(StorageError::NoAddress));
    let results = bench.client.compliance_results(&nowhere).await;
    assert_eq!(results.map(drop), Err(StorageError::NoAddress));
}

#[tokio::test]
async fn a_job_without_ids_or_with_a_long_name_is_not_sent() {
    let bench = Bench::new([]).await;
    let job = job(&bench, json!({})).await;
    let uploaded = bench.client.upload_compliance_ids(&job, &[]).await;
    assert_eq!(uploaded, Err(StorageError::Count { count: 0 }));
    let app = bench.app_with_bearer();
    let name = "n".repeat(65);
    let reply = bench.client.create_compliance_job(&app, &name).await;
    assert!(matches!(reply.result, Err(CallError::NotSent { .. })));
    assert_eq!(bench.x.recorded().len(), 1);
}

#[tokio::test]
async fn what_the_storage_refuses_needs_another_job_and_what_fails_another_try() {
    let bench = Bench::new([]).await;
    let job = job(&bench, json!({})).await;
    for (act, refused) in [
        (Act::status(403, "expired"), Some(403)),
        (
            Act::status(302, "").with("location", "/elsewhere"),
            Some(302),
        ),
        (Act::status(503, ""), None),
        (Act::ResetRead, None),
    ] {
        bench.x.then([act.clone(), act]);
        let ids = posts(&["20"]);
        let uploaded = bench.client.upload_compliance_ids(&job, &ids).await;
        let results = bench.client.compliance_results(&job).await.map(drop);
        for result in [uploaded, results] {
            match (result.unwrap_err(), refused) {
                (StorageError::Refused { status }, Some(expected)) => assert_eq!(status, expected),
                (StorageError::Unavailable(why), None) => {
                    assert!(!why.contains("secret"), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// X's own samples, and lines that it does not write.
const RESULTS: &str = r#"{"id": "1234567890", "action": "delete", "created_at": "2024-01-10T12:00:00.000Z", "redacted_at": "2024-01-12T08:30:00.000Z", "reason": "deleted"}
{"id": "1234567891", "action": "delete", "created_at": "2024-01-10T12:00:00.000Z", "redacted_at": "2024-01-13T14:20:00.000Z", "reason": "suspended"}

{"id": 1234567892, "action": "delete", "reason": "deleted"}
not json
{"id": "1234567893", "action": "scrub_geo"}
{"id": "1234567894", "action": "delete", "reason": "withheld"}"#;

#[tokio::test]
async fn results_are_read_line_by_line_and_a_bad_one_does_not_harm_the_others() {
    let bench = Bench::new([]).await;
    let job = job(&bench, json!({})).await;
    let (one, other) = RESULTS.as_bytes().split_at(200);
    bench.x.then([Act::chunks(&[one, other], true)]);
    let mut results = bench.client.compliance_results(&job).await.unwrap();
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    while let Some(line) = results.next().await.unwrap() {
        match line {
            ResultLine::Finding(finding) => found.push((finding.id.get(), finding.reason)),
            ResultLine::Unreadable(rejected) => unreadable.push(rejected.detail),
        }
    }
    use FindingReason::{Deleted, Other, ScrubGeo, Suspended};
    assert_eq!(
        found,
        [
            (1_234_567_890, Deleted),
            (1_234_567_891, Suspended),
            (1_234_567_893, ScrubGeo),
            (1_234_567_894, Other("withheld".to_owned()))
        ]
    );
    assert_eq!(
        unreadable,
        [
            "results[3]: without a readable id",
            "results[4]: not a JSON object"
        ]
    );
    assert_eq!(results.next().await, Ok(None));
    let asked = bench.x.recorded().pop().unwrap();
    assert_eq!(asked.header("authorization"), "");
}

#[tokio::test]
async fn results_that_break_off_prove_nothing() {
    let bench = Bench::with_timeout([], Duration::from_millis(700)).await;
    let job = job(&bench, json!({})).await;
    let line = b"{\"id\": \"20\", \"reason\": \"deleted\"}\n";
    bench.x.then([
        Act::chunks(&[line, b"{\"id\""], false),
        Act::held(&[line], Duration::ZERO),
        Act::chunks(&[line, &[b'x'; 20_000]], true),
    ]);
    for is_readable in [true, true, false] {
        let mut results = bench.client.compliance_results(&job).await.unwrap();
        let first = results.next().await.unwrap();
        assert!(matches!(first, Some(ResultLine::Finding(_))), "{first:?}");
        let end = results.next().await.unwrap_err();
        let expected = matches!(end, StorageError::Unavailable(_));
        assert_eq!(expected, is_readable, "{end:?}");
    }
}
