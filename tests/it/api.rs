//! The JSON API on the running service: who gets in, what a core asks of it, and what people do.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulator::{Form, NewPost};

use crate::support::broker::{client, eventually};
use crate::support::service::{ACME, INBOX, Setup, TestService};

const TOKEN: &str = "let-me-in";

async fn start(setup: Setup) -> TestService {
    let service = TestService::start(setup.set("PRIVATE__TOKEN", TOKEN)).await;
    service.settled().await;
    service
}

async fn ask(
    service: &TestService,
    token: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> (StatusCode, Value) {
    let url = format!("{}/api/v1{path}", service.private_url());
    let mut request = client().request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    (status, body)
}

async fn get(service: &TestService, path: &str) -> Value {
    let (status, body) = ask(service, TOKEN, Method::GET, path, None).await;
    assert_eq!(status, 200, "{path}: {body:#}");
    body
}

async fn post(service: &TestService, path: &str, body: &Value) -> (StatusCode, Value) {
    ask(service, TOKEN, Method::POST, path, Some(body)).await
}

/// A customer mentions us; the command that answers.
async fn mention(service: &TestService, text: &str) -> Value {
    let ann = service.user("ann");
    service.post(NewPost::by(ann, &format!("@acme {text}")));
    service.next_event().await.at("/reply/command").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_the_command_line_open_what_their_role_allows() {
    let service = start(Setup::new()).await;
    let check = json!({"account_id": ACME.to_string(), "send_post": {"text": "Hello"}});
    let routes = [
        (Method::GET, "/events", None),
        (Method::POST, "/commands/check", Some(&check)),
        (
            Method::POST,
            "/quarantine/retry",
            Some(&json!({"all": true})),
        ),
    ]
    .map(|(method, path, body)| (method, path, body.cloned()));
    for (role, expected) in [
        ("read", [200, 403, 403]),
        ("core", [200, 200, 403]),
        ("admin", [200, 200, 202]),
    ] {
        let create = ["token", "create", "--name", role, "--role", role];
        let (status, said) = service.run(&create).await;
        assert_eq!(status, 0, "{said}");
        let token = said.trim();
        for ((method, path, body), expected) in routes.iter().zip(expected) {
            let (status, body) = ask(&service, token, method.clone(), path, body.as_ref()).await;
            assert_eq!(status, expected, "{role} {path}: {body:#}");
        }
        let (status, said) = service.run(&["token", "revoke", role]).await;
        assert_eq!(status, 0, "{said}");
        let (status, _) = ask(&service, token, Method::GET, "/events", None).await;
        assert_eq!(status, 401, "{role}");
    }
    let audit = get(&service, "/audit").await;
    let by = |who: &str| {
        let items = audit["items"].as_array().unwrap().iter();
        items.filter(|it| it["who"] == who).count()
    };
    assert_eq!((by("command-line"), by("token:admin")), (6, 1), "{audit:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_in_order_part_by_part_and_shown() {
    let service = start(Setup::new()).await;
    for text in ["one", "two", "three"] {
        mention(&service, text).await;
    }
    service.settled().await;
    let (mut after, mut texts) = (String::new(), Vec::new());
    let account = ACME.to_string();
    loop {
        let path = format!("/events?type=message.received&account={account}&limit=2&after={after}");
        let page = get(&service, &path).await;
        for event in page["items"].as_array().unwrap() {
            assert_eq!(event["state"], "published");
            assert_eq!(event["body"]["event"]["id"], event["id"]);
            assert_eq!(event["body"]["event"]["sequence"], event["sequence"]);
            texts.push(
                event["body"]["message"]["text"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            );
        }
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(texts, ["@acme one", "@acme two", "@acme three"]);
    let nobody = get(&service, "/events?account=1").await;
    assert_eq!(nobody["items"], json!([]));

    let first = get(&service, "/events?type=message.received&limit=1").await;
    let id = first["items"][0]["id"].as_str().unwrap();
    let shown = get(&service, &format!("/events/{id}")).await;
    assert_eq!(shown, first["items"][0]);
    let (status, body) = post(&service, "/events/republish", &json!({"ids": [id]})).await;
    assert_eq!((status.as_u16(), &body["count"]), (202, &json!(1)));
    let again = service.next_event().await;
    assert_eq!(again.text("/event/id"), id);
    assert_eq!(again.properties.message_id().as_ref().unwrap().as_str(), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_checked_before_it_is_sent() {
    let service = start(Setup::new()).await;
    let mut command = mention(&service, "help").await;
    let check = async |command: &Value| {
        let (status, body) = post(&service, "/commands/check", command).await;
        assert_eq!(status, 200, "{body:#}");
        body
    };

    command["send_post"]["text"] = json!("Here you are");
    let good = check(&command).await;
    assert_eq!((&good["valid"], &good["code"]), (&json!(true), &json!("")));
    assert_eq!(good["account_id"], ACME.to_string());
    assert_eq!(
        good["text"],
        json!({"length": 12, "limit": 280, "parts": ["Here you are"]})
    );
    assert_eq!(
        (&good["cost_usd"], &good["permission"]),
        (&json!("0.010"), &json!("ALLOWED"))
    );

    command["send_post"]["text"] = json!("word ".repeat(100).trim());
    let long = check(&command).await;
    assert_eq!(
        (&long["valid"], &long["code"]),
        (&json!(false), &json!("TEXT_TOO_LONG"))
    );
    assert_eq!(
        (&long["field"], &long["text"]["length"]),
        (&json!("send_post.text"), &json!(499))
    );
    assert!(
        long["advice"].as_str().unwrap().contains("split"),
        "{long:#}"
    );
    assert_eq!(long["text"]["parts"].as_array().unwrap().len(), 2);
    command["send_post"]["when_too_long"] = json!("SPLIT");
    let split = check(&command).await;
    assert_eq!(
        (&split["valid"], &split["text"]["parts"]),
        (&json!(true), &long["text"]["parts"])
    );

    for (command, code, field) in [
        (
            json!({"account_id": 7, "send_post": {"text": "x"}}),
            "INVALID",
            "account_id",
        ),
        (
            json!({"account_id": "7", "send_post": {"text": "x"}}),
            "UNKNOWN_ACCOUNT",
            "account_id",
        ),
        (
            json!({"send_post": {"text": ""}}),
            "TEXT_EMPTY",
            "send_post.text",
        ),
        (json!({}), "INVALID", ""),
        (
            json!({"cancel_command": {"target_command_id": "none"}}),
            "INVALID",
            "cancel_command.target_command_id",
        ),
    ] {
        let bad = check(&command).await;
        assert_eq!(
            (&bad["code"], &bad["field"]),
            (&json!(code), &json!(field)),
            "{command}"
        );
        assert_ne!(bad["detail"], "", "{command}");
    }
    let stranger = json!({
        "account_id": ACME.to_string(), "send_post": {"text": "x", "in_reply_to": "20"}
    });
    assert_eq!(check(&stranger).await["permission"], "UNKNOWN");

    // Nothing came of all that.
    assert_eq!(get(&service, "/commands").await["items"], json!([]));
    assert!(service.simulator.posts_by(ACME).is_empty());
    let (status, _) = post(&service, "/commands/check", &json!([])).await;
    assert_eq!(status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_reaches_the_consumer_of_the_inbox() {
    let service = start(Setup::new()).await;
    let consumer = service.broker.channel().await;
    let consumed = consumer
        .basic_consume(
            INBOX.into(),
            "desk".into(),
            Default::default(),
            Default::default(),
        )
        .await
        .unwrap();
    let account = ACME.to_string();
    for (kind, conversation) in [("mention", "post:"), ("direct_message", "dm:")] {
        let wanted = json!({"account_id": account, "kind": kind, "wait_seconds": 20});
        let (status, told) = post(&service, "/events/test", &wanted).await;
        assert_eq!(status, 200, "{told:#}");
        assert_eq!(
            (&told["confirmed"], &told["routed"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(told["group"], "support");
        let inbox = &told["inboxes"][0];
        assert_eq!(
            (&inbox["queue"], &inbox["consumers"]),
            (&json!(INBOX), &json!(1))
        );
        let id = told["event_id"].as_str().unwrap();
        let event = get(&service, &format!("/events/{id}")).await;
        let body = &event["body"];
        assert_eq!(
            (&body["event"]["test"], &event["state"]),
            (&json!(true), &json!("published"))
        );
        let at = body["conversation"]["id"].as_str().unwrap();
        assert!(at.starts_with(conversation), "{at}");
        crate::contract::check_event("message.received", body.to_string().as_bytes()).unwrap();
    }
    drop(consumed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_no_filter_wants_or_no_queue_takes_says_so() {
    let filter = "account = \"acme\"\nmatch = \"mentions\"\ngroup = \"support\"";
    let setup = Setup::unfiltered().filter(filter);
    let service = TestService::start(
        setup
            .set("PRIVATE__TOKEN", TOKEN)
            .set("BROKER__INBOXES", "[]"),
    )
    .await;
    let account = ACME.to_string();
    let wanted = json!({"account_id": account, "kind": "direct_message"});
    let (status, told) = post(&service, "/events/test", &wanted).await;
    assert_eq!(status, 409, "{told:#}");
    assert!(
        told["detail"].as_str().unwrap().contains("no_filter"),
        "{told:#}"
    );
    let (status, _) = post(&service, "/events/test", &json!({"account_id": "7"})).await;
    assert_eq!(status, 404);
    let wanted = json!({"account_id": account, "wait_seconds": 20});
    let (status, told) = post(&service, "/events/test", &wanted).await;
    assert_eq!(status, 200, "{told:#}");
    let fate = (&told["confirmed"], &told["routed"], &told["inboxes"]);
    assert_eq!(fate, (&json!(true), &json!(false), &json!([])), "{told:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_commands_are_listed_told_released_and_cancelled() {
    let service = start(Setup::new().set("COMMANDS__SENDING", "hold")).await;
    // An id of a core may hold anything, and look like a route.
    let ids = ["a/b c?%2F#", "check"];
    for id in ids {
        let mut command = mention(&service, "help").await;
        command["command_id"] = json!(id);
        command["send_post"]["text"] = json!("Answer");
        service.command(&command).await;
    }
    let held = async || {
        let page = get(&service, "/commands?state=held&limit=1").await;
        let items = page["items"].as_array().unwrap().clone();
        (items.len() == 1 && page["next"].is_string()).then_some(page)
    };
    let page = eventually("two held commands", held).await;
    assert_eq!(page["items"][0]["command_id"], "check");
    let next = page["next"].as_str().unwrap();
    let rest = get(&service, &format!("/commands?state=held&after={next}")).await;
    assert_eq!(
        (&rest["items"][0]["command_id"], &rest["next"]),
        (&json!(ids[0]), &Value::Null)
    );

    let path = "/commands/a%2Fb%20c%3F%252F%23";
    let shown = get(&service, path).await;
    assert_eq!(
        (&shown["command_id"], &shown["hold"]),
        (&json!(ids[0]), &json!("stopped"))
    );
    assert_eq!(
        shown["content"]["action"]["send_post"]["text"], "Answer",
        "{shown:#}"
    );
    assert_eq!(
        get(&service, "/commands/check").await["command_id"],
        "check"
    );

    let (status, done) = post(&service, &format!("{path}/release"), &json!({})).await;
    assert_eq!((status.as_u16(), &done["hold"]), (200, &json!("stopped")));
    let cancel = format!("{path}/cancel");
    let (status, _) = post(&service, &cancel, &json!({})).await;
    assert_eq!(status, 200);
    let outcome = service.outcome(ids[0], &mut Vec::new()).await;
    assert_eq!(outcome.text("/code"), "CANCELLED");
    let (status, told) = post(&service, &cancel, &json!({})).await;
    assert_eq!(status, 409, "{told:#}");
    let (status, _) = post(&service, "/commands/none/cancel", &json!({})).await;
    assert_eq!(status, 404);
    let (status, retried) = post(&service, &format!("{path}/retry"), &json!({})).await;
    assert_eq!(status, 201, "{retried:#}");
    let audit = get(&service, "/audit").await;
    let actions = audit["items"].as_array().unwrap().iter();
    let actions: Vec<_> = actions.map(|it| it["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["command.retry", "command.cancel", "command.release"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantine_gaps_and_costs_are_told() {
    // X charges for the events of this form.
    let service = start(Setup::new().forms(&[Form::Activity])).await;
    assert_eq!(service.deliver(r#"{"surprise":[]}"#).await, 200);
    mention(&service, "help").await;
    let page = get(&service, "/quarantine").await;
    let kept = &page["items"][0];
    assert_eq!(
        (&kept["reason"], &kept["bytes"]),
        (&json!("unknown_shape"), &json!(15))
    );
    let id = kept["id"].as_str().unwrap();
    let shown = get(&service, &format!("/quarantine/{id}")).await;
    assert_eq!(shown["body"], r#"{"surprise":[]}"#);
    let (status, _) = post(&service, "/quarantine/retry", &json!({"ids": ["900"]})).await;
    assert_eq!(status, 404);
    let (status, _) = post(&service, "/quarantine/retry", &json!({"ids": [id]})).await;
    assert_eq!(status, 202);
    assert_eq!(get(&service, "/gaps").await["items"], json!([]));
    let costs = get(&service, "/costs").await;
    let cost = &costs["items"][0];
    assert_eq!(
        (&cost["kind"], &cost["count"]),
        (&json!("event_post"), &json!(1)),
        "{costs:#}"
    );
    assert_eq!(cost["amount_usd"], costs["total_usd"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_prints_the_description_that_the_service_shows() {
    let service = start(Setup::new()).await;
    let (status, printed) = service.run(&["openapi"]).await;
    assert_eq!(status, 0, "{printed}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(get(&service, "/openapi.json").await, printed);
}
