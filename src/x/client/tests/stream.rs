//! The filtered stream: its rules, its lines and its ends.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, pin_mut};
use serde_json::{Value, json};

use crate::domain::activity::{ActivityEvent, Recipient, Via};
use crate::x::client::stream::{Disconnect, NewRule, PostStream, SILENCE, StreamItem, Trouble};
use crate::x::client::testing::{Act, Bench};
use crate::x::client::{CallError, RefusalReason, Reply, UncertainBecause};
use crate::x::normalize::normalize;

/// X's own sample of a match.
fn matched() -> String {
    json!({"data": {"id": "1234567890", "text": "Look at this cute cat! 🐱", "author_id": "9876543210", "created_at": "2024-01-15T10:35:00.000Z", "edit_history_tweet_ids": ["1234567890"]},
        "includes": {"users": [{"id": "9876543210", "username": "catperson"}]},
        "matching_rules": [{"id": "1273026480692322304", "tag": "cats with images"}]})
    .to_string()
}

/// X's own sample of an end.
fn disconnected() -> String {
    json!({"errors": [{"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect",
        "detail": "This stream has been disconnected upstream for operational reasons.", "type": "https://api.x.com/2/problems/operational-disconnect"}]})
    .to_string()
}

/// X's own sample of a second connection's refusal.
fn too_many() -> Value {
    json!({"title": "ConnectionException", "detail": "This stream is currently at the maximum allowed connection limit.",
        "connection_issue": "TooManyConnections", "type": "https://api.x.com/2/problems/streaming-connection"})
}

async fn connect(bench: &Bench, silence: Duration) -> Reply<PostStream> {
    let app = bench.app_with_bearer();
    bench.client.post_stream(&app, silence).await
}

/// All that a stream brings, and its end.
async fn all(act: Act) -> (Vec<StreamItem>, Disconnect) {
    let bench = Bench::new([act]).await;
    let mut stream = connect(&bench, SILENCE).await.result.unwrap();
    let mut items = Vec::new();
    loop {
        match stream.next().await {
            Ok(item) => items.push(item),
            Err(end) => return (items, end),
        }
    }
}

fn delivery(text: &str) -> StreamItem {
    StreamItem::Delivery(text.to_owned().into())
}

#[tokio::test]
async fn matches_heartbeats_and_xs_own_trouble_are_told_apart() {
    let text = format!("{}\r\n\r\n{}\r\n", matched(), disconnected());
    let (items, end) = all(Act::chunks(&[text.as_bytes()], true)).await;
    assert_eq!(items[0], delivery(&matched()));
    assert_eq!(items[1], StreamItem::Heartbeat);
    let StreamItem::Error(upstream) = &items[2] else {
        panic!("{items:?}")
    };
    assert_eq!(upstream.problem(), "operational-disconnect");
    assert_eq!(items.len(), 3);
    assert_eq!(end, Disconnect::ByX(upstream.clone()));
}

#[tokio::test]
async fn a_match_is_what_the_streams_webhook_would_deliver() {
    let text = matched() + "\r\n";
    let (items, end) = all(Act::chunks(&[text.as_bytes()], true)).await;
    let StreamItem::Delivery(body) = &items[0] else {
        panic!("{items:?}")
    };
    let found = normalize(body).unwrap();
    assert_eq!(found.via, Some(Via::FilteredStream));
    assert_eq!(found.activities[0].recipient, Recipient::App);
    assert!(
        matches!(&found.activities[0].event, ActivityEvent::Post(post) if post.message.author.username == "catperson")
    );
    assert_eq!(end, Disconnect::Ended);
}

#[tokio::test]
async fn lines_are_whole_however_they_are_cut() {
    let text = format!("\r\n{}\n{}\r\n", matched(), matched());
    for size in [1, 7, 64, 1_000] {
        let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
        let (items, _) = all(Act::chunks(&chunks, true)).await;
        let expected = [
            StreamItem::Heartbeat,
            delivery(&matched()),
            delivery(&matched()),
        ];
        assert_eq!(items, expected, "{size}");
    }
}

