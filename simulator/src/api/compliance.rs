//! Batch compliance: an app hands in ids, and is told which of them it has to forget.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path, Payload, ServiceConfig, get, put};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::incoming::read_body;
use super::problem::{self, Missing, Reason};
use super::rules::known;
use super::serve::Call;
use crate::forms::json::{non_empty, with};
use crate::model::{Post, User, UserId, World, format};
use crate::simulator::Simulator;

/// How long the address for the ids can be used.
const UPLOAD_LIFE_MS: i64 = 15 * 60 * 1000;
/// How long the result can be fetched.
const DOWNLOAD_LIFE_MS: i64 = 7 * 24 * 3600 * 1000;
const TIME: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

/// What the ids are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Tweets,
    Users,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewJob {
    r#type: Kind,
    name: Option<String>,
    #[serde(default)]
    resumable: bool,
}

/// How far a job is.
#[derive(Clone, Debug)]
enum Stage {
    /// The ids are awaited.
    Created,
    /// They are looked at; complete after so many looks.
    InProgress { ids: Vec<u64>, looks_left: u32 },
    /// The result, a line for each id with a finding.
    Complete(String),
}

struct Job {
    app: String,
    kind: Kind,
    name: Option<String>,
    resumable: bool,
    created_at_ms: i64,
    /// What makes its addresses hard to guess.
    key: String,
    /// What its addresses begin with.
    base: String,
    stage: Stage,
}

/// All jobs, by id.
#[derive(Default)]
pub(crate) struct Jobs(BTreeMap<u64, Job>);

impl Job {
    fn status(&self, now_ms: i64) -> &'static str {
        let is_older_than = |life| now_ms >= self.created_at_ms + life;
        match self.stage {
            Stage::Created if is_older_than(UPLOAD_LIFE_MS) => "expired",
            _ if is_older_than(DOWNLOAD_LIFE_MS) => "expired",
            Stage::Created => "created",
            Stage::InProgress { .. } => "in_progress",
            Stage::Complete(_) => "complete",
        }
    }

    /// A look at it brings it on.
    fn look(&mut self, world: &World, now_ms: i64) {
        if let Stage::InProgress { ids, looks_left } = &mut self.stage {
            if *looks_left > 0 {
                *looks_left -= 1;
                return;
            }
            let lines = ids.iter().filter_map(|id| match self.kind {
                Kind::Tweets => post_finding(world, *id, now_ms),
                Kind::Users => user_finding(world, *id),
            });
            let lines: String = lines.map(|line| format!("{line}\n")).collect();
            self.stage = Stage::Complete(lines);
        }
    }

    fn shown(&self, id: u64, now_ms: i64) -> Value {
        let time = |ms| format(ms, TIME);
        let address = |what| format!("{}/compliance/{what}/{id}/{}", self.base, self.key);
        let job = json!({
            "id": id.to_string(),
            "type": self.kind,
            "status": self.status(now_ms),
            "resumable": self.resumable,
            "created_at": time(self.created_at_ms),
            "upload_url": address("upload"),
            "upload_expires_at": time(self.created_at_ms + UPLOAD_LIFE_MS),
            "download_url": address("download"),
            "download_expires_at": time(self.created_at_ms + DOWNLOAD_LIFE_MS),
        });
        with(job, "name", self.name.as_ref().map(|name| json!(name)))
    }
}

/// `POST /2/compliance/jobs`
pub(super) fn create(call: Call<'_>) -> Outcome {
    known(&call, &[])?;
    let new: NewJob = call.incoming.json()?;
    let (id, now_ms) = (call.world.next_id(), call.world.now_ms());
    let drawn = call.world.draw(&format!("compliance/{id}"));
    let base = call
        .incoming
        .address
        .split("/2/")
        .next()
        .unwrap_or_default();
    let job = Job {
        app: call.caller.app.clone(),
        kind: new.r#type,
        name: new.name,
        resumable: new.resumable,
        created_at_ms: now_ms,
        key: drawn.iter().map(|byte| format!("{byte:02x}")).collect(),
        base: base.to_owned(),
        stage: Stage::Created,
    };
    let body = json!({ "data": job.shown(id, now_ms) });
    call.state.compliance.0.insert(id, job);
    Ok(Answer::ok(&body).with_effect(id, None))
}

/// `GET /2/compliance/jobs?type=&status=`
pub(super) fn list(call: Call<'_>) -> Outcome {
    known(&call, &["type", "status", "compliance_job.fields"])?;
    let given = call.incoming.parameter("type").unwrap_or_default();
    let kind: Kind = serde_json::from_value(json!(given)).map_err(|_unknown| {
        problem::invalid("type", given, "`type` is not one of [tweets,users]")
    })?;
    let status = call.incoming.parameter("status");
    let now_ms = call.world.now_ms();
    let mut data = Vec::new();
    for (id, job) in &mut call.state.compliance.0 {
        if job.app == call.caller.app && job.kind == kind {
            job.look(call.world, now_ms);
            if status.is_none_or(|wanted| wanted == job.status(now_ms)) {
                data.push(job.shown(*id, now_ms));
            }
        }
    }
    let meta = json!({ "result_count": data.len() });
    let body = with(json!({}), "data", non_empty(data));
    Ok(Answer::ok(&with(body, "meta", Some(meta))))
}

