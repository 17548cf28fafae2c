//! Delivering again what an app may have missed.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{Form, Settings};

use super::client::{APP, Answered, Caller};
use crate::webhook::Challenge;

const REPLAY: &str = "/2/webhooks/replay";
const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    caller: Caller,
    webhook_id: String,
}

impl Scene {
    async fn new() -> Self {
        let caller = Caller::with(Settings::default()).await;
        let apps: Vec<Value> = reqwest::get(caller.url("/control/apps"))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let webhook_id = apps[0]["webhook_id"].as_str().unwrap().to_owned();
        Self { caller, webhook_id }
    }

    /// So many minutes ago, as X wants it.
    fn ago(&self, minutes: u64) -> String {
        let time = self.caller.simulator().now() - MINUTE * u32::try_from(minutes).unwrap();
        time.strftime("%Y%m%d%H%M").to_string()
    }

    async fn order(&self, from: &str, to: &str) -> Answered {
        let body = json!({ "webhook_id": self.webhook_id, "from_date": from, "to_date": to });
        self.caller.write_as_app(REPLAY, &body).await
    }

    async fn replay(&self, from: u64, to: u64) -> Answered {
        self.order(&self.ago(from), &self.ago(to)).await
    }

    /// The texts of the posts, and the end of the job, that came after so many deliveries.
    async fn came_after(&self, count: usize) -> Vec<String> {
        let bodies = self.caller.stage.delivered().await;
        let told = bodies.iter().skip(count).map(|body| {
            let text = body.pointer("/data/payload/text");
            let text = text.or_else(|| body.pointer("/data/payload/data/text"));
            let state = body.pointer("/replay_job_status/job_state");
            text.or(state).unwrap().as_str().unwrap().to_owned()
        });
        told.collect()
    }
}

fn reason(answered: &Answered) -> &str {
    let message = answered.body["errors"][0]["message"].as_str().unwrap();
    message.split(':').next().unwrap()
}

#[actix_web::test]
async fn what_was_delivered_or_tried_in_the_span_comes_again_and_then_the_end() {
    let scene = Scene::new().await;
    let stage = &scene.caller.stage;
    let simulator = &stage.simulator;
    stage.post(stage.ann, "@acme too early");
    simulator.advance(MINUTE * 10);
    stage.post(stage.ann, "@acme delivered");
    stage.settled().await;
    stage.webhook.answer(&[500, 500, 500, 500]);
    stage.post(stage.ann, "@acme lost");
    stage.settled().await;
    simulator.silence(true);
    stage.post(stage.ann, "@acme never tried");
    simulator.silence(false);
    simulator.advance(MINUTE * 10);
    stage.post(stage.ann, "@acme too late");
    stage.settled().await;
    simulator.advance(MINUTE * 40);
    let before = stage.delivered().await.len();
    let ordered = scene.replay(55, 45).await;
    assert_eq!(ordered.status, 200);
    let job = ordered.body["data"]["job_id"].as_str().unwrap().to_owned();
    assert!(ordered.body["data"]["created_at"].is_string());
    let came = scene.came_after(before).await;
    assert_eq!(came, ["@acme delivered", "@acme lost", "Complete"]);
    let bodies = stage.webhook.bodies();
    let end = &bodies.last().unwrap()["replay_job_status"];
    assert_eq!(end["job_id"], job);
    assert_eq!(end["webhook_id"], scene.webhook_id);
    assert!(bodies[before..].iter().all(|body| body != &Value::Null));
    let first = bodies
        .iter()
        .position(|body| body.to_string().contains("@acme delivered"));
    assert_eq!(
        bodies[first.unwrap()],
        bodies[before],
        "no mark but its old time"
    );
}

#[actix_web::test]
async fn a_job_that_fails_in_part_says_so_and_is_not_repeated() {
    let scene = Scene::new().await;
    let stage = &scene.caller.stage;
    for text in ["@acme one", "@acme two"] {
        stage.post(stage.ann, text);
    }
    let before = stage.delivered().await.len();
    stage.simulator.advance(MINUTE * 40);
    stage.webhook.answer(&[503]);
    assert_eq!(scene.replay(60, 30).await.status, 200);
    let came = scene.came_after(before).await;
    assert_eq!(came, ["@acme one", "@acme two", "Incomplete"]);
    let again = stage.webhook.received().len();
    assert_eq!(scene.replay(60, 30).await.status, 200, "another may follow");
    let came = scene.came_after(again).await;
    assert_eq!(came, ["@acme one", "@acme two", "Complete"]);
}

#[actix_web::test]
async fn spans_that_x_does_not_serve_are_refused() {
    let scene = Scene::new().await;
    scene.caller.simulator().advance(MINUTE);
    for (from, to) in [(25 * 60, 60), (30, 20), (60, 9), (60, 60), (50, 55)] {
        let refused = scene.replay(from, to).await;
        assert_eq!(
            (refused.status, reason(&refused)),
            (400, "QueryParamInvalid")
        );
    }
    let refused = scene.order("202613010000", &scene.ago(30)).await;
    assert_eq!(reason(&refused), "QueryParamInvalid");
    assert_eq!(scene.replay(32, 11).await.status, 200);
}

#[actix_web::test]
async fn only_webhooks_of_the_app_that_answer_a_crc_are_served() {
    let mut scene = Scene::new().await;
    scene
        .caller
        .stage
        .webhook
        .meet_challenges(Challenge::WrongSecret);
    let refused = scene.replay(60, 30).await;
    assert_eq!(
        (refused.status, reason(&refused)),
        (400, "CrcValidationFailed")
    );
    scene
        .caller
        .stage
        .webhook
        .meet_challenges(Challenge::Correct);
    assert_eq!(scene.replay(60, 30).await.status, 200, "the job is void");
    scene.webhook_id = "123".to_owned();
    let refused = scene.replay(60, 30).await;
    assert_eq!(
        (refused.status, reason(&refused)),
        (400, "WebhookIdInvalid")
    );
}

#[actix_web::test]
async fn one_job_runs_at_a_time() {
    let scene = Scene::new().await;
    let stage = &scene.caller.stage;
    let posts = 50;
    for number in 0..posts {
        stage.post(stage.ann, &format!("@acme {number}"));
    }
    let before = stage.delivered().await.len();
    stage.simulator.advance(MINUTE * 40);
    stage.webhook.hold();
    assert_eq!(scene.replay(60, 30).await.status, 200);
    let refused = scene.replay(60, 30).await;
    assert_eq!(
        (refused.status, reason(&refused)),
        (409, "ReplayConflictError")
    );
    stage.webhook.let_go();
    assert_eq!(scene.came_after(before).await.len(), posts + 1);
}

#[actix_web::test]
async fn a_webhook_without_account_activity_hears_of_the_end_too() {
    let scene = Scene::new().await;
    let stage = &scene.caller.stage;
    assert_eq!(
        stage
            .told(stage.post(stage.ann, "@acme hi"), Form::Activity)
            .len(),
        1
    );
    stage.settled().await;
    stage.simulator.advance(MINUTE * 40);
    scene.replay(60, 30).await;
    let bodies = stage.delivered().await;
    assert!(bodies.last().unwrap()["replay_job_status"].is_object());
    let names = stage.simulator.deliveries();
    assert_eq!(names.last().unwrap().events, ["replay_job_status"]);
    assert_eq!(names.last().unwrap().app, APP);
}
