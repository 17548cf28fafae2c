//! The console as a browser sees it.

use std::sync::Arc;

use actix_web::App;
use actix_web::body::to_bytes;
use actix_web::cookie::Cookie;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_SECURITY_POLICY, HeaderMap, LOCATION, RETRY_AFTER, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::test::{TestRequest, call_service, init_service};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::routes;
use crate::domain::access::{Actor, Role};
use crate::domain::ids::{AccountId, CommandId, ConversationId, EventId, UserId};
use crate::flow::access::create_token;
use crate::http::api::Api;
use crate::http::api::auth::SESSION_COOKIE;
use crate::http::api::testing;
use crate::store::{ConversationRow, Hold, NewCommand, NewQuarantined, NewRow, QuarantineReason};

const ADMIN: &str = "s3cret";
const SCRIPT: &str = "<script>alert(1)</script>";
const CONSUMER_SECRET: &str = "hush-consumer-secret";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn send(api: &Arc<Api>, request: TestRequest) -> Answer {
    let app = App::new().configure(|config| routes(config, api));
    let app = init_service(app).await;
    let request = request.peer_addr("192.0.2.1:1234".parse().unwrap());
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body()).await.unwrap();
    Answer {
        status,
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// Somebody who has logged in.
struct Browser {
    api: Arc<Api>,
    cookie: Cookie<'static>,
    csrf: String,
}

impl Browser {
    async fn new(api: &Arc<Api>, token: &str) -> Self {
        let now = Timestamp::now();
        let holder = api.access.by_token(token).await.unwrap().unwrap();
        let login = api.access.log_in(&holder, now).await.unwrap();
        Self {
            api: Arc::clone(api),
            cookie: Cookie::new(SESSION_COOKIE, login.secret.expose_secret().to_owned()),
            csrf: login.session.csrf,
        }
    }

    async fn of(api: &Arc<Api>, role: Role) -> Self {
        let name = role.name().parse().unwrap();
        let made = create_token(&api.store, name, role, Actor::CommandLine, Timestamp::now());
        let token = made.await.unwrap().unwrap();
        Self::new(api, token.expose_secret()).await
    }

    async fn get(&self, uri: &str) -> Answer {
        let request = TestRequest::get().uri(uri).cookie(self.cookie.clone());
        send(&self.api, request).await
    }

    async fn post_with(&self, uri: &str, csrf: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = fields.to_vec();
        form.push(("csrf", csrf));
        let request = TestRequest::post().uri(uri).cookie(self.cookie.clone());
        send(&self.api, request.set_form(form)).await
    }

    async fn post(&self, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(uri, &self.csrf, fields).await
    }
}

fn account() -> AccountId {
    AccountId(UserId::from_number(OURS).unwrap())
}

/// The account of `rules_of_tests`.
const OURS: u64 = 7;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn body(number: u64, text: &str, name: &str) -> Value {
    json!({
        "event": {"type": "message.received", "backfilled": false, "test": false},
        "account": {"id": OURS.to_string(), "username": "acme"},
        "route": {"group": "support", "filter": "mentions", "tags": []},
        "conversation": {"id": format!("post:{number}")},
        "message": {
            "id": number.to_string(), "kind": "POST", "url": "javascript:alert(1)",
            "summary": text, "text": text, "created_at": "2026-11-25T20:00:00.000Z",
            "relations": ["MENTION"], "mentions": [], "hashtags": [],
            "author": {"id": "9", "username": "jo", "name": name, "avatar_url": "https://evil.example/x.png",
                       "followers_count": 1, "verified": false, "created_at": "", "own": false},
            "attachments": [{"kind": "PHOTO", "alt_text": SCRIPT}],
        },
    })
}

/// So many conversations with one message each, the last of them with script in it.
async fn filled(api: &Arc<Api>, count: u64) {
    let write = move |tx: &mut crate::store::Tx<'_>| {
        for number in 1..=count {
            let text = if number == count {
                SCRIPT.to_owned()
            } else {
                "x".repeat(600)
            };
            let conversation: ConversationId = format!("post:{number}").parse().unwrap();
            let row = NewRow {
                id: EventId(u128::from(number).to_be_bytes()),
                event_type: "message.received",
                routing_key: format!("message.received.post.{OURS}"),
                correlation_id: conversation.name(),
                subject: number.to_string(),
                time: at(number as i64),
                mandatory: true,
                case: None,
                body: serde_json::to_vec(&body(number, &text, SCRIPT))
                    .unwrap()
                    .into(),
            };
            let sequence = tx.append(row, at(number as i64))?;
            let known = ConversationRow {
                first_sequence: Some(sequence),
                received_at: Some(at(number as i64)),
                group: "support".to_owned(),
                filter: "mentions".to_owned(),
                tags: Vec::new(),
            };
            tx.put_conversation(account(), &conversation, &known, at(number as i64))?;
        }
        tx.insert_command(&NewCommand {
            id: CommandId::of_retry(1),
            fingerprint: [0; 32],
            account: Some(account()),
            name: "send_post",
            conversation: format!("post:{count}"),
            call: "POST /2/tweets",
            hold: Hold::Person,
            received_at: at(0),
            expires_at: at(86_400),
            content: json!({"send_post": {"text": SCRIPT}}).to_string(),
            plan: "{}".to_owned(),
        })?;
        let kept = NewQuarantined {
            app: "acme".to_owned(),
            reason: QuarantineReason::ALL[0],
            detail: SCRIPT.to_owned(),
            account: None,
            body: SCRIPT.as_bytes().to_vec(),
        };
        tx.quarantine(&kept, at(1))?;
        Ok(())
    };
    api.store.write(write).await.unwrap();
}

