//! Uploading, and using what was uploaded.

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::client::{APP, Answered, Caller};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x08rest";
const GIF: &[u8] = b"GIF89a\x40\x01\xf0\x00rest";
const MP4: &[u8] = b"\0\0\0\x18ftypmp42 and so on, and on, and on";

async fn upload(caller: &Caller, content: &'static [u8], category: &'static str) -> Answered {
    let form = Form::new()
        .part("media", Part::bytes(content).file_name("x"))
        .text("media_category", category);
    let request = caller.request(Method::POST, "/2/media/upload", &[]);
    Answered::of(request.multipart(form).send().await.unwrap()).await
}

fn id_of(answer: &Answered) -> String {
    answer.body["data"]["id"].as_str().unwrap().to_owned()
}

async fn tweet_with(caller: &Caller, ids: &[&str]) -> Answered {
    let text = format!("see {ids:?}");
    let body = json!({ "text": text, "media": { "media_ids": ids } });
    caller.post("/2/tweets", &body).await
}

#[actix_web::test]
async fn an_image_goes_up_at_once_and_into_a_post() {
    let caller = Caller::new().await;
    let up = upload(&caller, PNG, "tweet_image").await;
    assert_eq!(up.status, 200, "{up:?}");
    let id = id_of(&up);
    assert_eq!(up.body["data"]["media_key"], format!("3_{id}"));
    assert_eq!(up.body["data"]["size"], PNG.len());
    assert_eq!(up.body["data"]["expires_after_secs"], 86_400);
    assert!(up.body["data"].get("processing_info").is_none());
    let made = tweet_with(&caller, &[&id]).await;
    assert_eq!(made.status, 201, "{made:?}");
    let post = &caller.simulator().posts_by(caller.acme())[0];
    assert_eq!(post.media, [id.parse::<u64>().unwrap()]);
    assert_eq!(caller.simulator().uploaded(post.media[0]).unwrap(), PNG);
    let fields = [
        ("expansions", "attachments.media_keys"),
        ("media.fields", "width,height"),
    ];
    let read = caller
        .get(&format!("/2/tweets/{}", made.id()), &fields)
        .await;
    let expected =
        json!([{ "media_key": format!("3_{id}"), "type": "photo", "width": 16, "height": 8 }]);
    assert_eq!(read.body["includes"]["media"], expected);
}

async fn in_chunks(caller: &Caller, content: &'static [u8], category: &str) -> Answered {
    let kind = if category.ends_with("gif") {
        "image/gif"
    } else {
        "video/mp4"
    };
    let body =
        json!({ "total_bytes": content.len(), "media_type": kind, "media_category": category });
    let begun = caller.post("/2/media/upload/initialize", &body).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let id = id_of(&begun);
    for (index, chunk) in content.chunks(10).enumerate() {
        let form = Form::new()
            .text("segment_index", index.to_string())
            .part("media", Part::bytes(chunk).file_name("blob"));
        let path = format!("/2/media/upload/{id}/append");
        let request = caller.request(Method::POST, &path, &[]).multipart(form);
        let appended = Answered::of(request.send().await.unwrap()).await;
        assert_eq!(appended.status, 200, "{appended:?}");
    }
    let path = format!("/2/media/upload/{id}/finalize");
    let request = caller.request(Method::POST, &path, &[]);
    Answered::of(request.send().await.unwrap()).await
}

async fn look(caller: &Caller, id: &str) -> Value {
    let query = [("command", "STATUS"), ("media_id", id)];
    let status = caller.get("/2/media/upload", &query).await;
    assert_eq!(status.status, 200, "{status:?}");
    status.body["data"]["processing_info"]["state"].clone()
}

#[actix_web::test]
async fn a_video_goes_up_in_chunks_and_is_processed() {
    let caller = Caller::new().await;
    let up = in_chunks(&caller, MP4, "tweet_video").await;
    let id = id_of(&up);
    assert_eq!(up.body["data"]["processing_info"]["state"], "pending");
    assert_eq!(up.body["data"]["processing_info"]["check_after_secs"], 1);
    assert_eq!(tweet_with(&caller, &[&id]).await.status, 400);
    assert_eq!(look(&caller, &id).await, "in_progress");
    assert_eq!(look(&caller, &id).await, "succeeded");
    assert_eq!(tweet_with(&caller, &[&id]).await.status, 201);
    assert_eq!(
        caller.simulator().uploaded(id.parse().unwrap()).unwrap(),
        MP4
    );
}

#[actix_web::test]
async fn a_video_that_x_cannot_read_fails_while_it_is_processed() {
    let caller = Caller::new().await;
    let fails = simulator::Fault::new(simulator::FaultKind::ProcessingFails);
    caller
        .simulator()
        .order(fails.on(simulator::Endpoint::MediaFinalize));
    let id = id_of(&in_chunks(&caller, MP4, "tweet_video").await);
    assert_eq!(look(&caller, &id).await, "failed");
    assert_eq!(tweet_with(&caller, &[&id]).await.status, 400);
}

