//! What is certain after a call that went wrong.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::x::client::testing::{Act, Bench, FakeX, client};
use crate::x::client::{CallError, NewPost, NotSent, PostCreated, Reply, UncertainBecause};

const CREATED: &str = r#"{"data":{"id":"1445880548472328192","text":"hi"}}"#;

fn text(text: &str) -> NewPost<'_> {
    NewPost {
        text,
        ..NewPost::default()
    }
}

async fn create(bench: &Bench) -> Reply<PostCreated> {
    bench.client.create_post(bench.auth(), &text("hi")).await
}

/// Why it is uncertain; `None` for anything else.
fn doubt(error: &CallError) -> Option<UncertainBecause> {
    match error {
        CallError::Uncertain { reason, .. } => Some(*reason),
        _ => None,
    }
}

fn whole_answer() -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n",
        CREATED.len()
    );
    [head.as_bytes(), CREATED.as_bytes()].concat()
}

#[tokio::test]
async fn a_post_that_was_made_has_an_id() {
    for status in [201, 200] {
        let bench = Bench::new([Act::status(status, CREATED)]).await;
        let created = create(&bench).await.result.unwrap();
        assert_eq!(created.id.to_string(), "1445880548472328192");
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let bench = Bench::new([]).await;
    let nobody = client(
        &"http://127.0.0.1:9".parse().unwrap(),
        Duration::from_secs(5),
        bench.vault.clone(),
        bench.now.clone(),
        bench.tasks.clone(),
    );
    let error = nobody
        .create_post(bench.auth(), &text("hi"))
        .await
        .result
        .unwrap_err();
    match error {
        CallError::NotSent {
            reason: NotSent::NoConnection(why),
        } => assert!(why.contains("refused"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whatever_happens_on_the_way_leaves_doubt() {
    use UncertainBecause::*;
    let answer = whole_answer();
    let half_head = answer[..20].to_vec();
    let half_body = answer[..answer.len() - 10].to_vec();
    for (name, act, expected) in [
        ("reset before it was read", Act::ResetUnread, ConnectionLost),
        ("reset after it was read", Act::ResetRead, ConnectionLost),
        (
            "closed without an answer",
            Act::Raw(Vec::new()),
            ConnectionLost,
        ),
        (
            "cut in the answer's head",
            Act::Raw(half_head),
            ConnectionLost,
        ),
        ("cut in the answer's body", Act::Raw(half_body), AnswerCut),
        (
            "no HTTP",
            Act::Raw(b"SSH-2.0-x\r\n\r\n".to_vec()),
            ConnectionLost,
        ),
        ("no JSON", Act::status(201, "<html>"), Unreadable),
        ("no object", Act::status(201, "[]"), Unreadable),
        ("nothing", Act::status(201, ""), Unreadable),
        ("no data", Act::status(201, "{}"), NoResult),
        (
            "no id",
            Act::status(201, r#"{"data":{"text":"hi"}}"#),
            NoResult,
        ),
        (
            "an id with lost digits",
            Act::status(201, r#"{"data":{"id":1445880548472328192}}"#),
            NoResult,
        ),
        ("no content", Act::status(204, ""), Unreadable),
        (
            "500",
            Act::status(500, r#"{"title":"Internal Server Error"}"#),
            ServerError,
        ),
        ("502 of a proxy", Act::status(502, "<html>"), ServerError),
        ("504", Act::status(504, ""), ServerError),
        ("520", Act::status(520, ""), ServerError),
        (
            "a redirect",
            Act::status(302, "").with("location", "/2/tweets"),
            UnexpectedStatus,
        ),
        ("408", Act::status(408, ""), TimedOut),
        ("403 of a proxy", Act::status(403, "<html>"), Unreadable),
        ("400 without a word", Act::status(400, "{}"), Unreadable),
    ] {
        let bench = Bench::new([act]).await;
        let error = create(&bench).await.result.unwrap_err();
        assert_eq!(doubt(&error), Some(expected), "{name}: {error:?}");
        assert!(bench.x.recorded().len() <= 1, "{name}: asked twice");
    }
}

#[tokio::test]
async fn a_success_of_errors_only_leaves_doubt_and_xs_words() {
    let errors = json!({"errors": [{"title": "Oops", "detail": "words", "type": "about:blank"}]});
    let bench = Bench::new([Act::ok(errors)]).await;
    let error = create(&bench).await.result.unwrap_err();
    assert_eq!(doubt(&error), Some(UncertainBecause::NoResult));
    assert_eq!(error.upstream().unwrap().detail, "words");
}

#[tokio::test]
async fn no_answer_in_time_leaves_doubt() {
    let bench = Bench::with_timeout([Act::Silent], Duration::from_millis(200)).await;
    let error = create(&bench).await.result.unwrap_err();
    assert_eq!(doubt(&error), Some(UncertainBecause::TimedOut));
    assert_eq!(bench.x.recorded().len(), 1);
}

#[tokio::test]
async fn an_overloaded_x_most_likely_did_nothing() {
    for body in ["", "<html>", r#"{"title":"Service Unavailable"}"#] {
        let bench = Bench::new([Act::status(503, body)]).await;
        let error = create(&bench).await.result.unwrap_err();
        assert!(matches!(error, CallError::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_far_too_long_is_not_read() {
    let long = format!(
        r#"{{"data":{{"id":"1","text":"{}"}}}}"#,
        "x".repeat(17 << 20)
    );
    let bench = Bench::new([Act::status(201, long)]).await;
    let error = create(&bench).await.result.unwrap_err();
    assert_eq!(doubt(&error), Some(UncertainBecause::Unreadable));
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_leaves_doubt_and_makes_no_second_post() {
    let answer = whole_answer();
    let cuts = (0..answer.len()).map(|end| answer[..end].to_vec());
    let outcomes = cuts.map(|cut| async move {
        let (length, bench) = (cut.len(), Bench::new([Act::Raw(cut)]).await);
        let error = create(&bench).await.result.unwrap_err();
        assert!(doubt(&error).is_some(), "cut at {length}: {error:?}");
        assert_eq!(bench.x.recorded().len(), 1, "cut at {length}");
    });
    let count = join_all(outcomes).await.len();
    assert!(count > 80);
}

/// The connection is kept from one post to the next, and X closes it at about the time of the
/// next: before it, while it is written, or after. However that ends, nothing is sent twice.
#[tokio::test]
async fn a_kept_connection_that_x_closes_makes_no_second_post() {
    const POSTS: usize = 400;
    let closing = |index: usize| Act::AnswerAndClose {
        body: CREATED.to_owned(),
        after: Duration::from_micros(u64::try_from(index % 40).unwrap() * 10),
    };
    let bench = Bench::new((0..POSTS * 2).map(closing)).await;
    let (mut made, mut in_doubt) = (0, 0);
    for index in 0..POSTS {
        // So that each order of closing, writing and noticing comes up.
        tokio::time::sleep(Duration::from_micros(
            u64::try_from(index % 7).unwrap() * 100,
        ))
        .await;
        let text = index.to_string();
        let post = NewPost {
            text: &text,
            ..NewPost::default()
        };
        match bench.client.create_post(bench.auth(), &post).await.result {
            Ok(_) => made += 1,
            Err(error) => {
                assert!(doubt(&error).is_some(), "{error:?}");
                in_doubt += 1;
            }
        }
    }
    let received = bench.x.recorded();
    let distinct: HashSet<_> = received.iter().map(|it| it.json().to_string()).collect();
    println!(
        "{POSTS} posts: {made} made, {in_doubt} in doubt, {} received, {} connections",
        received.len(),
        bench.x.connections()
    );
    assert_eq!(received.len(), distinct.len(), "a post was sent twice");
    assert!(received.len() >= made);
}

#[tokio::test]
async fn a_request_lost_on_a_kept_connection_is_not_sent_again() {
    for lost in [Act::Raw(Vec::new()), Act::ResetRead] {
        let bench = Bench::new([Act::status(201, CREATED), lost, Act::status(201, CREATED)]).await;
        assert!(create(&bench).await.result.is_ok());
        let error = create(&bench).await.result.unwrap_err();
        assert_eq!(doubt(&error), Some(UncertainBecause::ConnectionLost));
        assert_eq!(bench.x.connections(), 1, "the connection was not kept");
        assert_eq!(bench.x.recorded().len(), 2);
    }
}

#[tokio::test]
async fn reads_fail_in_the_same_ways() {
    let bench = Bench::new([Act::Raw(Vec::new()), Act::status(503, "")]).await;
    let first = bench.client.me(bench.auth()).await.result.unwrap_err();
    assert_eq!(doubt(&first), Some(UncertainBecause::ConnectionLost));
    let second = bench.client.me(bench.auth()).await.result.unwrap_err();
    assert!(matches!(second, CallError::Unavailable { .. }));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = FakeX::start([Act::status(201, CREATED)]).await;
    let bench = Bench::new([Act::status(307, "").with("location", &elsewhere.url)]).await;
    assert!(create(&bench).await.result.is_err());
    assert!(elsewhere.recorded().is_empty());
}
