//! Accounts are linked at the pages of the public listener, with the simulator as X and a browser
//! that follows its redirects.

use reqwest::{Method, StatusCode, redirect};
use simulator::{ApiCall, Decision, Endpoint, Fault, FaultKind, NewUser, UserId};
use twitter_channel::store::Tx;

use crate::support::broker::{client, eventually};
use crate::support::service::{APP, Setup, TestService};

/// How X and browsers reach the service, by its configuration.
const PUBLIC: &str = "https://channel.example";
/// How browsers of administrators reach it.
const PRIVATE: &str = "http://ops.example:8081";
const TOKEN: &str = "the-private-token-of-the-tests-0123456789";
const BRAND: UserId = UserId(77);

/// Where a browser is.
struct Page {
    status: StatusCode,
    /// Where it is sent.
    location: String,
    policy: String,
    cookie: String,
    body: String,
}

/// A browser with one cookie.
struct Browser<'a> {
    service: &'a TestService,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(service: &'a TestService) -> Self {
        let cookie = String::new();
        Self { service, cookie }
    }

    async fn go(&mut self, method: Method, url: &str) -> Page {
        // Needed for the TLS provider.
        let _ready = client();
        let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
        let url = url.replace(PUBLIC, &self.service.public_url());
        let request = builder.build().unwrap().request(method, url);
        let answer = request.header("cookie", &self.cookie).send().await.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map_or(String::new(), |it| it.to_str().unwrap().to_owned())
        };
        let page = Page {
            status: answer.status(),
            location: header("location"),
            policy: header("content-security-policy"),
            cookie: header("set-cookie"),
            body: String::new(),
        };
        if let Some((pair, _)) = page.cookie.split_once(';') {
            self.cookie = pair.to_owned();
        }
        let body = answer.text().await.unwrap();
        Page { body, ..page }
    }

    async fn get(&mut self, url: &str) -> Page {
        self.go(Method::GET, url).await
    }

    /// Presses the button of a link's page, and says this at X: where that leads.
    async fn answer_at_x(&mut self, link: &str, who: UserId, decision: Decision) -> String {
        let page = self.go(Method::POST, link).await;
        assert_eq!(page.status, 303, "{}", page.body);
        let x = &self.service.simulator;
        x.consent(&page.location, who, decision).unwrap()
    }

    async fn allow(&mut self, link: &str) -> Page {
        let address = self.answer_at_x(link, BRAND, Decision::Allow).await;
        self.get(&address).await
    }
}

async fn start() -> TestService {
    start_with(NewUser::named("brand")).await
}

async fn start_with(brand: NewUser) -> TestService {
    let oauth2 = format!("client_id = \"{APP}-client\"\nclient_secret = \"{APP}-client-secret\"");
    let setup = Setup::new()
        .app_keys(&oauth2)
        .app("plain", "")
        .set("PUBLIC__URL", PUBLIC)
        .set("PRIVATE__URL", PRIVATE)
        .set("PRIVATE__TOKEN", TOKEN)
        .callback(&format!("{PUBLIC}/oauth/twitter/callback"));
    let service = TestService::start(setup).await;
    service.add_user(brand.with_id(BRAND.0));
    service.settled().await;
    service
}

/// The link that the command line prints.
async fn link(service: &TestService, arguments: &[&str]) -> String {
    let (status, said) = service.run(&[&["account"], arguments].concat()).await;
    assert_eq!(status, 0, "{said}");
    let link = said.lines().next().unwrap().to_owned();
    assert!(link.starts_with(&format!("{PUBLIC}/link/")), "{said}");
    link
}

async fn invited(service: &TestService, kind: &str) -> String {
    let way = ["invite", "--app", APP, kind, "--username", "@brand"];
    link(service, &way).await
}

async fn list(service: &TestService) -> String {
    service.run(&["account", "list"]).await.1
}

