//! Who may call.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use simulator::Permission;

use super::client::{APP, Answered, Caller};

#[actix_web::test]
async fn a_request_signed_by_a_foreign_library_is_let_in() {
    let caller = Caller::new().await;
    let me = caller
        .get("/2/users/me", &[("user.fields", "verified,name")])
        .await;
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!(me.body["data"]["username"], "acme");
    assert_eq!(me.body["data"]["id"], caller.acme().to_string());
    let odd = [("query", "from:acme \"50 % & more\" 日本")];
    assert_eq!(
        caller.get("/2/tweets/search/recent", &odd).await.status,
        200
    );
}

#[actix_web::test]
async fn a_wrong_signature_a_used_nonce_and_a_wrong_clock_are_told_apart() {
    let mut caller = Caller::new().await;
    let header = caller.signature("GET", "/2/users/me", &[]);
    let send = |header: String| {
        let request = caller.http.get(caller.url("/2/users/me"));
        async {
            Answered::of(
                request
                    .header("authorization", header)
                    .send()
                    .await
                    .unwrap(),
            )
            .await
        }
    };
    assert_eq!(send(header.clone()).await.status, 200);
    let again = send(header.clone()).await;
    assert_eq!(
        (again.status, &again.body["errors"][0]["code"]),
        (401, &json!(32))
    );
    let altered = send(header.replace("oauth_nonce=\"", "oauth_nonce=\"x")).await;
    assert_eq!(
        (altered.status, &altered.body["errors"][0]["code"]),
        (401, &json!(32))
    );
    let half = send("OAuth oauth_token=\"x\"".to_owned()).await;
    assert_eq!(
        (half.status, &half.body["errors"][0]["code"]),
        (400, &json!(215))
    );
    assert_eq!(
        send("Nonsense".to_owned()).await.body["title"],
        "Unauthorized"
    );

    let early = caller.signature("GET", "/2/users/me", &[]);
    caller.simulator().advance(Duration::from_secs(301));
    let request = caller.http.get(caller.url("/2/users/me"));
    let late = Answered::of(request.header("authorization", early).send().await.unwrap()).await;
    assert_eq!(
        (late.status, &late.body["errors"][0]["code"]),
        (401, &json!(135))
    );

    caller.keys.consumer_secret.push('x');
    assert_eq!(caller.get("/2/users/me", &[]).await.status, 401);
}

#[actix_web::test]
async fn a_revoked_token_is_dead_until_the_user_links_again() {
    let mut caller = Caller::new().await;
    caller.simulator().revoke(APP, caller.acme()).unwrap();
    let refused = caller.tweet("hello").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.body["errors"][0]["code"], 89);
    assert!(caller.simulator().credentials(APP, caller.acme()).is_err());
    let before = caller.keys.access_token.clone();
    caller.keys = caller.simulator().authorize(APP, caller.acme()).unwrap();
    assert_ne!(caller.keys.access_token, before);
    assert_eq!(caller.tweet("hello").await.status, 201);
}

#[actix_web::test]
async fn tokens_can_be_chosen_and_kept_to_reading() {
    let mut caller = Caller::new().await;
    let (acme, simulator) = (caller.acme(), caller.simulator().clone());
    simulator
        .set_access_token(APP, acme, "my-token", "my-secret")
        .unwrap();
    assert_eq!(caller.get("/2/users/me", &[]).await.status, 401);
    caller.keys = simulator.credentials(APP, acme).unwrap();
    assert_eq!(caller.keys.access_token, "my-token");
    assert_eq!(caller.get("/2/users/me", &[]).await.status, 200);
    simulator.set_permission(APP, acme, Permission::ReadWrite);
    assert_eq!(caller.tweet("hello").await.status, 201);
    let refused = caller.get("/2/dm_events", &[]).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.body["type"]
            .as_str()
            .unwrap()
            .ends_with("oauth1-permissions")
    );
}