#[tokio::test]
async fn a_message_of_a_new_kind_is_passed_on_for_somebody_to_see() {
    let (items, _) = all(Act::chunks(&[b"{\"notice\":{\"of\":\"2027\"}}\n"], true)).await;
    assert_eq!(items, [delivery("{\"notice\":{\"of\":\"2027\"}}")]);
    assert!(
        !normalize(b"{\"notice\":{\"of\":\"2027\"}}")
            .unwrap()
            .rejected
            .is_empty()
    );
}

#[tokio::test]
async fn errors_beside_a_match_do_not_hide_it() {
    let mut beside: Value = serde_json::from_str(&matched()).unwrap();
    beside["errors"] = json!([{"title": "Not Found Error"}]);
    let text = format!("{beside}\n");
    let (items, end) = all(Act::chunks(&[text.as_bytes()], true)).await;
    assert_eq!(items, [delivery(text.trim_end())]);
    assert_eq!(end, Disconnect::Ended);
}

#[tokio::test]
async fn what_is_no_json_object_ends_the_stream() {
    for line in [
        &b"<html>\n"[..],
        b"[1]\n",
        b"\"a\"\n",
        b"{\"data\":\n",
        b"\xff\xfe\n",
    ] {
        let (items, end) = all(Act::chunks(&[b"\r\n", line], true)).await;
        assert_eq!((items.len(), end), (1, Disconnect::Unreadable));
    }
}