#[actix_web::test]
async fn what_hangs_on_a_post_follows_the_rules() {
    let caller = Caller::new().await;
    caller
        .simulator()
        .change_api(|settings| settings.processing_looks = 0);
    let mut photos = Vec::new();
    for _ in 0..5 {
        photos.push(id_of(&upload(&caller, PNG, "tweet_image").await));
    }
    let photos: Vec<&str> = photos.iter().map(String::as_str).collect();
    let gif = id_of(&upload(&caller, GIF, "tweet_gif").await);
    let for_message = id_of(&upload(&caller, PNG, "dm_image").await);
    assert_eq!(tweet_with(&caller, &photos).await.status, 400);
    assert_eq!(tweet_with(&caller, &photos[..4]).await.status, 201);
    assert_eq!(tweet_with(&caller, &[&gif, photos[0]]).await.status, 400);
    assert_eq!(tweet_with(&caller, &[&gif]).await.status, 201);
    let wrong = tweet_with(&caller, &[&for_message]).await;
    assert_eq!(
        wrong.body["errors"][0]["message"],
        "Your media IDs are invalid."
    );
    assert_eq!(tweet_with(&caller, &["17"]).await.status, 400);
    caller
        .simulator()
        .advance(Duration::from_secs(24 * 3600 + 1));
    assert_eq!(tweet_with(&caller, &photos[..1]).await.status, 400);
}

#[actix_web::test]
async fn a_message_takes_what_was_uploaded_for_messages() {
    let caller = Caller::new().await;
    let path = format!("/2/dm_conversations/with/{}/messages", caller.stage.ann);
    for (category, status) in [("dm_image", 201), ("tweet_image", 400)] {
        let id = id_of(&upload(&caller, PNG, category).await);
        let body = json!({ "attachments": [{ "media_id": id }] });
        assert_eq!(caller.post(&path, &body).await.status, status, "{category}");
    }
    assert!(
        caller.simulator().messages_of(caller.stage.ann)[0]
            .media
            .is_some()
    );
}

#[actix_web::test]
async fn what_is_uploaded_is_looked_at() {
    let caller = Caller::new().await;
    for (content, category) in [
        (&b"<html>not a picture</html>"[..], "tweet_image"),
        (MP4, "tweet_image"),
        (PNG, "tweet_gif"),
        (PNG, "tweet_video"),
        (PNG, "no_such_category"),
        (b"", "tweet_image"),
    ] {
        let refused = upload(&caller, content, category).await;
        assert_eq!(refused.status, 400, "{category} {content:?}");
    }
    let body = json!({ "total_bytes": 6 << 20, "media_type": "image/png", "media_category": "tweet_image" });
    assert_eq!(
        caller
            .post("/2/media/upload/initialize", &body)
            .await
            .status,
        400
    );
    let base64 =
        json!({ "media": "iVBORw0KGgoAAAANSUhEUgAAABAAAAAI", "media_category": "tweet_image" });
    assert_eq!(caller.post("/2/media/upload", &base64).await.status, 200);
}

#[actix_web::test]
async fn an_upload_that_misses_a_chunk_cannot_be_ended() {
    let caller = Caller::new().await;
    let body =
        json!({ "total_bytes": 20, "media_type": "video/mp4", "media_category": "tweet_video" });
    let id = id_of(&caller.post("/2/media/upload/initialize", &body).await);
    let path = format!("/2/media/upload/{id}/append");
    let chunk = json!({ "segment_index": 1, "media": "AAAAGGZ0eXBtcDQyAAAAAAAAAAA=" });
    assert_eq!(caller.post(&path, &chunk).await.status, 200);
    let path = format!("/2/media/upload/{id}/finalize");
    let ended = caller
        .request(Method::POST, &path, &[])
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status().as_u16(), 400);
}

#[actix_web::test]
async fn a_description_needs_oauth_2() {
    let caller = Caller::new().await;
    let id = id_of(&upload(&caller, PNG, "tweet_image").await);
    let body = json!({ "id": id, "metadata": { "alt_text": { "text": "a dog" } } });
    let refused = caller.post("/2/media/metadata", &body).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.body["type"]
            .as_str()
            .unwrap()
            .ends_with("unsupported-authentication")
    );
    let pair = caller
        .http
        .post(caller.url("/2/oauth2/token"))
        .basic_auth(&caller.keys.client_id, Some(&caller.keys.client_secret))
        .form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &*caller.keys.refresh_token),
        ]);
    let pair = Answered::of(pair.send().await.unwrap()).await;
    let described = caller
        .http
        .post(caller.url("/2/media/metadata"))
        .bearer_auth(pair.body["access_token"].as_str().unwrap())
        .json(&body);
    assert_eq!(described.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(tweet_with(&caller, &[&id]).await.status, 201);
    assert_eq!(
        caller.simulator().posts_by(caller.acme())[0].alt_texts,
        ["a dog"]
    );
}

#[actix_web::test]
async fn what_another_uploaded_cannot_be_used() {
    let mut caller = Caller::new().await;
    let theirs = id_of(&upload(&caller, PNG, "tweet_image").await);
    let bob = caller.stage.bob;
    caller.keys = caller.simulator().authorize(APP, bob).unwrap();
    assert_eq!(tweet_with(&caller, &[&theirs]).await.status, 400);
    let own = id_of(&upload(&caller, PNG, "tweet_image").await);
    assert_eq!(tweet_with(&caller, &[&own]).await.status, 201);
    assert_eq!(caller.simulator().posts_by(bob).len(), 1);
}
