//! The rules of the filtered stream.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{APP, Answered, Caller};

const RULES: &str = "/2/tweets/search/stream/rules";

async fn add(caller: &Caller, rules: Value) -> Answered {
    caller.write_as_app(RULES, &json!({ "add": rules })).await
}

fn values(listed: &Answered) -> Vec<&str> {
    let data = listed.body["data"].as_array();
    let rules = data.map(Vec::as_slice).unwrap_or_default().iter();
    rules.map(|rule| rule["value"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn rules_are_added_listed_counted_and_taken_away() {
    let caller = Caller::new().await;
    assert!(values(&caller.read_as_app(RULES, &[]).await).is_empty());
    let two = json!([{ "value": "printer", "tag": "p" }, { "value": "from:ann -is:retweet" }]);
    let added = add(&caller, two).await;
    assert_eq!(added.status, 201);
    assert_eq!(added.body["meta"]["summary"]["created"], 2);
    assert_eq!(added.body["data"][0]["tag"], "p");
    assert!(added.body["data"][1].get("tag").is_none());
    let id = added.body["data"][0]["id"].as_str().unwrap().to_owned();

    let listed = caller.read_as_app(RULES, &[]).await;
    assert_eq!(values(&listed), ["printer", "from:ann -is:retweet"]);
    assert_eq!(listed.body["meta"]["result_count"], 2);
    let one = caller.read_as_app(RULES, &[("ids", &id)]).await;
    assert_eq!(values(&one), ["printer"]);
    let counts = caller.read_as_app(&format!("{RULES}/counts"), &[]).await;
    let counts = &counts.body["data"];
    assert_eq!(counts["client_app_rules_count"]["rule_count"], 2);
    assert_eq!(counts["cap_per_client_app"], "1000");

    let gone = json!({ "delete": { "ids": [id, "1"] } });
    let gone = caller.write_as_app(RULES, &gone).await;
    let summary = json!({ "deleted": 1, "not_deleted": 1 });
    assert_eq!(gone.body["meta"]["summary"], summary);
    let gone = json!({ "delete": { "values": ["from:ann -is:retweet"] } });
    caller.write_as_app(RULES, &gone).await;
    assert!(values(&caller.read_as_app(RULES, &[]).await).is_empty());

    add(&caller, json!([{ "value": "printer" }])).await;
    let all = [("delete_all", "true")];
    let all = caller.as_app(Method::POST, RULES, &all, None).await;
    assert_eq!(all.body["meta"]["summary"]["deleted"], 1);
    assert!(values(&caller.read_as_app(RULES, &[]).await).is_empty());
}

#[actix_web::test]
async fn a_dry_run_checks_and_changes_nothing() {
    let caller = Caller::new().await;
    let rules = json!({ "add": [{ "value": "printer" }, { "value": "is:retweet" }] });
    let tried = caller
        .as_app(Method::POST, RULES, &[("dry_run", "true")], Some(&rules))
        .await;
    let summary = &tried.body["meta"]["summary"];
    assert_eq!(
        (&summary["valid"], &summary["invalid"]),
        (&json!(1), &json!(1))
    );
    assert!(values(&caller.read_as_app(RULES, &[]).await).is_empty());
}

#[actix_web::test]
async fn what_is_wrong_with_a_rule_is_said_beside_those_that_are_right() {
    let caller = Caller::new().await;
    add(&caller, json!([{ "value": "printer" }])).await;
    let long = "a".repeat(1_025);
    let longest = "b".repeat(1_024);
    let added = add(
        &caller,
        json!([{ "value": "printer" }, { "value": long }, { "value": "(a" }, { "value": longest }]),
    )
    .await;
    let kinds: Vec<&str> = added.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["type"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(kinds, ["duplicate-rules", "rule-length", "invalid-rules"]);
    assert_eq!(added.body["meta"]["summary"]["created"], 1);
    assert_eq!(values(&caller.read_as_app(RULES, &[]).await).len(), 2);

    for wrong in [
        json!({}),
        json!({ "add": [], "delete": { "ids": [] }, "more": 1 }),
    ] {
        assert_eq!(caller.write_as_app(RULES, &wrong).await.status, 400);
    }
}

#[actix_web::test]
async fn there_is_a_most_of_rules() {
    let caller = Caller::new().await;
    for number in 0..999 {
        let rule = format!("printer{number}");
        caller.simulator().add_rule(APP, &rule, "").unwrap();
    }
    let two = json!([{ "value": "a" }, { "value": "b" }]);
    let refused = add(&caller, two).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body["type"].as_str().unwrap().ends_with("rule-cap"));
    assert_eq!(add(&caller, json!([{ "value": "a" }])).await.status, 201);
}

#[actix_web::test]
async fn rules_are_the_apps_own_matter() {
    let caller = Caller::new().await;
    let user = caller.get(RULES, &[]).await;
    assert_eq!(user.status, 403);
    let kind = user.body["type"].as_str().unwrap();
    assert!(kind.ends_with("unsupported-authentication"));
    caller.simulator().set_credit(APP, Some(0));
    assert_eq!(caller.read_as_app(RULES, &[]).await.status, 402);
}
