//! In whose name, and by which credential.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::x::client::auth::oauth1::{Once, Signer};
use crate::x::client::testing::{Act, Bench, Recorded, pair};
use crate::x::client::{Auth, CallError, Detail, NewPost, NotSent, RefusalReason, Reply, Since};

fn own_user() -> Value {
    json!({"data": {"id": "2975699229"}})
}

fn tokens(number: u32) -> Value {
    json!({"token_type": "bearer", "expires_in": 7200, "access_token": format!("access-{number}"),
        "refresh_token": format!("refresh-{number}"), "scope": "tweet.read users.read"})
}

fn wrong_kind(problem: &str) -> Value {
    json!({"title": "Unsupported Authentication", "detail": "Authenticating with OAuth 1.0a User Context is forbidden for this endpoint.",
        "type": format!("https://api.twitter.com/2/problems/{problem}"), "status": 403})
}

async fn me(bench: &Bench) -> Reply<crate::x::client::Profile> {
    bench.client.me(bench.auth()).await
}

fn credentials(bench: &Bench) -> Vec<String> {
    let recorded = bench.x.recorded();
    let authorization = |it: &Recorded| it.header("authorization").to_owned();
    recorded.iter().map(authorization).collect()
}

/// What stands behind a name in an OAuth 1.0a header.
fn oauth<'h>(header: &'h str, name: &str) -> &'h str {
    let (_, value) = header.split_once(&format!("{name}=\"")).unwrap();
    value.split_once('"').unwrap().0
}

#[tokio::test]
async fn a_signature_covers_the_very_query_that_is_sent() {
    let bench = Bench::new([Act::ok(json!({"meta": {"result_count": 0}}))]).await;
    let query = "from:acme \"50 % off\" (+ü | ~*)";
    bench
        .client
        .search_recent(bench.auth(), query, Since::Beginning, 10, Detail::Whole)
        .await
        .result
        .unwrap();
    let request = bench.x.only();
    assert!(
        request
            .raw_query
            .contains("query=from%3Aacme%20%2250%20%25%20off%22%20%28%2B%C3%BC%20%7C%20~%2A%29")
    );
    let header = request.header("authorization");
    let signer = Signer {
        consumer_key: &bench.app.consumer_key,
        consumer_secret: &bench.app.consumer_secret,
        token: bench.account.access_token.as_ref(),
        more: &[],
    };
    let once = Once {
        nonce: oauth(header, "oauth_nonce").to_owned(),
        at: bench.now.lock().unwrap().to_owned(),
    };
    let parameters: Vec<_> = request
        .query
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let url = bench.x.url.join("/2/tweets/search/recent").unwrap();
    let again = signer.authorization(&reqwest::Method::GET, &url, &parameters, &once);
    assert_eq!(header, again.expose_secret());
}

#[tokio::test]
async fn each_request_has_its_own_nonce_and_the_time_of_the_clock() {
    let bench = Bench::new([Act::ok(own_user()), Act::ok(own_user())]).await;
    me(&bench).await.result.unwrap();
    bench.set_now("2026-09-01T12:00:01Z");
    me(&bench).await.result.unwrap();
    let headers = credentials(&bench);
    assert_ne!(
        oauth(&headers[0], "oauth_nonce"),
        oauth(&headers[1], "oauth_nonce")
    );
    let times = headers
        .iter()
        .map(|header| oauth(header, "oauth_timestamp"));
    assert_eq!(times.collect::<Vec<_>>(), ["1788264000", "1788264001"]);
}

#[tokio::test]
async fn a_kind_of_credential_that_x_refuses_gives_way_to_the_other_once() {
    for problem in ["unsupported-authentication", "oauth1-permissions"] {
        let bench = Bench::new([Act::status(403, wrong_kind(problem)), Act::ok(own_user())]).await;
        bench.store_pair();
        me(&bench).await.result.unwrap();
        let used = credentials(&bench);
        assert!(used[0].starts_with("OAuth "));
        assert_eq!(used[1..], ["Bearer access-1"]);
    }
}

