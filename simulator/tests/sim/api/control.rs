//! The API side by the control API, and on the page.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use simulator::{Endpoint, FaultKind};

use super::client::{APP, Caller};

async fn control(caller: &Caller, method: Method, path: &str, body: Option<Value>) -> Response {
    let request = caller
        .http
        .request(method, caller.url(&format!("/control/{path}")));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap().error_for_status().unwrap()
}

async fn read(caller: &Caller, path: &str) -> Value {
    control(caller, Method::GET, path, None)
        .await
        .json()
        .await
        .unwrap()
}

async fn write(caller: &Caller, path: &str, body: Value) -> Response {
    control(caller, Method::POST, path, Some(body)).await
}

#[actix_web::test]
async fn a_script_learns_the_credentials() {
    let caller = Caller::new().await;
    let told = read(&caller, &format!("credentials?app={APP}&account=acme")).await;
    assert_eq!(told, serde_json::to_value(&caller.keys).unwrap());
    let id = caller.acme();
    assert_eq!(told["access_token"], format!("{id}-acme-app-token"));
    assert_eq!(
        told["access_token_secret"],
        format!("{id}-acme-app-token-secret")
    );
    assert_eq!(told["refresh_token"], format!("{id}-acme-app-refresh"));
    assert_eq!(told["client_id"], "acme-app-client");
    assert_eq!(told["client_secret"], "acme-app-client-secret");
    assert_eq!(told["bearer_token"], "acme-app-bearer");
    write(
        &caller,
        "kill_tokens",
        json!({ "app": APP, "account": "acme" }),
    )
    .await;
    assert_eq!(caller.get("/2/users/me", &[]).await.status, 401);
    let again = write(
        &caller,
        "authorize",
        json!({ "app": APP, "account": "@acme" }),
    )
    .await;
    let again: Value = again.json().await.unwrap();
    assert_eq!(again["access_token"], format!("{id}-acme-app-token-2"));
}

#[actix_web::test]
async fn rules_limits_money_and_time_are_set_by_json() {
    let caller = Caller::new().await;
    let simulator = caller.simulator();
    let changed = json!({ "tier": "enterprise", "echo": { "when": "never" } });
    write(&caller, "settings", changed).await;
    assert_eq!(simulator.api_settings().tier, simulator::Tier::Enterprise);
    assert_eq!(simulator.api_settings().echo, simulator::Echo::NEVER);
    assert_eq!(read(&caller, "settings").await["post_limit"], 280);
    write(
        &caller,
        "limits",
        json!({ "endpoint": "create_post", "user_15min": 1 }),
    )
    .await;
    assert_eq!(simulator.limits(Endpoint::CreatePost).user_15min, Some(1));
    write(
        &caller,
        "standing",
        json!({ "account": "ann", "premium": true, "protected": true }),
    )
    .await;
    assert!(simulator.standing(caller.stage.ann).unwrap().premium);
    assert_eq!(read(&caller, "standing?account=ann").await["premium"], true);
    write(&caller, "credit", json!({ "app": APP, "micro_usd": 7 })).await;
    assert_eq!(simulator.credit(APP), Some(7));
    let before = simulator.now();
    write(&caller, "clock", json!({ "advance_s": 900 })).await;
    assert_eq!(simulator.now().as_second() - before.as_second(), 900);
    assert_eq!(
        read(&caller, "clock").await["now"],
        simulator.now().to_string()
    );
    let wrong = caller.http.post(caller.url("/control/settings"));
    let wrong = wrong.json(&json!({ "no_such": 1 })).send().await.unwrap();
    assert_eq!(wrong.status().as_u16(), 400);
}

