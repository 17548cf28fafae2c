//! What goes wrong by order.

use std::time::{Duration, Instant};

use serde_json::json;
use simulator::{Echo, Endpoint, Fault, FaultKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::{APP, Caller};

fn on_posts(what: FaultKind) -> Fault {
    Fault::new(what).on(Endpoint::CreatePost)
}

async fn send(caller: &Caller, text: &str) -> Result<reqwest::Response, reqwest::Error> {
    let request = caller.request(reqwest::Method::POST, "/2/tweets", &[]);
    request.json(&json!({ "text": text })).send().await
}

fn request_of(caller: &Caller, text: &str) -> Vec<u8> {
    let body = json!({ "text": text }).to_string();
    let request = format!(
        "POST /2/tweets HTTP/1.1\r\nhost: {}\r\nauthorization: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        address(caller),
        caller.signature("POST", "/2/tweets", &[]),
        body.len()
    );
    request.into_bytes()
}

fn address(caller: &Caller) -> &str {
    caller.simulator().url().trim_start_matches("http://")
}

/// Everything that comes back on a bare connection, and how it ends.
async fn raw(caller: &Caller, text: &str) -> (Vec<u8>, std::io::Result<()>) {
    let mut stream = TcpStream::connect(address(caller)).await.unwrap();
    stream.write_all(&request_of(caller, text)).await.unwrap();
    let mut got = Vec::new();
    let end = stream.read_to_end(&mut got).await.map(|_| ());
    (got, end)
}

#[actix_web::test]
async fn a_lost_answer_leaves_the_effect() {
    let caller = Caller::new().await;
    caller
        .simulator()
        .order(on_posts(FaultKind::AnswerLost).with_text("lost"));
    assert_eq!(caller.tweet("other").await.status, 201);
    let (got, end) = raw(&caller, "lost").await;
    assert!(got.is_empty() && end.is_ok());
    assert_eq!(caller.simulator().count_posts(caller.acme(), "lost"), 1);
    let call = &caller.simulator().calls()[1];
    assert_eq!(
        (call.status, call.fault.as_deref()),
        (None, Some("answer_lost"))
    );
    assert_eq!(
        call.effect,
        Some(caller.simulator().posts_by(caller.acme())[1].id.to_string())
    );
    assert_eq!(caller.tweet("lost").await.status, 403, "a duplicate now");
}

#[actix_web::test]
async fn resets_are_resets() {
    let caller = Caller::new().await;
    for (what, effects) in [
        (FaultKind::AnswerReset, 1),
        (FaultKind::ResetBeforeReading, 0),
        (FaultKind::ResetAfterReading, 0),
    ] {
        caller.simulator().order(on_posts(what.clone()));
        let text = format!("{what:?}");
        let (got, end) = raw(&caller, &text).await;
        let error = end.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{text}");
        assert!(got.is_empty());
        assert_eq!(
            caller.simulator().count_posts(caller.acme(), &text),
            effects,
            "{text}"
        );
        assert_eq!(caller.tweet(&format!("after {text}")).await.status, 201);
    }
}

#[actix_web::test]
async fn an_answer_can_be_cut_at_every_byte() {
    let caller = Caller::new().await;
    caller.tweet("whole").await;
    let length = caller.simulator().calls()[0].answer_length;
    assert!(length > 200, "{length}");
    for at in (0..length).step_by(7) {
        let text = format!("at {at}");
        caller
            .simulator()
            .order(on_posts(FaultKind::AnswerCut { at }));
        let (got, end) = raw(&caller, &text).await;
        assert!(end.is_ok());
        assert_eq!(got.len(), at);
        assert!(b"HTTP/1.1 201 Created\r\n".starts_with(&got[..at.min(22)]));
        assert_eq!(caller.simulator().count_posts(caller.acme(), &text), 1);
    }
    caller
        .simulator()
        .order(on_posts(FaultKind::AnswerCut { at: length - 1 }));
    let response = send(&caller, "by a client").await.unwrap();
    assert!(response.bytes().await.is_err());
}

#[actix_web::test]
async fn any_status_with_or_without_effect() {
    let caller = Caller::new().await;
    for (status, effect) in [(500, true), (502, false), (503, false), (504, true)] {
        let what = FaultKind::Status {
            status,
            body: None,
            effect,
        };
        caller.simulator().order(on_posts(what));
        let text = format!("{status}");
        assert_eq!(caller.tweet(&text).await.status, status);
        let count = caller.simulator().count_posts(caller.acme(), &text);
        assert_eq!(count, usize::from(effect), "{status}");
    }
    let body = json!({ "errors": [{ "code": 226, "message": "looks automated" }] });
    caller.simulator().order(on_posts(FaultKind::Status {
        status: 403,
        body: Some(body.clone()),
        effect: false,
    }));
    let refused = caller.tweet("x").await;
    assert_eq!((refused.status, refused.body), (403, body));
}

#[actix_web::test]
async fn refusals_of_x_can_be_ordered() {
    let mut caller = Caller::new().await;
    let simulator = caller.simulator().clone();
    simulator.order(on_posts(FaultKind::RateLimited {
        headers: true,
        reset_in_s: 60,
    }));
    let limited = caller.tweet("a").await;
    assert_eq!(
        (limited.status, limited.header("x-rate-limit-remaining")),
        (429, Some("0"))
    );
    let reset: i64 = limited
        .header("x-rate-limit-reset")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(reset - simulator.now().as_second(), 60);
    simulator.order(on_posts(FaultKind::RateLimited {
        headers: false,
        reset_in_s: 0,
    }));
    let bare = caller.tweet("a").await;
    assert!(bare.status == 429 && bare.header("x-rate-limit-reset").is_none());
    simulator.order(on_posts(FaultKind::CreditsDepleted));
    assert_eq!(caller.tweet("a").await.status, 402);

    simulator.order(Fault::new(FaultKind::Outage).always());
    assert_eq!(caller.tweet("a").await.status, 401);
    assert_eq!(caller.get("/2/users/me", &[]).await.status, 401);
    simulator.clear_faults();
    assert_eq!(caller.tweet("a").await.status, 201, "an outage ends");

    simulator.order(on_posts(FaultKind::Revoked));
    assert_eq!(caller.tweet("b").await.body["errors"][0]["code"], 89);
    assert_eq!(caller.tweet("b").await.body["errors"][0]["code"], 89);
    caller.keys = simulator.authorize(APP, caller.acme()).unwrap();
    assert_eq!(caller.tweet("b").await.status, 201);
}

#[actix_web::test]
async fn an_answer_can_be_garbage_or_miss_the_id() {
    let caller = Caller::new().await;
    caller
        .simulator()
        .order(on_posts(FaultKind::Garbage { effect: true }));
    let response = send(&caller, "garbage").await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
    assert!(response.json::<serde_json::Value>().await.is_err());
    caller.simulator().order(on_posts(FaultKind::NoId));
    let made = caller.tweet("no id").await;
    assert_eq!((made.status, made.body), (201, json!({ "data": {} })));
    assert_eq!(caller.simulator().posts_by(caller.acme()).len(), 2);
}

#[actix_web::test]
async fn a_slow_call_has_its_effect_though_the_caller_has_gone() {
    let caller = Caller::new().await;
    let slow = on_posts(FaultKind::Nothing);
    caller.simulator().order(slow.clone().slow(300, 0));
    let request = caller.request(reqwest::Method::POST, "/2/tweets", &[]);
    let impatient = request
        .json(&json!({ "text": "late" }))
        .timeout(Duration::from_millis(50));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    assert_eq!(caller.simulator().count_posts(caller.acme(), "late"), 0);
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, caller.simulator().calls_idle())
        .await
        .unwrap();
    assert_eq!(caller.simulator().count_posts(caller.acme(), "late"), 1);

    caller.simulator().order(slow.slow(0, 200));
    let began = Instant::now();
    assert_eq!(caller.tweet("slow answer").await.status, 201);
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[actix_web::test]
async fn the_echo_comes_when_it_is_told_to() {
    let caller = Caller::new().await;
    let simulator = caller.simulator();
    simulator.change_api(|settings| settings.echo = Echo::BEFORE_ANSWER);
    caller.tweet("before").await;
    assert_eq!(
        caller.stage.webhook.bodies().len(),
        1,
        "delivered when answered"
    );
    simulator.order(on_posts(FaultKind::Nothing).with_echo(Echo::NEVER));
    caller.tweet("never").await;
    caller.stage.settled().await;
    assert_eq!(caller.stage.webhook.bodies().len(), 1);
    let late = Echo::after(Duration::from_millis(300));
    simulator.change_api(|settings| settings.echo = late);
    caller.tweet("after").await;
    assert_eq!(
        caller.stage.webhook.bodies().len(),
        1,
        "answered, not delivered"
    );
    assert_eq!(caller.stage.delivered().await.len(), 2);
    simulator.change_api(|settings| settings.echo = Echo::BEFORE_ANSWER);
    simulator.order(on_posts(FaultKind::AnswerLost));
    let _ = raw(&caller, "lost").await;
    assert_eq!(
        caller.stage.webhook.bodies().len(),
        3,
        "told by the echo alone"
    );
}

#[actix_web::test]
async fn a_refresh_whose_answer_is_lost_has_used_the_token() {
    let caller = Caller::new().await;
    let lost = Fault::new(FaultKind::AnswerLost).on(Endpoint::UserToken);
    caller.simulator().order(lost);
    let refresh = |token: String| {
        let form = caller
            .http
            .post(caller.url("/2/oauth2/token"))
            .basic_auth(&caller.keys.client_id, Some(&caller.keys.client_secret))
            .form(&[("grant_type", "refresh_token"), ("refresh_token", &*token)]);
        form.send()
    };
    assert!(refresh(caller.keys.refresh_token.clone()).await.is_err());
    let again = refresh(caller.keys.refresh_token.clone()).await.unwrap();
    assert_eq!(again.status().as_u16(), 400);
    let newest = caller.simulator().credentials(APP, caller.acme()).unwrap();
    assert_eq!(
        refresh(newest.refresh_token)
            .await
            .unwrap()
            .status()
            .as_u16(),
        200
    );
}

#[actix_web::test]
async fn a_request_that_breaks_off_at_any_byte_has_no_effect() {
    let caller = Caller::new().await;
    let whole = request_of(&caller, "never");
    for at in (0..whole.len()).step_by(5).chain([whole.len() - 1]) {
        let mut stream = TcpStream::connect(address(&caller)).await.unwrap();
        stream.write_all(&whole[..at]).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, caller.simulator().calls_idle())
        .await
        .unwrap();
    assert!(caller.simulator().posts_by(caller.acme()).is_empty());
    assert_eq!(caller.tweet("ever").await.status, 201);
}

#[actix_web::test]
async fn a_text_is_found_behind_the_escapes_of_json() {
    let caller = Caller::new().await;
    let fault = on_posts(FaultKind::CreditsDepleted).with_text("say \"hi\"\nand");
    caller.simulator().order(fault);
    assert_eq!(caller.tweet("say \"hi\"\nand go").await.status, 402);
}