#[tokio::test]
async fn where_both_kinds_are_refused_or_only_one_is_there_permission_is_missing() {
    let refusal = Act::status(403, wrong_kind("oauth1-permissions"));
    let both = Bench::new([refusal.clone(), refusal.clone()]).await;
    both.store_pair();
    let mut one = Bench::new([refusal]).await;
    one.account.oauth2_refresh_token = None;
    for (bench, asked) in [(&both, 2), (&one, 1)] {
        match me(bench).await.result.unwrap_err() {
            CallError::Refused(refusal) => {
                assert_eq!(refusal.reason, RefusalReason::PermissionMissing)
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.x.recorded().len(), asked);
    }
}

#[tokio::test]
async fn other_refusals_are_not_asked_again_in_another_context() {
    let bench = Bench::new([Act::status(
        403,
        json!({"title": "Forbidden", "detail": "no"}),
    )])
    .await;
    bench.store_pair();
    assert!(me(&bench).await.result.is_err());
    assert_eq!(bench.x.recorded().len(), 1);
}

#[tokio::test]
async fn alt_text_goes_by_oauth_2_only() {
    let bench = Bench::new([Act::ok(json!({"data": {"id": "31"}}))]).await;
    bench.store_pair();
    let media = "31".parse().unwrap();
    bench
        .client
        .describe_media(bench.auth(), media, "A cat")
        .await
        .result
        .unwrap();
    assert_eq!(credentials(&bench), ["Bearer access-1"]);
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent() {
    let mut bench = Bench::new([]).await;
    bench.account.access_token = None;
    bench.account.oauth2_refresh_token = None;
    let error = me(&bench).await.result.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NotSent {
                reason: NotSent::NoCredential(_)
            }
        ),
        "{error:?}"
    );
    let app = Auth::App(&bench.app);
    let error = bench
        .client
        .create_post(app, &NewPost::default())
        .await
        .result
        .unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NotSent {
                reason: NotSent::NoCredential(_)
            }
        ),
        "{error:?}"
    );
    assert!(bench.x.recorded().is_empty());
}

#[tokio::test]
async fn the_seed_gets_the_first_pair_which_is_stored_before_it_is_used() {
    let mut bench =
        Bench::new([Act::ok(tokens(1)), Act::ok(own_user()), Act::ok(own_user())]).await;
    bench.account.access_token = None;
    me(&bench).await.result.unwrap();
    me(&bench).await.result.unwrap();
    let recorded = bench.x.recorded();
    let lines: Vec<_> = recorded.iter().map(Recorded::line).collect();
    assert_eq!(
        lines,
        ["POST /2/oauth2/token", "GET /2/users/me", "GET /2/users/me"]
    );
    // client-id:client-secret
    assert_eq!(
        recorded[0].header("authorization"),
        "Basic Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQ="
    );
    assert_eq!(
        recorded[0].body,
        b"grant_type=refresh_token&refresh_token=seed-refresh"
    );
    assert_eq!(recorded[1].header("authorization"), "Bearer access-1");
    assert_eq!(*bench.vault.saved.lock().unwrap(), ["refresh-1"]);
}

#[tokio::test]
async fn a_public_client_names_itself_in_the_form() {
    let mut bench = Bench::new([Act::ok(tokens(1)), Act::ok(own_user())]).await;
    bench.account.access_token = None;
    bench.app.client_secret = None;
    me(&bench).await.result.unwrap();
    let asked = bench.x.recorded()[0].clone();
    assert_eq!(asked.header("authorization"), "");
    assert_eq!(
        asked.body,
        b"grant_type=refresh_token&refresh_token=seed-refresh&client_id=client-id"
    );
}