/// Every page that is looked at, with something on it.
async fn pages(api: &Arc<Api>) -> Vec<String> {
    let command = CommandId::of_retry(1);
    let event = api.store.read(|tx| tx.newest_events(1)).await.unwrap();
    let count = event[0].subject.clone();
    let mut pages: Vec<_> = [
        "/",
        "/setup",
        "/apps",
        "/apps/new",
        "/apps/acme",
        "/accounts",
        "/explain",
        "/explain?id=%3Cscript%3E",
        "/conversations",
        "/commands",
        "/commands?state=held",
        "/commands?state=%3Cscript%3E",
        "/quarantine",
        "/quarantine/1",
        "/gaps",
        "/gaps?state=open",
        "/gaps?state=%3Cscript%3E",
        "/events",
        "/events?type=%3Cscript%3E",
        "/costs",
        "/audit",
        "/tokens",
    ]
    .map(str::to_owned)
    .to_vec();
    let steps = [
        "address",
        "keys",
        "permissions",
        "delivery",
        "webhook",
        "account",
        "filters",
        "test",
    ];
    pages.extend(steps.map(|step| format!("/setup/{step}")));
    pages.push(format!("/accounts/{OURS}"));
    pages.push(format!("/accounts/{OURS}/filters"));
    pages.push(format!("/accounts/{OURS}/filters/new"));
    pages.push(format!("/conversations/{OURS}/post:{count}"));
    pages.push(super::commands::path(&command));
    pages.push(format!("/events/{}", event[0].id));
    pages
}

/// With an app, an account and a filter whose name is a script.
async fn set_up(token: Option<&str>) -> Arc<Api> {
    let api = testing::api(token);
    let table = |value: Value| value.as_object().unwrap().clone();
    let app = json!({"name": "acme", "consumer_key": "ck", "consumer_secret": CONSUMER_SECRET,
                     "bearer_token": "hush-bearer", "client_id": "cid", "client_secret": "hush-client"});
    api.directory
        .put_app(Actor::CommandLine, table(app))
        .await
        .unwrap();
    let link = crate::flow::registry::NewLink {
        table: table(
            json!({"app": "acme", "id": OURS.to_string(), "username": "acme",
                            "access_token": "hush-token", "access_token_secret": "hush-secret"}),
        ),
        name: SCRIPT.to_owned(),
        avatar_url: "https://pbs.twimg.com/x.png".to_owned(),
        pair: None,
    };
    api.directory.link(Actor::CommandLine, link).await.unwrap();
    api.directory
        .confirm(Actor::CommandLine, account())
        .await
        .unwrap();
    let filter = json!({"match": "mentions", "group": "support", "name": SCRIPT});
    api.directory
        .put_filters(Actor::CommandLine, account(), vec![table(filter)])
        .await
        .unwrap();
    api
}