#[tokio::test]
async fn a_line_without_end_is_not_held_forever() {
    let piece = vec![b'x'; 1 << 20];
    let pieces = [&piece[..]; 5];
    let (items, end) = all(Act::chunks(&pieces, true)).await;
    assert_eq!((items.len(), end), (0, Disconnect::LineTooLong(4 << 20)));
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost_and_its_half_line_with_it() {
    let (items, end) = all(Act::chunks(&[b"\r\n", b"{\"data\":{"], false)).await;
    assert_eq!(items, [StreamItem::Heartbeat]);
    assert!(matches!(end, Disconnect::Lost(_)), "{end:?}");
}

#[tokio::test]
async fn a_stream_that_is_silent_too_long_ends() {
    let silence = Duration::from_millis(700);
    let bench = Bench::new([Act::held(&[b"\r\n"], Duration::ZERO)]).await;
    let mut stream = connect(&bench, silence).await.result.unwrap();
    assert_eq!(stream.next().await, Ok(StreamItem::Heartbeat));
    assert_eq!(stream.next().await, Err(Disconnect::Silent(silence)));
}

#[tokio::test]
async fn heartbeats_keep_a_stream_open_past_the_time_of_a_call() {
    let (call, pause) = (Duration::from_millis(1_000), Duration::from_millis(150));
    let beats = [&b"\r\n"[..]; 8];
    let bench = Bench::with_timeout([Act::held(&beats, pause)], call).await;
    let mut stream = connect(&bench, SILENCE).await.result.unwrap();
    for _ in beats {
        assert_eq!(stream.next().await, Ok(StreamItem::Heartbeat));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_begin_has_the_time_of_a_call() {
    let bench = Bench::with_timeout([Act::Silent], Duration::from_millis(100)).await;
    let error = connect(&bench, SILENCE).await.result.unwrap_err();
    let timed_out = matches!(
        error,
        CallError::Uncertain {
            reason: UncertainBecause::TimedOut,
            ..
        }
    );
    assert!(timed_out, "{error:?}");
    assert_eq!(Trouble::from(&error), Trouble::Network);
}

#[tokio::test]
async fn a_call_for_the_next_item_may_be_dropped() {
    let pause = Duration::from_millis(20);
    let line = matched() + "\n";
    let (first, second) = line.as_bytes().split_at(30);
    let bench = Bench::new([Act::held(&[first, second], pause)]).await;
    let mut stream = connect(&bench, SILENCE).await.result.unwrap();
    let item = loop {
        let impatient = tokio::time::timeout(Duration::from_millis(1), stream.next());
        if let Ok(item) = impatient.await {
            break item;
        }
    };
    assert_eq!(item, Ok(delivery(&matched())));
}

#[tokio::test]
async fn the_items_as_a_stream_end_with_the_end() {
    let bench = Bench::new([Act::chunks(&[b"\r\n\r\n"], true)]).await;
    let stream = connect(&bench, SILENCE).await.result.unwrap().items();
    pin_mut!(stream);
    assert_eq!(stream.try_next().await, Ok(Some(StreamItem::Heartbeat)));
    assert_eq!(stream.try_next().await, Ok(Some(StreamItem::Heartbeat)));
    assert_eq!(stream.next().await, Some(Err(Disconnect::Ended)));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_refusal_says_why_and_how_long_to_wait() {
    let limited = Act::status(429, too_many())
        .with("x-rate-limit-limit", 50)
        .with("x-rate-limit-remaining", 0)
        .with("x-rate-limit-reset", 1_788_264_900);
    let no_rules = json!({"title": "RuleConfigurationIssue", "detail": "Please add rules first.", "type": "about:blank"});
    let bench = Bench::new([
        Act::status(409, no_rules),
        limited,
        Act::status(401, json!({"title": "Unauthorized"})),
        Act::status(503, ""),
    ])
    .await;
    let error = connect(&bench, SILENCE).await.result.unwrap_err();
    assert!(error.is_without_rules(), "{error:?}");
    let reply = connect(&bench, SILENCE).await;
    assert!(reply.limits.window.unwrap().is_used_up());
    let error = reply.result.unwrap_err();
    let until = Some("2026-09-01T12:15:00Z".parse().unwrap());
    assert_eq!(Trouble::from(&error), Trouble::Limited { until });
    assert!(!error.is_without_rules());
    let error = connect(&bench, SILENCE).await.result.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized { .. }), "{error:?}");
    let error = connect(&bench, SILENCE).await.result.unwrap_err();
    assert_eq!(Trouble::from(&error), Trouble::Http);
}

#[tokio::test]
async fn a_bearer_that_the_stream_refuses_is_asked_for_anew() {
    let token = |word: &str| Act::ok(json!({"token_type": "bearer", "access_token": word}));
    let bench = Bench::new([
        token("old"),
        Act::status(401, json!({"title": "Unauthorized"})),
        token("new"),
        Act::ok(""),
    ])
    .await;
    for is_ok in [false, true] {
        let reply = bench.client.post_stream(&bench.app, SILENCE).await;
        assert_eq!(reply.result.is_ok(), is_ok);
    }
    let asked = bench.x.recorded();
    assert_eq!(asked[3].header("authorization"), "Bearer new");
}

#[tokio::test]
async fn rules_are_listed_page_by_page() {
    let bench = Bench::new([
        Act::ok(json!({"data": [{"id": "71", "value": "@acme", "tag": "a"}, {"id": "72", "value": "#acme"}], "meta": {"sent": "2026-09-01T12:00:00.000Z", "next_token": "0123456789abcdef"}})),
        Act::ok(json!({"meta": {"sent": "2026-09-01T12:00:00.000Z", "result_count": 0}})),
    ])
    .await;
    let app = bench.app_with_bearer();
    let first = bench.client.stream_rules(&app, None).await.result.unwrap();
    let shown: Vec<_> = first
        .rules
        .iter()
        .map(|rule| (rule.id.get(), &*rule.value, &*rule.tag))
        .collect();
    assert_eq!(shown, [(71, "@acme", "a"), (72, "#acme", "")]);
    let next = first.next;
    assert!(next.is_some());
    let last = bench.client.stream_rules(&app, next.as_ref()).await;
    let last = last.result.unwrap();
    assert!(last.rules.is_empty() && last.next.is_none());
}

fn refused_rules() -> Value {
    json!([
        {"value": "(cat", "details": ["no viable alternative at input '('"], "title": "UnprocessableEntity", "type": "https://api.x.com/2/problems/invalid-rules"},
        {"value": "#acme", "id": "72", "title": "DuplicateRule", "type": "https://api.x.com/2/problems/duplicate-rules"}])
}

const RULE: NewRule<'static> = NewRule {
    value: "(cat",
    tag: "",
};

#[tokio::test]
async fn rules_that_x_refuses_stand_beside_those_that_it_takes() {
    let summary = json!({"summary": {"created": 1, "not_created": 2, "valid": 1, "invalid": 2}});
    let some = json!({"data": [{"id": "73", "value": "@acme"}], "meta": summary, "errors": refused_rules()});
    let none = json!({"title": "Invalid Request", "type": "https://api.x.com/2/problems/invalid-request", "errors": refused_rules()});
    let bench = Bench::new([Act::status(201, some), Act::status(400, none)]).await;
    let app = bench.app_with_bearer();
    for taken in [1, 0] {
        let reply = bench.client.add_stream_rules(&app, &[RULE], false).await;
        let added = reply.result.unwrap();
        assert_eq!(added.rules.len(), taken);
        let [invalid, duplicate] = &added.refused[..] else {
            panic!("{added:?}")
        };
        assert_eq!((&*invalid.value, invalid.existing), ("(cat", None));
        assert!(invalid.upstream.detail.contains("no viable alternative"));
        assert_eq!(duplicate.existing, Some("72".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_refusal_of_the_whole_request_is_one() {
    let cap = json!({"title": "RulesCapExceeded", "detail": "Rules number exceeded.", "type": "https://api.x.com/2/problems/rule-cap"});
    let bench = Bench::new([Act::status(400, cap), Act::ok("{}")]).await;
    let app = bench.app_with_bearer();
    let add = || bench.client.add_stream_rules(&app, &[RULE], false);
    match add().await.result.unwrap_err() {
        CallError::Refused(refusal) => assert_eq!(refusal.reason, RefusalReason::Invalid),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        add().await.result,
        Err(CallError::Uncertain { .. })
    ));
}

#[tokio::test]
async fn what_was_deleted_is_counted_and_nothing_is_guessed() {
    let summary = json!({"summary": {"deleted": 1, "not_deleted": 1}});
    let missing =
        json!([{"detail": "One or more rule ids were not found.", "type": "about:blank"}]);
    let bench = Bench::new([
        Act::ok(json!({"meta": summary, "errors": &missing})),
        Act::ok(json!({"errors": &missing})),
        Act::ok(json!({"meta": {"sent": "now"}})),
    ])
    .await;
    let app = bench.app_with_bearer();
    let ids = ["71".parse().unwrap(), "72".parse().unwrap()];
    let delete = || bench.client.delete_stream_rules(&app, &ids, false);
    let deleted = delete().await.result.unwrap();
    assert_eq!((deleted.deleted, deleted.not_deleted), (1, 1));
    assert!(matches!(delete().await.result, Err(CallError::Refused(_))));
    assert!(matches!(
        delete().await.result,
        Err(CallError::Uncertain { .. })
    ));
}

#[tokio::test]
async fn rules_that_cannot_be_asked_are_not_sent() {
    let bench = Bench::new([]).await;
    let app = bench.app_with_bearer();
    let long = "a".repeat(2_049);
    let rule = |value| NewRule { value, tag: "" };
    for rules in [vec![rule("")], vec![rule(&long)], vec![]] {
        let reply = bench.client.add_stream_rules(&app, &rules, true).await;
        assert!(matches!(reply.result, Err(CallError::NotSent { .. })));
    }
    let reply = bench.client.delete_stream_rules(&app, &[], true).await;
    assert!(matches!(reply.result, Err(CallError::NotSent { .. })));
    assert!(bench.x.recorded().is_empty());
}
