//! Batch compliance jobs.

use reqwest::Response;
use serde_json::{Value, json};
use simulator::NewPost;

use super::client::Caller;

const JOBS: &str = "/2/compliance/jobs";

async fn create(caller: &Caller, kind: &str) -> Value {
    let created = caller
        .write_as_app(JOBS, &json!({ "type": kind, "name": "daily" }))
        .await;
    assert_eq!(created.status, 200);
    created.body["data"].clone()
}

async fn upload(caller: &Caller, job: &Value, ids: &str) -> Response {
    let url = job["upload_url"].as_str().unwrap();
    let request = caller.http.put(url).header("content-type", "text/plain");
    request.body(ids.to_owned()).send().await.unwrap()
}

async fn look(caller: &Caller, job: &Value) -> Value {
    let path = format!("{JOBS}/{}", job["id"].as_str().unwrap());
    caller.read_as_app(&path, &[]).await.body["data"].clone()
}

async fn download(caller: &Caller, job: &Value) -> Response {
    let url = job["download_url"].as_str().unwrap();
    caller.http.get(url).send().await.unwrap()
}

/// Ids, actions and reasons.
async fn findings(caller: &Caller, kind: &str, ids: &[u64]) -> Vec<(String, String, String)> {
    let job = create(caller, kind).await;
    let lines: Vec<String> = ids.iter().map(u64::to_string).collect();
    assert_eq!(upload(caller, &job, &lines.join("\n")).await.status(), 200);
    while look(caller, &job).await["status"] != "complete" {}
    let text = download(caller, &job).await.text().await.unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| line[name].as_str().unwrap().to_owned();
        assert!(field("created_at").ends_with('Z'));
        (field("id"), field("action"), field("reason"))
    });
    lines.collect()
}

#[actix_web::test]
async fn a_job_goes_from_created_over_in_progress_to_complete() {
    let caller = Caller::new().await;
    let post = caller.stage.post(caller.stage.ann, "a");
    let job = create(&caller, "tweets").await;
    assert_eq!(job["status"], "created");
    assert_eq!(job["type"], "tweets");
    assert_eq!(download(&caller, &job).await.status(), 404);
    assert_eq!(look(&caller, &job).await["status"], "created");
    assert_eq!(upload(&caller, &job, &post.to_string()).await.status(), 200);
    assert_eq!(look(&caller, &job).await["status"], "in_progress");
    assert_eq!(download(&caller, &job).await.status(), 404);
    assert_eq!(look(&caller, &job).await["status"], "complete");
    let result = download(&caller, &job).await;
    assert_eq!(result.status(), 200);
    assert_eq!(
        result.text().await.unwrap(),
        "",
        "there is nothing to forget"
    );
    assert_eq!(upload(&caller, &job, "1").await.status(), 403, "once only");
}

#[actix_web::test]
async fn what_became_of_posts_is_told() {
    let caller = Caller::new().await;
    let (stage, simulator) = (&caller.stage, caller.simulator());
    let kept = stage.post(stage.ann, "kept");
    let gone = stage.post(stage.ann, "gone");
    let own = stage.post(stage.bob, "own");
    simulator.delete_silently(gone).unwrap();
    let ids = [kept.0, gone.0, own.0, 1];
    let told = |id: u64, action: &str, reason: &str| {
        (id.to_string(), action.to_owned(), reason.to_owned())
    };
    let deleted = told(gone.0, "delete", "deleted");
    assert_eq!(
        findings(&caller, "tweets", &ids).await,
        std::slice::from_ref(&deleted)
    );
    simulator.set_protected(stage.bob, true).unwrap();
    let protected = told(own.0, "delete", "protected");
    assert_eq!(
        findings(&caller, "tweets", &ids).await,
        [deleted.clone(), protected]
    );
    simulator.set_suspended(stage.bob, true).unwrap();
    let suspended = told(own.0, "delete", "suspended");
    assert_eq!(
        findings(&caller, "tweets", &ids).await,
        [deleted.clone(), suspended]
    );
    simulator.set_deactivated(stage.bob, true).unwrap();
    let deactivated = told(own.0, "delete", "deactivated");
    assert_eq!(
        findings(&caller, "tweets", &ids).await,
        [deleted.clone(), deactivated]
    );
    simulator.scrub_geo(stage.ann).unwrap();
    let later = simulator.post(NewPost::by(stage.ann, "later")).unwrap();
    let scrubbed = told(kept.0, "scrub_geo", "scrub_geo");
    let ids = [kept.0, gone.0, later.0];
    assert_eq!(findings(&caller, "tweets", &ids).await, [scrubbed, deleted]);
}

#[actix_web::test]
async fn what_became_of_users_is_told() {
    let caller = Caller::new().await;
    let (stage, simulator) = (&caller.stage, caller.simulator());
    let ids = [stage.ann.0, stage.bob.0, stage.acme.0];
    assert_eq!(findings(&caller, "users", &ids).await, []);
    simulator.set_suspended(stage.ann, true).unwrap();
    simulator.scrub_geo(stage.bob).unwrap();
    let reasons: Vec<String> = findings(&caller, "users", &ids)
        .await
        .into_iter()
        .map(|(_, _, reason)| reason)
        .collect();
    assert_eq!(reasons, ["suspended", "scrub_geo"]);
}

#[actix_web::test]
async fn jobs_are_listed_by_type_and_status_and_expire() {
    let caller = Caller::new().await;
    let job = create(&caller, "tweets").await;
    let list = async |query: &[(&str, &str)]| caller.read_as_app(JOBS, query).await;
    assert_eq!(list(&[]).await.status, 400);
    let listed = list(&[("type", "tweets"), ("status", "created")]).await;
    assert_eq!(listed.body["data"][0]["id"], job["id"]);
    assert_eq!(
        list(&[("type", "users")]).await.body["meta"]["result_count"],
        0
    );
    caller
        .simulator()
        .advance(std::time::Duration::from_secs(901));
    assert_eq!(look(&caller, &job).await["status"], "expired");
    assert_eq!(upload(&caller, &job, "1").await.status(), 403);
    let unknown = caller.read_as_app(&format!("{JOBS}/1"), &[]).await;
    assert_eq!(unknown.status, 404);
    let unknown = caller.write_as_app(JOBS, &json!({ "type": "dms" })).await;
    assert_eq!(unknown.status, 400);
}