#[actix_web::test]
async fn every_page_is_shown_to_a_reader_without_script_and_without_a_secret() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 40).await;
    for browser in [
        Browser::of(&api, Role::Read).await,
        Browser::new(&api, ADMIN).await,
    ] {
        for page in pages(&api).await {
            let answer = browser.get(&page).await;
            assert_eq!(answer.status, 200, "{page}\n{}", answer.body);
            assert!(!answer.body.contains("<script>"), "{page}");
            assert!(!answer.body.contains("href=\"javascript"), "{page}");
            assert!(!answer.body.contains("evil.example/x.png\""), "{page}");
            assert!(!answer.body.contains("style="), "{page}");
            for secret in ["hush-", ADMIN] {
                assert!(!answer.body.contains(secret), "{page} shows {secret}");
            }
            let policy = answer
                .headers
                .get(CONTENT_SECURITY_POLICY)
                .unwrap()
                .to_str()
                .unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
            assert_eq!(
                answer.headers.get(X_CONTENT_TYPE_OPTIONS).unwrap(),
                "nosniff"
            );
        }
    }
}

#[actix_web::test]
async fn what_people_wrote_is_shown_as_text() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 3).await;
    let browser = Browser::new(&api, ADMIN).await;
    for page in [
        "/conversations".to_owned(),
        format!("/conversations/{OURS}/post:3"),
        format!("/accounts/{OURS}/filters"),
        "/accounts".to_owned(),
        "/quarantine/1".to_owned(),
    ] {
        let answer = browser.get(&page).await;
        assert!(
            answer.body.contains("&#60;script&#62;"),
            "{page}\n{}",
            answer.body
        );
    }
}

#[actix_web::test]
async fn without_a_login_there_is_the_form_and_nothing_else() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 1).await;
    for page in pages(&api).await {
        let answer = send(&api, TestRequest::get().uri(&page)).await;
        assert_eq!(answer.status, 401, "{page}");
        assert!(answer.body.contains("action=\"/login\""), "{page}");
        assert!(!answer.body.contains("@acme"), "{page}");
    }
    let header = (AUTHORIZATION, format!("Bearer {ADMIN}"));
    let answer = send(&api, TestRequest::get().uri("/").insert_header(header)).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn without_a_token_in_the_settings_the_console_stays_closed() {
    let api = testing::api(None);
    for uri in ["/", "/login", "/accounts"] {
        let answer = send(&api, TestRequest::get().uri(uri)).await;
        assert!(
            answer.body.contains("private.token") && !answer.body.contains("<form"),
            "{uri}"
        );
    }
}

