//! How many posts were read.

use std::time::Duration;

use serde_json::json;

use super::client::{APP, Caller};

const USAGE: &str = "/2/usage/tweets";

#[actix_web::test]
async fn posts_read_are_counted_by_day() {
    let caller = Caller::new().await;
    let none = caller.read_as_app(USAGE, &[]).await;
    assert_eq!(none.body["data"]["project_usage"], "0");
    let post = caller.stage.post(caller.stage.ann, "a");
    let path = format!("/2/tweets/{post}");
    caller.read_as_app(&path, &[]).await;
    caller.read_as_app(&path, &[]).await;
    caller.simulator().advance(Duration::from_secs(24 * 3600));
    caller.read_as_app(&path, &[]).await;
    let fields = "daily_project_usage,daily_client_app_usage";
    let told = caller.read_as_app(USAGE, &[("usage.fields", fields)]).await;
    let data = &told.body["data"];
    assert_eq!(data["project_usage"], "2", "once a day each");
    assert_eq!(data["project_cap"], "3000000");
    let days = json!([
        { "date": "2026-03-02T00:00:00.000Z", "usage": "1" },
        { "date": "2026-03-03T00:00:00.000Z", "usage": "1" },
    ]);
    assert_eq!(data["daily_project_usage"]["usage"], days);
    assert_eq!(data["daily_client_app_usage"][0]["usage"], days);
    let today = [("days", "1"), ("usage.fields", fields)];
    let today = caller.read_as_app(USAGE, &today).await;
    let usage = today.body["data"]["daily_project_usage"]["usage"]
        .as_array()
        .unwrap();
    assert_eq!(usage.len(), 1);
    assert_eq!(
        caller.read_as_app(USAGE, &[("days", "91")]).await.status,
        400
    );
    assert_eq!(
        caller.get(USAGE, &[]).await.status,
        403,
        "the app's own matter"
    );
    caller.simulator().set_credit(APP, Some(0));
    assert_eq!(caller.read_as_app(USAGE, &[]).await.status, 402);
}
