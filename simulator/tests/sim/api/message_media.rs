//! The files of direct messages.

use reqwest::{Method, Response};
use serde_json::Value;
use simulator::{Form, MediaBase, MessageId, NewMessage, Settings};

use super::client::{APP, Caller};

const CONTENT: &[u8] = b"\xff\xd8\xff 0123456789";

struct Scene {
    caller: Caller,
    message: MessageId,
    /// The path of `media_url_https`.
    path: String,
}

impl Scene {
    async fn new() -> Self {
        let caller = Caller::with(Settings {
            media_base: MediaBase::Simulator,
            ..Settings::default()
        })
        .await;
        let stage = &caller.stage;
        let message = NewMessage::between(stage.ann, stage.acme, "see");
        let message = caller
            .simulator()
            .direct_message_with(message, "image/jpeg", CONTENT)
            .unwrap();
        let form = Form::AccountActivity;
        let bodies = caller
            .simulator()
            .bodies_of_message(message, APP, stage.acme, form)
            .unwrap();
        let body: Value = serde_json::from_slice(&bodies[0].body).unwrap();
        let url = body
            .pointer("/direct_message_events/0/message_create/message_data/attachment/media/media_url_https")
            .unwrap();
        let path = url.as_str().unwrap().strip_prefix(caller.simulator().url());
        Self {
            path: path.unwrap().to_owned(),
            message,
            caller,
        }
    }

    async fn fetch(&self, range: Option<&str>) -> Response {
        let mut request = self.caller.request(Method::GET, &self.path, &[]);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        request.send().await.unwrap()
    }

    fn v2_path(&self) -> String {
        let names = self.path.strip_prefix("/1.1/ton/data/dm/").unwrap();
        format!("/2/dm_conversations/media/{names}")
    }

    async fn with_token(&self, path: &str, token: &str) -> Response {
        let request = self.caller.http.get(self.caller.url(path));
        request.bearer_auth(token).send().await.unwrap()
    }
}

#[actix_web::test]
async fn a_file_needs_the_signature_of_a_participant() {
    let scene = Scene::new().await;
    let fetched = scene.fetch(None).await;
    assert_eq!(fetched.status(), 200);
    assert_eq!(fetched.headers()["content-type"], "image/jpeg");
    assert_eq!(fetched.bytes().await.unwrap(), CONTENT);
    let bare = reqwest::get(scene.caller.url(&scene.path)).await.unwrap();
    assert_eq!(bare.status(), 401);
    let bearer = &scene.caller.keys.bearer_token;
    assert_eq!(scene.with_token(&scene.path, bearer).await.status(), 403);
    let mut scene = scene;
    let bob = scene.caller.stage.bob;
    scene.caller.keys = scene.caller.simulator().authorize(APP, bob).unwrap();
    assert_eq!(scene.fetch(None).await.status(), 403, "no participant");
}

#[actix_web::test]
async fn a_part_of_a_file_can_be_had() {
    let scene = Scene::new().await;
    let part = scene.fetch(Some("bytes=4-6")).await;
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 4-6/14");
    assert_eq!(part.bytes().await.unwrap(), &CONTENT[4..=6]);
    let beyond = scene.fetch(Some("bytes=100-")).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()["content-range"], "bytes */14");
}

#[actix_web::test]
async fn oauth_2_has_a_way_of_its_own() {
    let scene = Scene::new().await;
    let token = refreshed(&scene).await;
    let fetched = scene.with_token(&scene.v2_path(), &token).await;
    assert_eq!(fetched.status(), 200);
    assert_eq!(
        fetched.headers()["content-type"],
        "application/octet-stream"
    );
    assert_eq!(fetched.bytes().await.unwrap(), CONTENT);
    assert_eq!(scene.with_token(&scene.path, &token).await.status(), 403);
    let signed = scene.caller.get(&scene.v2_path(), &[]).await;
    assert_eq!(signed.status, 403, "OAuth 1.0a has the other");
}

async fn refreshed(scene: &Scene) -> String {
    let keys = &scene.caller.keys;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*keys.refresh_token),
    ];
    let answer = scene
        .caller
        .http
        .post(scene.caller.url("/2/oauth2/token"))
        .basic_auth(&*keys.client_id, Some(&*keys.client_secret))
        .form(&form)
        .send()
        .await
        .unwrap();
    let tokens: Value = answer.json().await.unwrap();
    tokens["access_token"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_file_is_gone_with_its_message() {
    let scene = Scene::new().await;
    let wrong = scene.path.replace(".png", "7.png");
    assert_eq!(scene.caller.get(&wrong, &[]).await.status, 404);
    let simulator = scene.caller.simulator();
    simulator.delete_message_silently(scene.message).unwrap();
    assert_eq!(scene.fetch(None).await.status(), 404);
    let token = refreshed(&scene).await;
    assert_eq!(
        scene.with_token(&scene.v2_path(), &token).await.status(),
        404
    );
    let listed = scene.caller.get("/2/dm_events", &[]).await;
    assert_eq!(listed.body["meta"]["result_count"], 0);
}

#[actix_web::test]
async fn lists_name_the_file_of_the_message() {
    let scene = Scene::new().await;
    let query = [
        ("expansions", "attachments.media_keys"),
        ("media.fields", "url"),
    ];
    let listed = scene.caller.get("/2/dm_events", &query).await;
    let url = listed.body["includes"]["media"][0]["url"].as_str().unwrap();
    assert_eq!(url, scene.caller.url(&scene.path));
}