#[actix_web::test]
async fn a_login_needs_the_token_and_the_form_of_the_same_browser() {
    let api = testing::api(Some(ADMIN));
    let shown = send(&api, TestRequest::get().uri("/accounts?x=1")).await;
    let cookie = shown
        .headers
        .get(SET_COOKIE)
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let cookie = Cookie::parse_encoded(cookie).unwrap().into_owned();
    let key = cookie.value().to_owned();
    assert!(shown.body.contains(&format!("value=\"{key}\"")));
    assert!(
        shown.body.contains("value=\"/accounts?x=1\""),
        "{}",
        shown.body
    );

    let log_in = |token: &str, next: &str, cookie: Option<Cookie<'static>>| {
        let form = [("token", token), ("next", next), ("key", &key)];
        let request = TestRequest::post().uri("/login").set_form(form);
        match cookie {
            Some(cookie) => request.cookie(cookie),
            None => request,
        }
    };
    let elsewhere = send(&api, log_in(ADMIN, "/", None)).await;
    assert_eq!(elsewhere.status, 403);
    let wrong = send(&api, log_in("wrong", "/", Some(cookie.clone()))).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("role=\"alert\""));
    let right = send(
        &api,
        log_in(" s3cret\n", "//evil.example", Some(cookie.clone())),
    )
    .await;
    assert_eq!(
        (right.status, right.headers.get(LOCATION).unwrap()),
        (303, &"/".parse().unwrap())
    );
    let session = right.headers.get(SET_COOKIE).unwrap().to_str().unwrap();
    for part in [SESSION_COOKIE, "HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(session.contains(part), "{session}");
    }

    for _ in 0..9 {
        send(&api, log_in("wrong", "/", Some(cookie.clone()))).await;
    }
    let slowed = send(&api, log_in(ADMIN, "/", Some(cookie))).await;
    assert_eq!(slowed.status, 429);
    assert!(slowed.headers.contains_key(RETRY_AFTER));
}

#[actix_web::test]
async fn a_logout_ends_the_login() {
    let api = testing::api(Some(ADMIN));
    let browser = Browser::new(&api, ADMIN).await;
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    assert_eq!(browser.get("/").await.status, 401);
}

#[actix_web::test]
async fn a_form_of_another_page_changes_nothing() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 1).await;
    let browser = Browser::new(&api, ADMIN).await;
    for route in super::table() {
        if route.method != "POST" || route.path == "/login" {
            continue;
        }
        let path = route.path.replace("{account}", "7").replace("{id}", "7");
        let path = path.replace("{place}", "0").replace("{name}", "acme");
        for csrf in ["", "wrong"] {
            let answer = browser.post_with(&path, csrf, &[("sure", "on")]).await;
            assert_eq!(answer.status, 403, "{path}");
        }
        let alone = send(&api, TestRequest::post().uri(&path)).await;
        assert_eq!(alone.status, 401, "{path}");
    }
    assert!(api.rules.now().registry.account(account().0).is_some());
}

#[actix_web::test]
async fn a_reader_changes_nothing_and_sees_no_form_that_would() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 1).await;
    let reader = Browser::of(&api, Role::Read).await;
    for route in super::table() {
        if route.method != "POST" || ["/login", "/logout"].contains(&route.path) {
            continue;
        }
        let path = route.path.replace("{account}", "7").replace("{id}", "7");
        let path = path.replace("{place}", "0").replace("{name}", "acme");
        assert_eq!(reader.post(&path, &[]).await.status, 403, "{path}");
    }
    for page in pages(&api).await {
        let forms = reader
            .get(&page)
            .await
            .body
            .matches("method=\"post\"")
            .count();
        // That of the logout; a filter can be looked at in its form, which has no button.
        let expected = if page.ends_with("/filters/new") { 2 } else { 1 };
        assert_eq!(forms, expected, "{page}");
    }
}

#[actix_web::test]
async fn what_is_not_there_is_said_with_the_navigation() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    for page in [
        "/apps/none",
        "/accounts/8",
        "/accounts/x",
        "/accounts/7/filters/9",
        "/setup/none",
        "/conversations/7/post:99",
        "/conversations/7/x",
        "/commands/none",
        "/quarantine/99",
        "/quarantine/x",
        "/events/x",
        "/events/00000000000000000000000000000099",
    ] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, 404, "{page}");
        assert!(answer.body.contains("aria-label=\"Pages\""), "{page}");
    }
    assert_eq!(browser.get("/nothing").await.status, 404);
}

