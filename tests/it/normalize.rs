//! X's own samples, normalized: one reviewed snapshot for each that is a delivery.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use twitter_channel::x::normalize::normalize;

/// Where X's samples lie; they are not part of this project. `None` where they are not at hand.
#[expect(clippy::disallowed_methods, reason = "only tests look for the samples")]
fn payloads() -> Option<PathBuf> {
    let shared = std::env::var("TWITTER_CHANNEL_SHARED").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let payloads = shared.join("x-api/payloads");
    if payloads.is_dir() {
        return Some(payloads);
    }
    println!("SKIPPED: X's samples are not at {}", payloads.display());
    None
}

/// The samples of a folder that `accept` takes, by name.
fn samples(folder: &Path, accept: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut samples: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let sample = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (name, sample)
        })
        .filter(|(_, sample)| accept(sample))
        .collect();
    samples.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert!(!samples.is_empty(), "no samples in {}", folder.display());
    samples
}

fn assert_snapshots(folder: &str, samples: Vec<(String, Value)>) {
    for (name, sample) in samples {
        let normalized = normalize(sample.to_string().as_bytes());
        insta::assert_debug_snapshot!(format!("{folder}__{name}"), normalized);
    }
}

#[test]
fn account_activity_samples() {
    let Some(payloads) = payloads() else { return };
    let folder = payloads.join("account_activity");
    assert_snapshots("account_activity", samples(&folder, |_| true));
    let jobs = samples(&folder.join("api"), |sample| {
        sample.get("replay_job_status").is_some()
    });
    assert_snapshots("account_activity", jobs);
}

#[test]
fn v1_post_samples() {
    let Some(payloads) = payloads() else { return };
    // The others are fragments of posts.
    let posts = samples(&payloads.join("post_objects_v1"), |sample| {
        sample.get("id_str").is_some() && sample.get("user").is_some()
    });
    let deliver = |(name, post): (String, Value)| {
        let delivery = json!({"for_user_id": "2244994945", "tweet_create_events": [post]});
        (name, delivery)
    };
    assert_snapshots("post_objects_v1", posts.into_iter().map(deliver).collect());
}

#[test]
fn activity_samples() {
    let Some(payloads) = payloads() else { return };
    assert_snapshots("activity", samples(&payloads.join("activity"), |_| true));
}

#[test]
fn filtered_stream_samples() {
    let Some(payloads) = payloads() else { return };
    let folder = payloads.join("filtered_stream");
    let matches = samples(&folder, |sample| sample.get("matching_rules").is_some());
    assert_snapshots("filtered_stream", matches);
}