#[tokio::test]
async fn many_calls_at_once_refresh_once() {
    let script = std::iter::once(Act::ok(tokens(2))).chain(vec![Act::ok(own_user()); 20]);
    let mut bench = Bench::new(script).await;
    bench.use_oauth2();
    bench.set_now("2026-09-01T13:59:30Z");
    for reply in join_all((0..20).map(|_| me(&bench))).await {
        reply.result.unwrap();
    }
    let used = credentials(&bench);
    assert_eq!(used.iter().filter(|it| it.starts_with("Basic")).count(), 1);
    assert_eq!(
        used.iter().filter(|it| *it == "Bearer access-2").count(),
        20
    );
    assert_eq!(*bench.vault.saved.lock().unwrap(), ["refresh-2"]);
}

#[tokio::test]
async fn a_pair_that_cannot_be_stored_is_not_used_until_it_is() {
    let mut bench = Bench::new([Act::ok(tokens(1)), Act::ok(own_user())]).await;
    bench.account.access_token = None;
    *bench.vault.is_broken.lock().unwrap() = true;
    for _ in 0..2 {
        let error = me(&bench).await.result.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::NotSent {
                    reason: NotSent::TokenVault(_)
                }
            ),
            "{error:?}"
        );
    }
    assert_eq!(bench.x.recorded().len(), 1, "used, or refreshed again");
    *bench.vault.is_broken.lock().unwrap() = false;
    me(&bench).await.result.unwrap();
    assert_eq!(credentials(&bench)[1..], ["Bearer access-1"]);
}