#[actix_web::test]
async fn a_filter_is_added_moved_and_removed_and_a_bad_one_is_told() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let version = |body: &str| {
        let (_, rest) = body.split_once("name=\"version\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let new = "/accounts/7/filters/new";
    let first = version(&browser.get(new).await.body);
    let filter = |term: &'static str, version: &str| {
        let fields = [
            ("match", "term"),
            ("term", term),
            ("group", "field"),
            ("message_requests", "on"),
        ];
        let mut fields: Vec<_> = fields.map(|(a, b)| (a, b.to_owned())).to_vec();
        fields.push(("version", version.to_owned()));
        fields
    };
    async fn save(browser: &Browser, uri: &str, fields: &[(&str, String)]) -> Answer {
        let fields: Vec<_> = fields.iter().map(|(a, b)| (*a, b.as_str())).collect();
        browser.post(uri, &fields).await
    }
    let bad = save(&browser, new, &filter("#", &first)).await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.body.contains("href=\"#term\"") && bad.body.contains("aria-invalid"),
        "{}",
        bad.body
    );
    assert_eq!(
        save(&browser, new, &filter("#acmehelp", &first))
            .await
            .status,
        303
    );
    assert_eq!(
        save(&browser, new, &filter("#again", &first)).await.status,
        409
    );

    let list = browser.get("/accounts/7/filters").await.body;
    let now = version(&list);
    let moved = browser
        .post(
            "/accounts/7/filters/1/move",
            &[("version", &now), ("up", "")],
        )
        .await;
    assert_eq!(moved.status, 303);
    let made = api.directory.made_filters(account()).await.unwrap();
    assert_eq!(made[0]["term"], "#acmehelp");
    let now = version(&browser.get("/accounts/7/filters").await.body);
    let removed = browser
        .post("/accounts/7/filters/0/remove", &[("version", &now)])
        .await;
    assert_eq!(removed.status, 303);
    assert_eq!(
        api.directory.made_filters(account()).await.unwrap().len(),
        1
    );
}

#[actix_web::test]
async fn a_filter_is_tried_before_it_is_saved() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 3).await;
    let browser = Browser::new(&api, ADMIN).await;
    let page = browser.get("/accounts/7/filters/0").await.body;
    let (_, rest) = page.split_once("name=\"version\" value=\"").unwrap();
    let version = rest.split('"').next().unwrap();
    let fields = [
        ("match", "quotes"),
        ("group", "other"),
        ("version", version),
        ("try", "1"),
        ("hours", "720"),
    ];
    let tried = browser.post("/accounts/7/filters/0", &fields).await;
    assert_eq!(tried.status, 200, "{}", tried.body);
    assert!(tried.body.contains("quotes: 0"), "{}", tried.body);
    let made = api.directory.made_filters(account()).await.unwrap();
    assert_eq!(made[0]["match"], "mentions");
    let fields = [
        ("match", "quotes"),
        ("group", "other"),
        ("version", version),
        ("try", "1"),
        ("hours", "0"),
    ];
    assert_eq!(
        browser.post("/accounts/7/filters/0", &fields).await.status,
        400
    );
}

#[actix_web::test]
async fn a_secret_that_is_replaced_is_still_taken_until_the_rotation_ends() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let fields = [
        ("name", "acme"),
        ("consumer_secret", " new-secret\n"),
        ("rotate", "on"),
        ("client_id", "cid"),
    ];
    let saved = browser.post("/apps", &fields).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let app = |api: &Api| {
        api.rules
            .now()
            .registry
            .apps()
            .iter()
            .find(|app| app.name == "acme")
            .unwrap()
            .clone()
    };
    assert_eq!(app(&api).consumer_secret.expose_secret(), "new-secret");
    let previous = app(&api).previous_consumer_secret.unwrap();
    assert_eq!(previous.expose_secret(), CONSUMER_SECRET);
    let page = browser.get("/apps/acme").await.body;
    assert!(page.contains("end-rotation") && !page.contains("new-secret"));
    assert_eq!(
        browser.post("/apps/acme/end-rotation", &[]).await.status,
        303
    );
    assert!(app(&api).previous_consumer_secret.is_none());
}

