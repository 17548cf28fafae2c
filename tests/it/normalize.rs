//! Deliveries, normalized: a reviewed snapshot for each of X's own samples that is one, and
//! deliveries spoilt at random.

#![cfg(test)]

mod fixtures;
mod fuzz;

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

/// X's v1.1 posts; the other files in their folder are fragments.
fn v1_posts(payloads: &Path) -> Vec<(String, Value)> {
    samples(&payloads.join("post_objects_v1"), |sample| {
        sample.get("id_str").is_some() && sample.get("user").is_some()
    })
}

#[test]
fn v1_post_samples() {
    let Some(payloads) = payloads() else { return };
    let deliver = |(name, post): (String, Value)| {
        let delivery = json!({"for_user_id": "2244994945", "tweet_create_events": [post]});
        (name, delivery)
    };
    let deliveries = v1_posts(&payloads).into_iter().map(deliver).collect();
    assert_snapshots("post_objects_v1", deliveries);
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

/// X's posts for the fuzzing, as far as they are at hand.
fn official_v1_posts() -> Vec<Value> {
    let posts = payloads().map(|payloads| v1_posts(&payloads));
    posts.into_iter().flatten().map(|(_, post)| post).collect()
}

/// X's deliveries of X Activity for the fuzzing, as far as they are at hand.
fn official_activities() -> Vec<Value> {
    let of_posts = |sample: &Value| sample["data"]["payload"]["author_id"].is_string();
    let events = payloads().map(|payloads| samples(&payloads.join("activity"), of_posts));
    events
        .into_iter()
        .flatten()
        .map(|(_, event)| event)
        .collect()
}