#[actix_web::test]
async fn the_bearer_token_of_an_app_reads_and_does_nothing_else() {
    let caller = Caller::new().await;
    let post = caller.stage.post(caller.stage.ann, "hello");
    let form = caller
        .http
        .post(caller.url("/oauth2/token"))
        .basic_auth(
            &caller.keys.consumer_key,
            Some(&caller.keys.consumer_secret),
        )
        .form(&[("grant_type", "client_credentials")]);
    let given = Answered::of(form.send().await.unwrap()).await;
    let token = given.body["access_token"].as_str().unwrap();
    assert_eq!(token, caller.keys.bearer_token);
    assert_eq!(
        caller
            .bearer(&format!("/2/tweets/{post}"), &[], token)
            .await
            .status,
        200
    );
    for path in ["/2/users/me", "/2/dm_events"] {
        let refused = caller.bearer(path, &[], token).await;
        assert_eq!(refused.status, 403, "{path}");
        let kind = refused.body["type"].as_str().unwrap();
        assert!(kind.ends_with("unsupported-authentication"));
    }
    caller.simulator().renew_bearer(APP);
    assert_eq!(
        caller
            .bearer(&format!("/2/tweets/{post}"), &[], token)
            .await
            .status,
        401
    );
    let wrong = caller
        .http
        .post(caller.url("/oauth2/token"))
        .basic_auth("who", Some("knows"))
        .form(&[("grant_type", "client_credentials")]);
    let wrong = Answered::of(wrong.send().await.unwrap()).await;
    assert_eq!(
        (wrong.status, &wrong.body["errors"][0]["code"]),
        (403, &json!(99))
    );
}

async fn refresh(caller: &Caller, token: &str) -> Answered {
    let form = caller
        .http
        .post(caller.url("/2/oauth2/token"))
        .basic_auth(&caller.keys.client_id, Some(&caller.keys.client_secret))
        .form(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
    Answered::of(form.send().await.unwrap()).await
}

#[actix_web::test]
async fn a_refresh_token_works_once_and_its_access_token_two_hours() {
    let caller = Caller::new().await;
    let first = refresh(&caller, &caller.keys.refresh_token).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.body["expires_in"], 7200);
    let again = refresh(&caller, &caller.keys.refresh_token).await;
    assert_eq!(
        (again.status, &again.body["error"]),
        (400, &json!("invalid_request"))
    );

    let access = first.body["access_token"].as_str().unwrap();
    assert_eq!(
        caller.bearer("/2/users/me", &[], access).await.body["data"]["username"],
        "acme"
    );
    caller.simulator().advance(Duration::from_secs(7201));
    assert_eq!(caller.bearer("/2/users/me", &[], access).await.status, 401);

    let next = first.body["refresh_token"].as_str().unwrap();
    let newest = caller.simulator().credentials(APP, caller.acme()).unwrap();
    assert_eq!(newest.refresh_token, next);
    let second = refresh(&caller, next).await;
    let access = second.body["access_token"].as_str().unwrap();
    let revoke = caller
        .http
        .post(caller.url("/2/oauth2/revoke"))
        .basic_auth(&caller.keys.client_id, Some(&caller.keys.client_secret))
        .form(&[("token", access)]);
    assert_eq!(revoke.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(caller.bearer("/2/users/me", &[], access).await.status, 401);
}

#[actix_web::test]
async fn a_user_token_does_what_its_scopes_say() {
    let caller = Caller::new().await;
    let (acme, simulator) = (caller.acme(), caller.simulator());
    simulator.set_scopes(APP, acme, &["tweet.read", "users.read"]);
    let pair = refresh(&caller, &caller.keys.refresh_token).await;
    assert_eq!(pair.body["scope"], "tweet.read users.read");
    let access = pair.body["access_token"].as_str().unwrap();
    assert_eq!(caller.bearer("/2/users/me", &[], access).await.status, 200);
    let post = caller
        .http
        .post(caller.url("/2/tweets"))
        .bearer_auth(access)
        .json(&json!({ "text": "hello" }));
    assert_eq!(post.send().await.unwrap().status().as_u16(), 403);
    assert!(simulator.posts_by(acme).is_empty());
}

#[actix_web::test]
async fn invalidating_a_token_ends_the_access() {
    let caller = Caller::new().await;
    let request = caller.request(Method::POST, "/1.1/oauth/invalidate_token", &[]);
    let answer = Answered::of(request.send().await.unwrap()).await;
    assert_eq!(
        (answer.status, &answer.body["access_token"]),
        (200, &json!(caller.keys.access_token))
    );
    assert_eq!(
        caller.get("/2/users/me", &[]).await.body["errors"][0]["code"],
        89
    );
}