#[actix_web::test]
async fn an_app_that_cannot_be_kept_is_told_by_field_and_no_secret_comes_back() {
    let api = testing::api(Some(ADMIN));
    let browser = Browser::new(&api, ADMIN).await;
    let fields = [
        ("new", "1"),
        ("name", "a/b"),
        ("consumer_key", "ck"),
        ("consumer_secret", "hush-hush"),
    ];
    let refused = browser.post("/apps", &fields).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("href=\"#name\"") && refused.body.contains("value=\"a/b\""));
    assert!(!refused.body.contains("hush-hush"));
}

#[actix_web::test]
async fn settings_of_an_account_are_kept_and_a_bad_one_is_told() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let fields = [
        ("sending", "hold"),
        ("monthly_budget_usd", "5.50"),
        ("blocked", "8, 9\n10"),
    ];
    assert_eq!(browser.post("/accounts/7", &fields).await.status, 303);
    let rules = api.rules.now();
    let kept = rules.registry.account(account().0).unwrap();
    assert_eq!(
        (
            kept.blocked.len(),
            kept.monthly_budget.unwrap().to_string().as_str()
        ),
        (3, "5.500")
    );
    let bad = browser
        .post(
            "/accounts/7",
            &[("sending", "live"), ("monthly_budget_usd", "much")],
        )
        .await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.body.contains("href=\"#monthly_budget_usd\"") && bad.body.contains("value=\"much\"")
    );
}

#[actix_web::test]
async fn a_token_is_shown_once_and_revoked() {
    let api = testing::api(Some(ADMIN));
    let browser = Browser::new(&api, ADMIN).await;
    let made = browser
        .post("/tokens", &[("name", "core-1"), ("role", "core")])
        .await;
    assert!(made.status == 200 && made.body.contains("tc_"));
    assert!(!browser.get("/tokens").await.body.contains("tc_"));
    let twice = browser
        .post("/tokens", &[("name", "core-1"), ("role", "core")])
        .await;
    assert_eq!(twice.status, 400);
    assert_eq!(browser.post("/tokens/core-1/revoke", &[]).await.status, 303);
    assert_eq!(browser.post("/tokens/core-1/revoke", &[]).await.status, 404);
}

#[actix_web::test]
async fn a_held_command_is_taken_back() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 1).await;
    let browser = Browser::new(&api, ADMIN).await;
    let path = super::commands::path(&CommandId::of_retry(1));
    let page = browser.get(&path).await.body;
    assert!(page.contains("a person has to let it go") && page.contains("/cancel"));
    let again = browser.post(&format!("{path}/retry"), &[]).await;
    assert_eq!(again.status, 409, "{}", again.body);
}

#[actix_web::test]
async fn a_browser_that_x_sends_back_goes_on_from_a_page_of_ours() {
    let api = testing::api(Some(ADMIN));
    let request = TestRequest::get().uri("/accounts?linked=7");
    let request = request.insert_header(("sec-fetch-site", "cross-site"));
    let answer = send(&api, request).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("http-equiv=\"refresh\"")
            && answer.body.contains("/accounts?linked=7")
    );
}

#[actix_web::test]
async fn lists_are_cut_into_parts_that_lead_on() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 40).await;
    let browser = Browser::new(&api, ADMIN).await;
    let first = browser.get("/conversations").await.body;
    let (_, rest) = first.split_once("rel=\"next\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&amp;", "&");
    let second = browser.get(&next).await.body;
    assert!(
        first.contains("/conversations/7/post:40") && first.contains("/conversations/7/post:11\"")
    );
    assert!(
        second.contains("/conversations/7/post:10\"")
            && second.contains("/conversations/7/post:1\"")
    );
    assert!(!second.contains("rel=\"next\""));
}

