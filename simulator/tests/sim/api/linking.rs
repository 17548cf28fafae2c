//! How a user lets an app in: both OAuths, at the page and past it.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Client, Method, Response, Url};
use serde_json::json;
use simulator::{ConsentError, Decision, NewApp, Permission};

use super::client::Answered;
use super::desk::{BACK, DESK, Desk, With, code};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn fields(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn query(address: &str) -> HashMap<String, String> {
    fields(Url::parse(address).unwrap().query().unwrap_or_default())
}

async fn requested(desk: &Desk, callback: &str) -> Response {
    let with = With {
        callback: Some(callback),
        ..With::default()
    };
    let request = desk.signed(Method::POST, "/oauth/request_token", &[], with);
    request.send().await.unwrap()
}

async fn request_token(desk: &Desk, callback: &str) -> HashMap<String, String> {
    let answer = requested(desk, callback).await;
    assert_eq!(answer.status(), 200);
    fields(&answer.text().await.unwrap())
}

async fn exchange(
    desk: &Desk,
    request: &HashMap<String, String>,
    verifier: &str,
) -> (u16, HashMap<String, String>) {
    let with = With {
        token: Some((&request["oauth_token"], &request["oauth_token_secret"])),
        verifier: Some(verifier),
        ..With::default()
    };
    let call = desk.signed(Method::POST, "/oauth/access_token", &[], with);
    let answer = call.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, fields(&answer.text().await.unwrap()))
}

fn page(desk: &Desk, path: &str, request: &HashMap<String, String>) -> String {
    desk.url(&format!("{path}?oauth_token={}", request["oauth_token"]))
}

/// Follows no redirect, as we want to see where it leads.
fn browser() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

#[actix_web::test]
async fn three_legs_lead_to_a_token_of_the_level_that_the_app_had() {
    let desk = Desk::with(|app| NewApp {
        permission: Permission::ReadWrite,
        ..app
    })
    .await;
    let request = request_token(&desk, BACK).await;
    assert_eq!(request["oauth_callback_confirmed"], "true");
    let page = page(&desk, "/oauth/authorize", &request);
    let back = desk.simulator.consent(&page, desk.acme, Decision::Allow);
    let back = back.unwrap();
    assert!(back.starts_with(BACK));
    let told = query(&back);
    assert_eq!(told["oauth_token"], request["oauth_token"]);
    assert_eq!(exchange(&desk, &request, "wrong").await.0, 401);
    let (status, user) = exchange(&desk, &request, &told["oauth_verifier"]).await;
    assert_eq!(status, 200);
    assert_eq!(user["user_id"], desk.acme.to_string());
    assert_eq!(user["screen_name"], "acme");
    let (again, _) = exchange(&desk, &request, &told["oauth_verifier"]).await;
    assert_eq!(again, 401, "a request token is good once");

    desk.simulator
        .set_app_permission(DESK, Permission::ReadWriteMessages)
        .unwrap();
    let with = With {
        token: Some((&user["oauth_token"], &user["oauth_token_secret"])),
        ..With::default()
    };
    let me = desk.signed(Method::GET, "/2/users/me", &[], with);
    let me = Answered::of(me.send().await.unwrap()).await;
    assert_eq!(me.body["data"]["username"], "acme");
    assert_eq!(me.header("x-access-level"), Some("read-write"));
    let messages = desk.signed(Method::GET, "/2/dm_events", &[], with);
    let refused = Answered::of(messages.send().await.unwrap()).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("x-access-level"), Some("read-write"));

    let request = request_token(&desk, BACK).await;
    let page = self::page(&desk, "/oauth/authorize", &request);
    let back = desk.simulator.consent(&page, desk.acme, Decision::Allow);
    let verifier = query(&back.unwrap())["oauth_verifier"].clone();
    let (_, renewed) = exchange(&desk, &request, &verifier).await;
    assert_ne!(renewed["oauth_token"], user["oauth_token"]);
    let levels: Vec<_> = desk.simulator.tokens_of(DESK);
    let levels: Vec<_> = levels.iter().map(|token| token.permission).collect();
    let both = [
        Some(Permission::ReadWrite),
        Some(Permission::ReadWriteMessages),
    ];
    assert_eq!(levels, both);
}

