//! Deliveries spoilt at random, with a fixed seed: nothing panics, and events that were not touched
//! still come out of a delivery whose other events are spoilt.

use std::ops::Range;
use std::slice;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};
use rstest::rstest;
use serde_json::{Value, json};
use twitter_channel::domain::activity::Activity;
use twitter_channel::x::normalize::normalize;

use super::fixtures;

const SEED: u64 = 20_180_119;
/// Runs for each form and way of spoiling, 100,000 in all; `TWITTER_CHANNEL_FUZZ_RUNS` sets more.
const RUNS: usize = 12_500;

/// JSON that stands in for any value; written as it is, since some of it no `Value` can hold.
const SUBSTITUTES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "12",
    "1e999",
    "1.5",
    "18446744073709551616",
    "[]",
    "{}",
    "\"\"",
    "[null]",
    "{\"data\":{}}",
    "\"\\ud800\"",
    "\"a\\udfffb\"",
    "\"\\u0000\"",
    "\"18446744073709551616\"",
    "\"9223372036854775808\"",
    "\"007\"",
    "\"-5\"",
    "\"Thu Jan 01 00:00:00 +0000 1970\"",
    "\"9999-12-31T23:59:59Z\"",
    "\"99999999999999999\"",
    "\"-99999999999999999\"",
    "[-1,5]",
    "[3,2]",
    "[7,99999]",
    "[18446744073709551615,0]",
    "4294967296",
    "\"https://t.co/\"",
    "\"&amp;&#39;&\"",
    "{\"id\":\"1\",\"id\":\"2\"}",
    "\"🥁🥁\"",
];

#[expect(
    clippy::disallowed_methods,
    reason = "longer runs are asked for by hand"
)]
fn runs() -> Range<usize> {
    let runs = std::env::var("TWITTER_CHANNEL_FUZZ_RUNS").ok();
    0..runs.map_or(RUNS, |runs| runs.parse().unwrap())
}

/// An event that was not touched.
struct Sound {
    json: String,
    activities: Vec<Activity>,
}

/// A form of delivery that can hold several events.
struct Form {
    /// Made up: small, and all that the form can hold.
    events: Vec<Value>,
    /// X's own, where they are at hand.
    official: Vec<Value>,
    deliver: fn(&[String]) -> String,
}

impl Form {
    /// What an event becomes by itself, which is something.
    fn alone(&self, event: &Value) -> Sound {
        let json = event.to_string();
        let delivery = (self.deliver)(slice::from_ref(&json));
        let activities = normalize(delivery.as_bytes()).unwrap().activities;
        assert!(!activities.is_empty(), "{json}");
        Sound { json, activities }
    }

    /// Any event, made up or X's.
    fn choose(&self, rng: &mut StdRng) -> &Value {
        let all = self.events.iter().chain(&self.official);
        all.choose(rng).unwrap()
    }

    /// Spoils one event between two that are not touched.
    fn spoil_one_of_three(&self) {
        let mut rng = StdRng::seed_from_u64(SEED);
        let sound: Vec<_> = self.events.iter().map(|event| self.alone(event)).collect();
        for run in runs() {
            let [before, after] = [(); 2].map(|()| sound.choose(&mut rng).unwrap());
            let spoilt = spoil(self.choose(&mut rng).clone(), &mut rng);
            let delivery = (self.deliver)(&[before.json.clone(), spoilt, after.json.clone()]);
            let found = normalize(delivery.as_bytes()).unwrap_or_else(|error| {
                panic!("run {run}: {error}: {delivery}");
            });
            let mut expected = before.activities.iter().chain(&after.activities);
            let survive = expected.all(|activity| found.activities.contains(activity));
            assert!(survive, "run {run}: {delivery}");
        }
    }

    /// Spoils a delivery's bytes: what comes out is not known, only that there is no panic.
    fn spoil_bytes(&self) {
        let mut rng = StdRng::seed_from_u64(SEED);
        for _ in runs() {
            let event = self.choose(&mut rng).to_string();
            let mut body = (self.deliver)(&[event]).into_bytes();
            for _ in 0..rng.random_range(1..4) {
                spoil_body(&mut body, &mut rng);
            }
            let _ = normalize(&body);
        }
    }
}