/// The times are printed (`--nocapture`), not judged: the machine may be busy. In the release build
/// of a quiet one each page is to take less than 50 ms.
#[actix_web::test]
async fn pages_are_made_with_ten_thousand_messages_in_the_store() {
    let api = set_up(Some(ADMIN)).await;
    filled(&api, 10_000).await;
    let browser = Browser::new(&api, ADMIN).await;
    let app = App::new().configure(|config| routes(config, &api));
    let app = init_service(app).await;
    for page in pages(&api).await {
        let request = || TestRequest::get().uri(&page).cookie(browser.cookie.clone());
        call_service(&app, request().to_request()).await;
        let began = std::time::Instant::now();
        let response = call_service(&app, request().to_request()).await;
        let bytes = to_bytes(response.into_body()).await.unwrap().len();
        let took = began.elapsed();
        println!(
            "{page}: {:.1} ms, {bytes} bytes",
            took.as_secs_f64() * 1000.0
        );
        assert!(bytes < 300_000, "{page} grows with what is kept");
    }
}

#[actix_web::test]
async fn what_came_before_is_offered_with_its_price_and_asked_for_once() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let page = browser.get("/setup/filters").await.body;
    assert!(page.contains("the last 7 days: 0.") && page.contains("from now"));
    let from_now = [("account", "7"), ("days", "0")];
    assert_eq!(browser.post("/past", &from_now).await.status, 303);
    assert!(
        api.store
            .read(|tx| tx.open_gaps())
            .await
            .unwrap()
            .is_empty()
    );
    let asked = browser
        .post("/past", &[("account", "7"), ("days", "7")])
        .await;
    assert_eq!(asked.status, 303, "{}", asked.body);
    let gaps = api.store.read(|tx| tx.open_gaps()).await.unwrap();
    assert_eq!((gaps.len(), gaps[0].account), (1, Some(account())));
}

#[actix_web::test]
async fn gaps_are_listed_filled_by_hand_and_acknowledged_where_lost() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let hours = |ago: i64| (Timestamp::now() - jiff::SignedDuration::from_hours(ago)).to_string();
    let bad = [
        ("place", "acme/7"),
        ("from", "soon"),
        ("to", "2026-11-25T20:00"),
    ];
    let refused = browser.post("/gaps", &bad).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("`from` is no time") && refused.body.contains("value=\"soon\""));
    let older = [
        ("place", "acme"),
        ("from", &*hours(24 * 8)),
        ("to", &*hours(1)),
    ];
    assert!(
        browser
            .post("/gaps", &older)
            .await
            .body
            .contains("seven days")
    );
    for place in ["none", "acme/8", "acme/x"] {
        let fields = [("place", place), ("from", &*hours(2)), ("to", &*hours(1))];
        assert_eq!(browser.post("/gaps", &fields).await.status, 400, "{place}");
    }
    let good = [
        ("place", "acme/7"),
        ("from", &*hours(2)),
        ("to", &*hours(1)),
    ];
    assert_eq!(browser.post("/gaps", &good).await.status, 303);
    let gaps = api.store.read(|tx| tx.open_gaps()).await.unwrap();
    assert_eq!((gaps.len(), gaps[0].account), (1, Some(account())));
    let listed = browser.get("/gaps?state=open").await.body;
    assert!(
        listed.contains("open, not begun") && listed.contains("@acme"),
        "{listed}"
    );
    assert!(
        browser
            .get("/")
            .await
            .body
            .contains("href=\"/gaps?state=open\"")
    );

    let id = gaps[0].id;
    let lost = move |tx: &mut crate::store::Tx<'_>| {
        tx.close_gap(id, crate::store::GapEnd::Lost, "too old", Timestamp::now())
    };
    api.store.write(lost).await.unwrap();
    let listed = browser.get("/gaps").await.body;
    assert!(listed.contains("lost, in part at least") && listed.contains("id=\"lost\""));
    let seen = format!("/gaps/{id}/acknowledge");
    assert_eq!(browser.post(&seen, &[]).await.status, 303);
    assert!(!browser.get("/gaps").await.body.contains("id=\"lost\""));
    let none = browser.post("/gaps/99/acknowledge", &[]).await;
    assert_eq!(none.status, 404);
}