#[actix_web::test]
async fn faults_are_ordered_and_what_came_is_listed() {
    let caller = Caller::new().await;
    let fault =
        json!({ "endpoint": "create_post", "next": 1, "what": { "status": { "status": 503 } } });
    write(&caller, "faults", fault).await;
    assert!(matches!(
        caller.simulator().faults()[0].what,
        FaultKind::Status { status: 503, .. }
    ));
    assert_eq!(
        read(&caller, "faults").await[0]["what"]["status"]["status"],
        503
    );
    assert_eq!(caller.tweet("first").await.status, 503);
    assert_eq!(caller.tweet("first").await.status, 201);
    write(&caller, "faults", json!({ "what": "outage" })).await;
    control(&caller, Method::DELETE, "faults", None).await;
    let path = format!("/2/dm_conversations/with/{}/messages", caller.stage.ann);
    caller.post(&path, &json!({ "text": "hi" })).await;

    let calls = read(&caller, "calls?endpoint=create_post").await;
    assert_eq!(calls.as_array().unwrap().len(), 2);
    assert_eq!(calls[0]["fault"], "status");
    assert_eq!(calls[0]["effect"], Value::Null);
    assert_eq!(calls[0]["scheme"], "OAuth");
    assert_eq!(calls[0]["content_type"], "application/json");
    assert_eq!(calls[1]["status"], 201);
    assert_eq!(calls[1]["account"], caller.acme().to_string());
    assert_eq!(calls[1]["body"], json!({ "text": "first" }).to_string());
    assert_eq!(
        read(&caller, "calls?after=2").await[0]["endpoint"],
        "send_message_to"
    );
    let posts = read(&caller, "posts?account=acme&text=first").await;
    assert_eq!(posts[0]["app"], APP);
    assert_eq!(posts.as_array().unwrap().len(), 1);
    assert_eq!(read(&caller, "messages?account=ann").await[0]["text"], "hi");
    let bill = read(&caller, &format!("bill?app={APP}")).await;
    assert_eq!(bill["lines"]["post"]["micro_usd"], 15_000);
}

#[actix_web::test]
async fn the_page_shows_an_answer_below_what_it_answers() {
    let caller = Caller::new().await;
    let stage = &caller.stage;
    let mention = stage.post(stage.ann, "@acme my printer burns");
    stage.post(stage.bob, "nothing to do with it");
    caller.reply(mention, "Put it out <first>").await;
    let path = format!("/2/dm_conversations/with/{}/messages", stage.ann);
    caller.post(&path, &json!({ "text": "the manual" })).await;
    let page = caller.http.get(caller.url("/")).send().await.unwrap();
    let page = page.text().await.unwrap();
    let posts = page.split("<h2>Posts</h2>").nth(1).unwrap();
    let at = |text: &str| posts.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(at("my printer burns") < at("Put it out &lt;first&gt;"));
    assert!(
        at("Put it out") < at("nothing to do with it"),
        "newest activity first"
    );
    assert!(posts.contains("by API: acme-app"));
    assert!(at("@acme and @ann") < at("the manual"));
}

#[actix_web::test]
async fn a_script_drives_the_stream_and_what_no_webhook_is_told_of() {
    let caller = Caller::new().await;
    let (stage, simulator) = (&caller.stage, caller.simulator());
    assert_eq!(read(&caller, "streams").await, json!([]));
    let rule = json!({ "app": APP, "value": "printer" });
    let rule: Value = write(&caller, "rules", rule).await.json().await.unwrap();
    assert!(rule["id"].is_string());
    let wrong = caller
        .http
        .post(caller.url("/control/rules"))
        .json(&json!({ "app": APP, "value": "(" }));
    assert_eq!(wrong.send().await.unwrap().status(), 400);
    let cut = json!({ "app": APP, "what": "cut" });
    let met: Value = write(&caller, "stream", cut).await.json().await.unwrap();
    assert_eq!(met["met"], 0);
    let error = json!({ "app": APP, "what": { "error": { "ends": false } } });
    assert_eq!(write(&caller, "stream", error).await.status(), 200);

    write(&caller, "silence", json!({ "on": true })).await;
    let post = stage.post(stage.ann, "@acme hello");
    write(&caller, "silence", json!({ "on": false })).await;
    let edit = json!({ "post": post, "text": "@acme hi" });
    let edited: Value = write(&caller, "edit_silently", edit)
        .await
        .json()
        .await
        .unwrap();
    let delete = json!({ "post": edited["id"] });
    assert_eq!(
        write(&caller, "delete_silently", delete).await.status(),
        204
    );
    assert!(
        simulator
            .posts_by(stage.ann)
            .iter()
            .all(|post| post.deleted)
    );
    let scrub = json!({ "account": "ann" });
    assert_eq!(write(&caller, "scrub_geo", scrub).await.status(), 204);
    let closed = json!({ "account": "ann", "deactivated": true });
    assert_eq!(write(&caller, "standing", closed).await.status(), 204);
    let gone = caller.get("/2/users/by/username/ann", &[]).await;
    assert_eq!(gone.status, 404);
    assert!(stage.delivered().await.is_empty(), "nobody was told");
    assert_eq!(simulator.bill(APP).total_micro_usd, 0);
}