/// `GET /2/compliance/jobs/{id}`
pub(super) fn one(call: Call<'_>) -> Outcome {
    known(&call, &["compliance_job.fields"])?;
    let (raw, now_ms) = (&call.incoming.id, call.world.now_ms());
    let id = raw.parse().unwrap_or_default();
    let job = call.state.compliance.0.get_mut(&id);
    let job = job
        .filter(|job| job.app == call.caller.app)
        .ok_or_else(|| {
            let missing = Missing {
                resource: "compliance_job",
                parameter: "id",
                value: raw.clone(),
                reason: Reason::Gone,
            };
            missing.answer()
        })?;
    job.look(call.world, now_ms);
    Ok(Answer::ok(&json!({ "data": job.shown(id, now_ms) })))
}

/// What X says of a post; nothing where there is nothing to do.
fn post_finding(world: &World, id: u64, now_ms: i64) -> Option<Value> {
    let post = world.any_post(crate::model::PostId(id))?;
    let author = world.user(post.author).ok()?;
    let reason = match post.deleted {
        true => "deleted",
        false => closed(author).or_else(|| scrubbed(world, author.id, post))?,
    };
    let redacted_at = world.redacted_at_ms(post.id).unwrap_or(now_ms);
    Some(json!({
        "id": post.id,
        "action": action(reason),
        "created_at": format(post.created_at_ms, TIME),
        "redacted_at": format(redacted_at, TIME),
        "reason": reason,
    }))
}

fn user_finding(world: &World, id: u64) -> Option<Value> {
    let user = world.user(UserId(id)).ok()?;
    let is_scrubbed = world.scrubbed_at_ms(user.id).is_some();
    let reason = closed(user).or_else(|| is_scrubbed.then_some("scrub_geo"))?;
    Some(json!({
        "id": user.id,
        "action": action(reason),
        "created_at": format(user.created_at_ms, TIME),
        "reason": reason,
    }))
}

fn closed(user: &User) -> Option<&'static str> {
    let standing = user.standing;
    let states = [
        (standing.deactivated, "deactivated"),
        (standing.suspended, "suspended"),
        (user.protected, "protected"),
    ];
    let mut found = states.into_iter().filter(|(is_so, _)| *is_so);
    found.next().map(|(_, reason)| reason)
}

fn scrubbed(world: &World, author: UserId, post: &Post) -> Option<&'static str> {
    let at_ms = world.scrubbed_at_ms(author)?;
    (post.created_at_ms <= at_ms).then_some("scrub_geo")
}

fn action(reason: &str) -> &str {
    match reason {
        "scrub_geo" => reason,
        _ => "delete",
    }
}

/// Where ids go and results come from; whoever knows the address may.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/compliance/upload/{id}/{key}", put().to(upload))
        .route("/compliance/download/{id}/{key}", get().to(download));
}

async fn upload(
    simulator: Data<Simulator>,
    path: Path<(u64, String)>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let kind = request.headers().get("content-type");
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain")) {
        return HttpResponse::Forbidden().body("SignatureDoesNotMatch");
    }
    let Ok(body) = read_body(payload).await else {
        return HttpResponse::BadRequest().finish();
    };
    let text = String::from_utf8_lossy(&body);
    let ids: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
    let mut state = simulator.api().state();
    let now_ms = simulator.world().lock().now_ms();
    let looks_left = state.settings.compliance_looks;
    match (state.compliance.at(&path), ids) {
        (None, _) => HttpResponse::NotFound().finish(),
        (Some(_), Err(_)) => HttpResponse::BadRequest().body("an id in each line"),
        (Some(job), Ok(ids)) if job.status(now_ms) == "created" => {
            job.stage = Stage::InProgress { ids, looks_left };
            HttpResponse::Ok().finish()
        }
        (Some(_), Ok(_)) => HttpResponse::Forbidden().body("ExpiredToken"),
    }
}

async fn download(simulator: Data<Simulator>, path: Path<(u64, String)>) -> HttpResponse {
    let mut state = simulator.api().state();
    let now_ms = simulator.world().lock().now_ms();
    match state.compliance.at(&path) {
        None => HttpResponse::NotFound().finish(),
        Some(job) if job.status(now_ms) == "expired" => {
            HttpResponse::Forbidden().body("ExpiredToken")
        }
        Some(job) => match &job.stage {
            Stage::Complete(lines) => HttpResponse::Ok()
                .content_type("application/json")
                .body(lines.clone()),
            _ => HttpResponse::NotFound().finish(),
        },
    }
}

impl Jobs {
    fn at(&mut self, (id, key): &(u64, String)) -> Option<&mut Job> {
        self.0.get_mut(id).filter(|job| job.key == *key)
    }
}