#[actix_web::test]
async fn what_is_looked_for_beside_the_webhook_is_set_and_begins_with_what_came_before() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let marks = || {
        api.store
            .read(|tx| tx.feed_marks(crate::store::Feed::Search, "7"))
    };
    let day = [("account", "7"), ("days", "1")];
    assert_eq!(browser.post("/past", &day).await.status, 303);
    assert!(marks().await.unwrap().is_empty(), "nothing is searched for");

    let page = browser.get("/setup/filters").await.body;
    assert!(page.contains("Posts with a term are not looked for"));
    let bad = [
        ("sending", "live"),
        ("keywords", "search"),
        ("search_every", "often"),
    ];
    let refused = browser.post("/accounts/7", &bad).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("href=\"#search_every\"") && refused.body.contains("value=\"often\"")
    );
    let good = [
        ("sending", "live"),
        ("keywords", "search"),
        ("search_every", "90s"),
        ("poll_mentions", "off"),
        ("mentions_every", "5m"),
    ];
    assert_eq!(browser.post("/accounts/7", &good).await.status, 303);
    let rules = api.rules.now();
    let feeds = rules.registry.account(account().0).unwrap().feeds;
    assert_eq!(
        (feeds.search_every.as_secs(), feeds.mentions_every.as_secs()),
        (90, 300)
    );
    assert_eq!(
        feeds.poll_mentions,
        crate::domain::account::PollMentions::Off
    );
    let page = browser.get("/accounts/7").await.body;
    assert!(page.contains("value=\"search\" selected") && page.contains("value=\"90s\""));
    assert!(
        browser
            .get("/setup/filters")
            .await
            .body
            .contains("are searched for every 90 s")
    );

    assert_eq!(browser.post("/past", &day).await.status, 303);
    let since = marks().await.unwrap()[0].complete_until;
    let hours = Timestamp::now().duration_since(since).as_hours();
    assert_eq!(hours, 24);
}

#[actix_web::test]
async fn a_filter_keeps_its_storm() {
    let api = set_up(Some(ADMIN)).await;
    let storm = json!({"match": "mentions", "group": "support",
                       "storm": {"messages": 200, "per": "1h"}});
    let table = storm.as_object().unwrap().clone();
    api.directory
        .put_filters(Actor::CommandLine, account(), vec![table])
        .await
        .unwrap();
    let browser = Browser::new(&api, ADMIN).await;
    let page = browser.get("/accounts/7/filters/0").await.body;
    assert!(
        page.contains("value=\"200\"") && page.contains("name=\"storm_per\""),
        "{page}"
    );
}

#[actix_web::test]
async fn what_x_cannot_be_asked_is_told_at_the_step_and_leaves_it_open() {
    let api = set_up(Some(ADMIN)).await;
    let browser = Browser::new(&api, ADMIN).await;
    let page = browser.get("/setup/keys").await.body;
    assert!(page.contains("were not tested since"));
    let step = [("step", "permissions")];
    let tested = browser.post("/apps/acme/check", &step).await;
    assert_eq!(
        tested.headers.get(LOCATION).unwrap(),
        "/setup/permissions?app=acme"
    );
    let page = browser.get("/setup/permissions?app=acme").await.body;
    assert!(
        page.contains("UNCHECKED") && page.contains("Test again"),
        "{page}"
    );

    let page = browser.get("/setup/address?app=acme").await.body;
    assert!(page.contains("X cannot use it") && page.contains("public.url is not set"));
    for path in [
        "/apps/acme/address",
        "/apps/acme/webhook",
        "/apps/acme/webhooks/7/validate",
        "/apps/acme/webhooks/7/delete",
    ] {
        let refused = browser.post(path, &[]).await;
        assert_eq!(refused.status, 409, "{path}");
        let told = refused.body.contains("role=\"alert\"") && refused.body.contains("Step ");
        assert!(told, "{path}: {}", refused.body);
    }
    let step = "href=\"/setup/webhook?app=acme&amp;account=7\"";
    let page = browser.get("/setup").await.body;
    let (_, after) = page.split_once("/setup/webhook").expect(step);
    assert!(
        after.split("</li>").next().unwrap().contains("to do"),
        "{page}"
    );
}
