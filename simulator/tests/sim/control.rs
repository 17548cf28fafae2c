//! The control API, the page and the pictures.

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use simulator::{Disturbances, Form, MediaBase, Settings};

use crate::stage::Stage;

async fn stage() -> Stage {
    let settings = Settings {
        media_base: MediaBase::Simulator,
        ..Settings::default()
    };
    Stage::new(settings, Form::AccountActivity, |app| app).await
}

/// reqwest needs a TLS provider to be told of, even for http.
fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

async fn control(stage: &Stage, action: &str, request: Value) -> Response {
    let url = format!("{}/control/{action}", stage.simulator.url());
    client().post(url).json(&request).send().await.unwrap()
}

async fn page(stage: &Stage) -> String {
    let response = client().get(stage.simulator.url()).send().await.unwrap();
    response.text().await.unwrap()
}

#[actix_web::test]
async fn a_conversation_can_be_driven_by_json() {
    let stage = stage().await;
    let mention = json!({ "from": "ann", "to": "acme", "text": "my printer burns" });
    let made: Value = control(&stage, "mention", mention)
        .await
        .json()
        .await
        .unwrap();
    let answer = json!({ "from": "acme", "to": "ann", "text": "Oh no" });
    control(&stage, "reply", answer)
        .await
        .error_for_status()
        .unwrap();
    let message = json!({ "from": "@ann", "to": "2975699229", "text": "see", "photo": true });
    control(&stage, "direct_message", message)
        .await
        .error_for_status()
        .unwrap();
    let crc = control(&stage, "crc", json!({ "app": "acme-app" })).await;
    assert_eq!(crc.status(), StatusCode::OK);
    let bodies = stage.delivered().await;
    assert_eq!(
        bodies[0]["tweet_create_events"][0]["text"],
        "@acme my printer burns"
    );
    assert_eq!(
        bodies[1]["tweet_create_events"][0]["in_reply_to_status_id_str"],
        made["id"]
    );

    let url = format!("{}/control/deliveries?after=1", stage.simulator.url());
    let listed: Vec<Value> = client()
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        listed[0]["attempts"][0]["result"],
        json!({ "answered": 200 })
    );
    assert_eq!(listed[0]["form"], "account_activity");
}

#[actix_web::test]
async fn the_photo_of_a_message_is_for_those_who_wrote_and_got_it() {
    let stage = stage().await;
    let message = json!({ "from": "ann", "to": "acme", "text": "see", "photo": true });
    control(&stage, "direct_message", message)
        .await
        .error_for_status()
        .unwrap();
    let bodies = stage.delivered().await;
    let data = &bodies[0]["direct_message_events"][0]["message_create"]["message_data"];
    let url = data["attachment"]["media"]["media_url_https"]
        .as_str()
        .unwrap();
    let photo = client().get(url).send().await.unwrap();
    assert_eq!(photo.status(), StatusCode::UNAUTHORIZED);
}

#[actix_web::test]
async fn wrong_wishes_are_named() {
    let stage = stage().await;
    for (action, request, status) in [
        (
            "mention",
            json!({ "from": "nobody", "to": "acme" }),
            StatusCode::NOT_FOUND,
        ),
        ("mention", json!({ "to": "acme" }), StatusCode::BAD_REQUEST),
        (
            "reply",
            json!({ "from": "ann", "to": "bob" }),
            StatusCode::NOT_FOUND,
        ),
        (
            "like",
            json!({ "from": "ann", "post": "x" }),
            StatusCode::BAD_REQUEST,
        ),
        ("no_such_action", json!({}), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(
            control(&stage, action, request).await.status(),
            status,
            "{action}"
        );
    }
}

#[actix_web::test]
async fn disturbances_can_be_set() {
    let stage = stage().await;
    let response = control(&stage, "disturbances", json!({ "copies": 1 })).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    stage.post(stage.ann, "@acme hi");
    assert_eq!(stage.delivered().await.len(), 2);
    stage.simulator.disturb(Disturbances::default());
}

#[actix_web::test]
async fn the_page_shows_what_happened_and_escapes_it() {
    let stage = stage().await;
    let form = [
        ("from", "ann"),
        ("to", "acme"),
        ("text", "<b>bold</b>"),
        ("photo", "on"),
    ];
    let url = format!("{}/actions/mention", stage.simulator.url());
    let body = form
        .map(|(key, value)| format!("{key}={}", value.replace('<', "%3C")))
        .join("&");
    let response = client()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    stage.settled().await;
    let page = page(&stage).await;
    assert!(page.contains("@acme &lt;b&gt;bold&lt;/b&gt;"));
    assert!(!page.contains("<b>"));
    for expected in [
        "Customer mentions us",
        "CRC check",
        "revoke as @acme",
        "Delivered",
        "200 (",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}