/// Replaces one value, removes it, or gives the event to itself. The result is valid JSON.
fn spoil(mut event: Value, rng: &mut StdRng) -> String {
    const MARK: &str = "@@spoilt@@";
    let mut places = Vec::new();
    collect(&event, "", &mut places);
    let place = places.choose(rng).unwrap();
    let copy = event.clone();
    let value = event.pointer_mut(place).unwrap();
    match rng.random_range(0..10) {
        0 => *value = copy,
        1 => *value = Value::Array(vec![value.take()]),
        2 => *value = json!({ "data": value.take() }),
        3 => *value = json!(value.to_string()),
        _ => *value = json!(MARK),
    }
    let substitute = match rng.random_range(0..8) {
        0 => format!("{}{}", "[".repeat(60), "]".repeat(60)),
        _ => (*SUBSTITUTES.choose(rng).unwrap()).to_owned(),
    };
    event
        .to_string()
        .replace(&format!("\"{MARK}\""), &substitute)
}

/// JSON pointers to everything within a value.
fn collect(value: &Value, place: &str, places: &mut Vec<String>) {
    let mut add = |name: &str, value: &Value| {
        let place = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
        collect(value, &place, places);
        places.push(place);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| add(name, value)),
        Value::Array(elements) => {
            let elements = elements.iter().enumerate();
            elements.for_each(|(index, value)| add(&index.to_string(), value));
        }
        _ => {}
    }
}

fn spoil_body(body: &mut Vec<u8>, rng: &mut StdRng) {
    let Some(last) = body.len().checked_sub(1) else {
        return;
    };
    let at = rng.random_range(0..=last);
    let piece = at..(at + rng.random_range(1..20)).min(last + 1);
    match rng.random_range(0..6) {
        0 => body[at] = rng.random(),
        1 => body[at] ^= 1 << rng.random_range(0..8),
        2 => body.truncate(at),
        3 => drop(body.drain(piece)),
        4 => {
            let twice = body[piece].to_vec();
            body.splice(at..at, twice);
        }
        _ => {
            let substitute = SUBSTITUTES.choose(rng).unwrap();
            body.splice(piece, substitute.bytes());
        }
    }
}

fn account_activity_posts() -> Form {
    Form {
        events: fixtures::v1_posts(),
        official: super::official_v1_posts(),
        deliver: |events| {
            let events = events.join(",");
            format!(r#"{{"for_user_id":"100","tweet_create_events":[{events}]}}"#)
        },
    }
}

fn account_activity_messages() -> Form {
    Form {
        events: fixtures::direct_messages(),
        official: Vec::new(),
        deliver: |events| {
            let (events, users) = (events.join(","), fixtures::users());
            format!(r#"{{"for_user_id":"100","direct_message_events":[{events}],"users":{users}}}"#)
        },
    }
}

fn activity() -> Form {
    let official = super::official_activities().into_iter();
    Form {
        events: fixtures::activities(),
        official: official.map(|delivery| delivery["data"].clone()).collect(),
        deliver: |events| format!(r#"{{"data":[{}]}}"#, events.join(",")),
    }
}

fn filtered_stream() -> Form {
    Form {
        events: fixtures::v2_posts(),
        official: Vec::new(),
        deliver: |events| {
            let (events, includes) = (events.join(","), fixtures::includes());
            format!(
                r#"{{"data":[{events}],"includes":{includes},"matching_rules":[{{"id":"1"}}]}}"#
            )
        },
    }
}

#[rstest]
#[case::account_activity_posts(account_activity_posts())]
#[case::account_activity_messages(account_activity_messages())]
#[case::activity(activity())]
#[case::filtered_stream(filtered_stream())]
fn events_beside_a_spoilt_one_come_out(#[case] form: Form) {
    form.spoil_one_of_three();
}

#[rstest]
#[case::account_activity_posts(account_activity_posts())]
#[case::account_activity_messages(account_activity_messages())]
#[case::activity(activity())]
#[case::filtered_stream(filtered_stream())]
fn spoilt_bytes_never_panic(#[case] form: Form) {
    form.spoil_bytes();
}