fn is_a_safe_page(page: &Page) {
    let policy = &page.policy;
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("script-src") && !policy.contains("unsafe"));
    assert!(!page.body.contains("<script") && !page.body.contains("style="));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invited_person_links_an_account_and_an_administrator_confirms_it() {
    let service = start().await;
    for kind in ["--oauth1", "--oauth2"] {
        let link = invited(&service, kind).await;
        let mut browser = Browser::new(&service);
        let page = browser.get(&link).await;
        assert_eq!(page.status, 200);
        is_a_safe_page(&page);
        for word in ["@brand", "channel.example", APP, "method=\"post\""] {
            assert!(page.body.contains(word), "{word}: {}", page.body);
        }
        let page = browser.allow(&link).await;
        assert_eq!(page.status, 200, "{}", page.body);
        is_a_safe_page(&page);
        assert!(page.body.contains("@brand is linked"));
        assert!(
            page.body.contains("https://pbs.twimg.com/"),
            "{}",
            page.body
        );
    }
    let listed = list(&service).await;
    assert!(listed.contains("unconfirmed"), "{listed}");
    assert!(listed.contains("OAuth 1.0a+OAuth 2.0") && listed.contains("dm.write"));
    assert!(
        service.take_events().await.is_empty(),
        "nothing is told yet"
    );

    let id = BRAND.to_string();
    assert_eq!(service.run(&["account", "confirm", &id]).await.0, 0);
    let event = service.next_event().await;
    assert_eq!(event.event_type(), "account.linked");
    assert_eq!(event.routing_key, format!("account.linked.account.{BRAND}"));
    assert_eq!(event.text("/account/username"), "brand");
    assert_eq!(event.at("/scopes").as_array().unwrap().len(), 8);
    assert!(list(&service).await.contains("  linked  "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_account_posts_and_an_unlinked_one_is_gone_at_x_too() {
    let service = start().await;
    let way = ["link", "--app", APP, "--oauth2"];
    let link = link(&service, &way).await;
    let page = Browser::new(&service).allow(&link).await;
    let id = BRAND.to_string();
    assert!(page.body.contains(&format!("account confirm {id}")));
    assert_eq!(service.run(&["account", "confirm", &id]).await.0, 0);
    let linked = service.next_event().await;
    assert_eq!(linked.event_type(), "account.linked");
    let command = serde_json::json!({
        "command_id": "c1", "account_id": id, "send_post": {"text": "Hello from here"},
    });
    // What another process has changed is noticed within a second: then X is asked for the plan.
    let asked_twice = async || {
        let calls = service.simulator.calls();
        let is_own = |it: &&ApiCall| it.endpoint == Endpoint::Me && it.account == Some(BRAND);
        (calls.iter().filter(is_own).count() > 1).then_some(())
    };
    eventually("the account is in force", asked_twice).await;
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    assert_eq!(service.simulator.count_posts(BRAND, "Hello from here"), 1);

    let (status, said) = service.run(&["account", "unlink", &id]).await;
    assert_eq!((status, said), (0, format!("account {id} is unlinked\n")));
    let tokens = service.simulator.tokens_of(APP);
    let theirs = tokens.iter().filter(|token| token.user == BRAND);
    assert!(theirs.clone().count() > 0 && theirs.clone().all(|token| !token.alive));
    assert!(!list(&service).await.contains("brand"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_a_page_with_step_cause_and_fix_and_leaves_nothing() {
    let service = start().await;
    let stranger = service.user("stranger");
    for kind in ["--oauth1", "--oauth2"] {
        let link = invited(&service, kind).await;
        let mut browser = Browser::new(&service);
        let denied = browser.answer_at_x(&link, BRAND, Decision::Deny).await;
        let denied = browser.get(&denied).await;
        let wrong = browser.answer_at_x(&link, stranger, Decision::Allow).await;
        let elsewhere = Browser::new(&service).get(&wrong).await;
        let wrong_page = browser.get(&wrong).await;
        let twice = browser.get(&wrong).await;
        assert!(!twice.body.contains("was not linked"), "it may have been");
        for (page, status, words) in [
            (&denied, 403, "not allowed at X"),
            (&elsewhere, 403, "another browser"),
            (
                &wrong_page,
                403,
                "@stranger was signed in at X, but @brand is expected",
            ),
            (&twice, 410, "used before"),
        ] {
            assert_eq!(page.status, status, "{}", page.body);
            is_a_safe_page(page);
            for word in [words, "Step", "What mends it"] {
                assert!(page.body.contains(word), "{word}: {}", page.body);
            }
        }
        assert!(denied.body.contains("Begin again"));
        let tokens = service.simulator.tokens_of(APP);
        let mut theirs = tokens.iter().filter(|token| token.user == stranger);
        assert!(theirs.all(|token| !token.alive), "{tokens:#?}");
    }
    let nothing = format!("{PUBLIC}/oauth/twitter/callback");
    let mut browser = Browser::new(&service);
    assert_eq!(browser.get(&nothing).await.status, 400);
    let made_up = format!("{nothing}?state=x&code=y");
    assert_eq!(browser.get(&made_up).await.status, 400);
    let no_link = format!("{PUBLIC}/link/made-up");
    assert_eq!(browser.get(&no_link).await.status, 404);
    assert_eq!(browser.go(Method::POST, &no_link).await.status, 404);
    let links = service.store.read(|tx: &Tx<'_>| tx.links()).await;
    assert!(links.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_x_refuses_is_told_in_its_words_and_the_link_stays_good() {
    let service = start().await;
    let link = invited(&service, "--oauth2").await;
    let mut browser = Browser::new(&service);
    let body = serde_json::json!({"title": "<script>alert(1)</script>", "status": 403,
        "detail": "No & no", "type": "about:blank"});
    service.simulator.order(Fault {
        endpoint: Some(Endpoint::Me),
        next: Some(1),
        ..fault(FaultKind::Status {
            status: 403,
            body: Some(body),
            effect: false,
        })
    });
    let page = browser.allow(&link).await;
    assert_eq!(page.status, 502, "{}", page.body);
    is_a_safe_page(&page);
    assert!(page.body.contains("No &#38; no"), "{}", page.body);
    assert!(page.body.contains("asking X which account it is"));
    let tokens = service.simulator.tokens_of(APP);
    let mut theirs = tokens.iter().filter(|token| token.user == BRAND);
    assert!(theirs.all(|token| !token.alive));
    assert_eq!(browser.allow(&link).await.status, 200);
    assert_eq!(browser.get(&link).await.status, 410);
}

fn fault(what: FaultKind) -> Fault {
    Fault {
        endpoint: None,
        text: None,
        account: None,
        next: None,
        chance: None,
        before_ms: 0,
        after_ms: 0,
        echo: None,
        what,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_says_what_is_wrong_with_an_order() {
    let service = start().await;
    for (arguments, words) in [
        (
            &["link"][..],
            "there are several apps, name one: acme, plain",
        ),
        (&["link", "--app", "nobody"], "There is no app"),
        (&["link", "--app", "plain", "--oauth2"], "no OAuth 2.0"),
        (
            &["link", "--app", APP, "--username", "acme"],
            "declared in the configuration",
        ),
        (
            &["invite", "--app", APP, "--username", "a b"],
            "no name of an account",
        ),
        (&["confirm", "77"], "no linked account 77"),
        (&["unlink", "77"], "no linked account 77"),
    ] {
        let (status, said) = service.run(&[&["account"], arguments].concat()).await;
        assert_eq!(status, 1, "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cookie_is_for_this_host_and_x_brings_it_back() {
    let service = start().await;
    let link = invited(&service, "--oauth2").await;
    let page = Browser::new(&service).go(Method::POST, &link).await;
    assert!(
        page.cookie.starts_with("__Host-linking="),
        "{}",
        page.cookie
    );
    for word in [
        "HttpOnly",
        "Secure",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=600",
    ] {
        assert!(page.cookie.contains(word), "{word}: {}", page.cookie);
    }
    assert!(!page.cookie.contains("Domain"));
    let style = Browser::new(&service)
        .get(&format!("{PUBLIC}/style.css"))
        .await;
    assert!(style.status == 200 && style.body.contains("prefers-color-scheme"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_markup_is_shown_as_text() {
    let name = "<img src=x onerror=alert(1)>\"'";
    let brand = NewUser {
        name: name.to_owned(),
        ..NewUser::named("brand")
    };
    let service = start_with(brand).await;
    let link = invited(&service, "--oauth1").await;
    let page = Browser::new(&service).allow(&link).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("<img src=x"), "{}", page.body);
    assert!(page.body.contains("onerror=alert(1)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_links_and_unlinks_by_api_and_comes_back_to_the_console() {
    let service = start().await;
    let ask = async |method: Method, path: &str, body: serde_json::Value| {
        let url = format!("{}/api/v1{path}", service.private_url());
        let request = client().request(method, url).bearer_auth(TOKEN).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        (status, body)
    };
    let wanted = serde_json::json!({"app": APP, "kind": "oauth2", "back": "/setup"});
    let (status, offered) = ask(Method::POST, "/accounts/link", wanted).await;
    assert_eq!(status, 201, "{offered:#}");
    let page = Browser::new(&service)
        .allow(offered["url"].as_str().unwrap())
        .await;
    assert_eq!(page.status, 303, "{}", page.body);
    assert_eq!(page.location, format!("{PRIVATE}/setup?linked={BRAND}"));

    let account = format!("/accounts/{BRAND}");
    let confirm = format!("{account}/confirm");
    let nothing = || serde_json::json!({});
    assert_eq!(ask(Method::POST, &confirm, nothing()).await.0, 204);
    assert_eq!(service.next_event().await.event_type(), "account.linked");
    let (status, unlinked) = ask(Method::DELETE, &account, nothing()).await;
    assert_eq!(
        (status, unlinked),
        (StatusCode::OK, serde_json::json!({"left_at_x": []}))
    );
    let tokens = service.simulator.tokens_of(APP);
    assert!(
        tokens
            .iter()
            .filter(|it| it.user == BRAND)
            .all(|it| !it.alive)
    );
    assert_eq!(ask(Method::DELETE, &account, nothing()).await.0, 404);

    for (body, status, field) in [
        (
            serde_json::json!({"app": "x", "kind": "oauth2", "username": "brand"}),
            400,
            "app",
        ),
        (
            serde_json::json!({"app": APP, "kind": "oauth2", "username": "#"}),
            400,
            "username",
        ),
        (
            serde_json::json!({"app": APP, "kind": "oauth2", "username": "acme"}),
            409,
            "",
        ),
    ] {
        let (got, problem) = ask(Method::POST, "/accounts/invitations", body).await;
        assert_eq!(got, status, "{problem:#}");
        let named = problem["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!(named, field);
    }
}