#[actix_web::test]
async fn a_callback_that_is_not_registered_byte_for_byte_is_refused() {
    let desk = Desk::new().await;
    for callback in [&format!("{BACK}/"), "https://other.example/", ""] {
        let refused = Answered::of(requested(&desk, callback).await).await;
        assert_eq!((refused.status, code(&refused)), (403, 415), "{callback}");
    }
    let many: Vec<String> = (0..11)
        .map(|n| format!("https://desk.example/{n}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let app = NewApp::new("many", "secret", "").with_callbacks(&many);
    assert!(desk.simulator.add_app(app).is_err());
}

#[actix_web::test]
async fn without_a_callback_the_user_carries_a_number() {
    let desk = Desk::new().await;
    let request = request_token(&desk, "oob").await;
    let page = page(&desk, "/oauth/authorize", &request);
    let pin = desk.simulator.consent(&page, desk.acme, Decision::Allow);
    let pin = pin.unwrap();
    assert!(pin.len() == 7 && pin.chars().all(|digit| digit.is_ascii_digit()));
    assert_eq!(exchange(&desk, &request, &pin).await.0, 200);
}

#[actix_web::test]
async fn wrong_keys_a_wrong_clock_and_a_suspended_app_get_no_request_token() {
    let desk = Desk::new().await;
    let with = With {
        callback: Some(BACK),
        ..With::default()
    };
    let early = desk.signed(Method::POST, "/oauth/request_token", &[], with);
    desk.simulator.advance(Duration::from_secs(301));
    let late = Answered::of(early.send().await.unwrap()).await;
    assert_eq!((late.status, code(&late)), (401, 135));
    assert_eq!(late.headers.get_all("date").iter().count(), 1);
    let date = late.header("date").unwrap();
    let now = desk.simulator.now().strftime("%a, %d %b %Y").to_string();
    assert!(date.starts_with(&now), "{date} is not the simulator's");
    desk.simulator.rotate_secret(DESK, "another").unwrap();
    let wrong = Answered::of(requested(&desk, BACK).await).await;
    assert_eq!((wrong.status, code(&wrong)), (401, 32));
    desk.simulator.suspend_app(DESK, true).unwrap();
    let closed = Answered::of(requested(&desk, BACK).await).await;
    assert_eq!((closed.status, code(&closed)), (401, 416));
    let bearer = desk.bearer(Method::GET, "/2/webhooks", None).await;
    assert_eq!((bearer.status, code(&bearer)), (401, 416));
    desk.simulator.suspend_app(DESK, false).unwrap();
    let open = desk.bearer(Method::GET, "/2/webhooks", None).await;
    assert_eq!(open.status, 200);
}

#[actix_web::test]
async fn the_page_names_app_and_powers_and_sends_the_user_back() {
    let desk = Desk::new().await;
    let browser = browser();
    let request = request_token(&desk, BACK).await;
    let address = format!(
        "{}&screen_name=ann&force_login=true",
        page(&desk, "/oauth/authorize", &request)
    );
    let shown = browser.get(&address).send().await.unwrap().text().await;
    let shown = shown.unwrap();
    for expected in [
        "Authorize desk to access your account?",
        "direct messages",
        &format!("<option value={} selected>@ann</option>", desk.ann),
        "Authorize app",
        "Cancel",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let form = [
        ("user", desk.ann.to_string()),
        ("decision", "deny".to_owned()),
    ];
    let back = browser.post(&address).form(&form).send().await.unwrap();
    assert_eq!(back.status(), 302);
    let location = back.headers()["location"].to_str().unwrap();
    assert_eq!(
        location,
        format!("{BACK}?denied={}", request["oauth_token"])
    );
    let gone = browser.get(&address).send().await.unwrap();
    assert_eq!(gone.status(), 403, "a refused request token is dead");
}

#[actix_web::test]
async fn who_has_let_the_app_in_passes_silently_at_authenticate() {
    let desk = Desk::new().await;
    let browser = browser();
    let request = request_token(&desk, BACK).await;
    let address = page(&desk, "/oauth/authenticate", &request);
    let form = [
        ("user", desk.acme.to_string()),
        ("decision", "allow".to_owned()),
    ];
    let back = browser.post(&address).form(&form).send().await.unwrap();
    let cookie = back.headers()["set-cookie"].to_str().unwrap().to_owned();
    let verifier = query(back.headers()["location"].to_str().unwrap())["oauth_verifier"].clone();
    assert_eq!(exchange(&desk, &request, &verifier).await.0, 200);

    let visit = async |more: &str| {
        let request = request_token(&desk, BACK).await;
        let address = format!("{}{more}", page(&desk, "/oauth/authenticate", &request));
        let visit = browser.get(&address).header("cookie", &cookie);
        visit.send().await.unwrap().status().as_u16()
    };
    assert_eq!(visit("").await, 302);
    assert_eq!(visit("&force_login=true").await, 200);
    desk.simulator.revoke(DESK, desk.acme).unwrap();
    assert_eq!(visit("").await, 200);
}

fn authorize_page(desk: &Desk, changes: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", "desk-client"),
        ("redirect_uri", BACK),
        ("scope", "tweet.read users.read dm.read offline.access"),
        ("state", "the state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (key, value) in changes {
        fields.retain(|(known, _)| known != key);
        fields.push((key, value));
    }
    let mut page = Url::parse(&desk.url("/i/oauth2/authorize")).unwrap();
    page.query_pairs_mut().extend_pairs(fields);
    page.into()
}

fn agreed(desk: &Desk) -> String {
    let page = authorize_page(desk, &[]);
    let back = desk.simulator.consent(&page, desk.acme, Decision::Allow);
    query(&back.unwrap())["code"].clone()
}

async fn redeem(desk: &Desk, code: &str, redirect_uri: &str, verifier: &str) -> Answered {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    let call = desk.http.post(desk.url("/2/oauth2/token"));
    let call = call.basic_auth("desk-client", Some("desk-client-secret"));
    Answered::of(call.form(&form).send().await.unwrap()).await
}

#[actix_web::test]
async fn a_code_becomes_a_pair_that_is_good_for_what_was_agreed() {
    let desk = Desk::new().await;
    let page = authorize_page(&desk, &[]);
    let shown = browser().get(&page).send().await.unwrap();
    let shown = shown.text().await.unwrap();
    assert!(shown.contains("<li>dm.read</li>"), "{shown}");
    let back = desk.simulator.consent(&page, desk.acme, Decision::Allow);
    let told = query(&back.unwrap());
    assert_eq!(told["state"], "the state");
    let pair = redeem(&desk, &told["code"], BACK, VERIFIER).await;
    assert_eq!(pair.status, 200, "{pair:?}");
    assert_eq!(
        pair.body["scope"],
        "tweet.read users.read dm.read offline.access"
    );
    assert!(pair.body["refresh_token"].is_string());
    let access = pair.body["access_token"].as_str().unwrap();
    let me = desk
        .by_token(access, Method::GET, "/2/users/me", None)
        .await;
    assert_eq!(me.body["data"]["username"], "acme");
    let body = Some(json!({ "text": "hello" }));
    let post = desk.by_token(access, Method::POST, "/2/tweets", body).await;
    assert_eq!(post.status, 403);
    let again = redeem(&desk, &told["code"], BACK, VERIFIER).await;
    assert_eq!(again.status, 400, "a code is good once");
}

#[actix_web::test]
async fn a_code_lives_30_seconds_and_needs_its_address_and_verifier() {
    let desk = Desk::new().await;
    let code = agreed(&desk);
    desk.simulator.advance(Duration::from_secs(30));
    let late = redeem(&desk, &code, BACK, VERIFIER).await;
    assert_eq!(
        (late.status, &late.body["error"]),
        (400, &json!("invalid_request"))
    );
    let elsewhere = redeem(&desk, &agreed(&desk), "https://other.example", VERIFIER).await;
    assert_eq!(elsewhere.status, 400);
    let unproven = redeem(&desk, &agreed(&desk), BACK, "another").await;
    assert_eq!(unproven.status, 400);
    let good = redeem(&desk, &agreed(&desk), BACK, VERIFIER).await;
    assert_eq!(good.status, 200);
}

#[actix_web::test]
async fn a_confidential_app_needs_its_secret_and_a_public_one_only_its_id() {
    for public_client in [false, true] {
        let desk = Desk::with(|app| NewApp {
            public_client,
            ..app
        })
        .await;
        let code = agreed(&desk);
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "desk-client"),
            ("code", &code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        let call = desk.http.post(desk.url("/2/oauth2/token")).form(&form);
        let answer = Answered::of(call.send().await.unwrap()).await;
        let expected = if public_client { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{answer:?}");
    }
}

#[actix_web::test]
async fn a_wrong_request_shows_no_page_and_a_refusal_comes_back_with_the_state() {
    let desk = Desk::new().await;
    for (name, value) in [
        ("client_id", "nobody"),
        ("redirect_uri", "https://desk.example/oauth/callback/"),
        ("response_type", "token"),
        ("scope", "tweet.read everything"),
        ("state", ""),
        ("code_challenge", ""),
        ("code_challenge_method", "S512"),
    ] {
        let page = authorize_page(&desk, &[(name, value)]);
        assert_eq!(browser().get(&page).send().await.unwrap().status(), 400);
        let refused = desk.simulator.consent(&page, desk.acme, Decision::Allow);
        assert_eq!(refused, Err(ConsentError::Parameter(name)));
    }
    let page = authorize_page(&desk, &[]);
    let back = desk.simulator.consent(&page, desk.acme, Decision::Deny);
    assert_eq!(
        back.unwrap(),
        format!("{BACK}?error=access_denied&state=the+state")
    );
    assert!(!desk.simulator.is_in(DESK, desk.acme));
}