#[tokio::test]
async fn a_lost_answer_of_a_refresh_is_told_apart() {
    for lost in [
        Act::Raw(Vec::new()),
        Act::ResetRead,
        Act::status(500, ""),
        Act::ok("<html>"),
        Act::ok("{}"),
    ] {
        let mut bench = Bench::new([lost.clone()]).await;
        bench.account.access_token = None;
        let error = me(&bench).await.result.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::NotSent {
                    reason: NotSent::RefreshLost(_)
                }
            ),
            "{lost:?}: {error:?}"
        );
    }
    let mut bench = Bench::new([Act::status(503, "")]).await;
    bench.account.access_token = None;
    let error = me(&bench).await.result.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::NotSent {
                reason: NotSent::TokenUnavailable(_)
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refused_refresh_token_gives_way_to_the_seed_and_then_to_linking_again() {
    let refusal = Act::status(
        400,
        json!({"error": "invalid_request", "error_description": "Value passed for the token was invalid."}),
    );
    let mut bench = Bench::new([refusal.clone(), Act::ok(tokens(3)), Act::ok(own_user())]).await;
    bench.use_oauth2();
    bench.set_now("2026-09-02T12:00:00Z");
    me(&bench).await.result.unwrap();
    let bodies: Vec<_> = bench
        .x
        .recorded()
        .into_iter()
        .map(|it| String::from_utf8(it.body).unwrap())
        .collect();
    assert!(
        bodies[0].ends_with("=refresh-1") && bodies[1].ends_with("=seed-refresh"),
        "{bodies:?}"
    );

    let mut bench = Bench::new([refusal]).await;
    bench.account.access_token = None;
    match me(&bench).await.result.unwrap_err() {
        CallError::Unauthorized {
            upstream,
            revoked_for_sure,
        } => {
            assert_eq!(upstream.detail, "Value passed for the token was invalid.");
            assert!(revoked_for_sure);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_access_token_that_x_does_not_take_is_replaced_for_the_next_call() {
    let refusal = Act::status(401, json!({"title": "Unauthorized", "status": 401}));
    let mut bench = Bench::new([refusal, Act::ok(tokens(2)), Act::ok(own_user())]).await;
    bench.use_oauth2();
    let error = me(&bench).await.result.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized { .. }), "{error:?}");
    me(&bench).await.result.unwrap();
    let used = credentials(&bench);
    assert_eq!(
        (&*used[0], &*used[2]),
        ("Bearer access-1", "Bearer access-2")
    );
}

#[tokio::test]
async fn a_refresh_goes_on_though_nobody_waits_for_it() {
    let mut bench = Bench::new([Act::ok(tokens(1)), Act::ok(own_user())]).await;
    bench.account.access_token = None;
    {
        let call = me(&bench);
        futures_util::pin_mut!(call);
        // As far as its first wait, which is for the refresh, and no further.
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    bench.tasks.close();
    bench.tasks.wait().await;
    assert_eq!(*bench.vault.saved.lock().unwrap(), ["refresh-1"]);
    me(&bench).await.result.unwrap();
    assert_eq!(credentials(&bench)[1..], ["Bearer access-1"]);
}

#[tokio::test]
async fn a_new_linking_is_found_in_the_vault() {
    let mut bench = Bench::new([Act::ok(own_user()), Act::ok(own_user())]).await;
    bench.use_oauth2();
    me(&bench).await.result.unwrap();
    let linked = pair("access-9", "refresh-9", "2026-09-01T14:00:00Z");
    bench.vault.put(bench.account.id, linked);
    bench.client.forget_tokens(bench.account.id).await;
    me(&bench).await.result.unwrap();
    assert_eq!(credentials(&bench), ["Bearer access-1", "Bearer access-9"]);
}

#[tokio::test]
async fn an_apps_bearer_is_obtained_once_and_again_when_x_does_not_take_it() {
    let token = |name: &str| Act::ok(json!({"token_type": "bearer", "access_token": name}));
    let users = || Act::ok(json!({"data": [{"id": "7"}]}));
    let refusal = Act::status(401, json!({"title": "Unauthorized"}));
    let bench = Bench::new([token("B1"), users(), users(), refusal, token("B2"), users()]).await;
    let ids = ["7".parse().unwrap()];
    let mut went_well = Vec::new();
    for _ in 0..4 {
        let reply = bench.client.users(Auth::App(&bench.app), &ids).await;
        went_well.push(reply.result.is_ok());
    }
    assert_eq!(went_well, [true, true, false, true]);
    let asked = bench.x.recorded();
    assert_eq!(
        (&*asked[0].path, &*asked[0].body),
        ("/oauth2/token", &b"grant_type=client_credentials"[..])
    );
    // the-key:consumer-secret
    assert_eq!(
        asked[0].header("authorization"),
        "Basic dGhlLWtleTpjb25zdW1lci1zZWNyZXQ="
    );
    let used = credentials(&bench);
    assert_eq!(
        [1, 2, 3, 5].map(|at: usize| &*used[at]),
        ["Bearer B1", "Bearer B1", "Bearer B1", "Bearer B2"]
    );
    assert!(
        !asked[1]
            .parameter("user.fields")
            .contains("receives_your_dm")
    );
}

#[tokio::test]
async fn a_configured_bearer_is_used_as_it_is() {
    let mut bench = Bench::new([Act::ok(json!({"data": [{"id": "7"}]}))]).await;
    bench.app.bearer_token = Some("configured".into());
    let ids = ["7".parse().unwrap()];
    bench
        .client
        .users(Auth::App(&bench.app), &ids)
        .await
        .result
        .unwrap();
    assert_eq!(credentials(&bench), ["Bearer configured"]);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let bench = Bench::with_timeout(
        [Act::ok(tokens(1)), Act::Raw(Vec::new()), Act::Silent],
        Duration::from_millis(300),
    )
    .await;
    let mut shown = format!(
        "{:?} {:?} {:?}",
        bench.client,
        bench.auth(),
        Arc::clone(&bench.client)
    );
    let mut oauth2 = bench.account.clone();
    oauth2.access_token = None;
    for account in [&oauth2, &bench.account] {
        let auth = Auth::Account {
            app: &bench.app,
            account,
        };
        let reply = bench.client.create_post(auth, &NewPost::default()).await;
        shown += &format!("{reply:?} {}", reply.result.as_ref().unwrap_err());
    }
    for secret in [
        "consumer-secret",
        "token-secret",
        "the-token",
        "client-secret",
        "seed-refresh",
        "access-1",
        "refresh-1",
        "oauth_signature",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
