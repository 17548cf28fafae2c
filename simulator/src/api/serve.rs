//! The way of a call: read, checked, done, answered, with whatever shall go wrong on the way.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::auth::{self, Verdict};
use super::calls::ApiCall;
use super::endpoint::Endpoint;
use super::faults::{Fault, FaultKind, Subject};
use super::incoming::{Incoming, Unread};
use super::settings::{Echo, EchoWhen};
use super::wire::Wire;
use super::{State, media, messages, posts, problem, search, subscriptions, timelines, users};
use super::{compliance, message_media, replay, rules, stream, usage, webhooks};
use crate::model::World;
use crate::simulator::Simulator;

/// What a call works with.
pub(super) struct Call<'a> {
    pub(super) caller: &'a auth::Caller,
    pub(super) incoming: &'a Incoming,
    pub(super) state: &'a mut State,
    pub(super) world: &'a mut World,
    /// The fields of a multipart body.
    pub(super) parts: &'a [(String, bytes::Bytes)],
}

pub(super) async fn serve(
    endpoint: Endpoint,
    simulator: Data<Simulator>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let wire = Wire::of(&request);
    let began = Began::now(&simulator, endpoint);
    if let Some(fault) = began.fault(None, None) {
        let head = Incoming::head(&request);
        began.note(&head, None, Some(&fault), &Answer::default());
        return broken(wire.as_ref(), Wire::reset);
    }
    let incoming = match Incoming::read(&request, payload).await {
        Ok(incoming) => incoming,
        Err(unread) => {
            let answer = match unread {
                Unread::TooLarge => *problem::blank(413, "Payload Too Large", "Payload Too Large"),
                Unread::BrokenOff => *problem::blank(400, "Bad Request", "Bad Request"),
            };
            began.note(&Incoming::head(&request), None, None, &answer);
            return respond(&answer);
        }
    };
    // X goes on with a call whose caller has gone away, so it is a task of its own.
    let tasks = simulator.tasks().clone();
    let answered = tasks.spawn(answer(began, incoming)).await;
    match answered {
        Ok((answer, fault)) => send(wire.as_ref(), &answer, fault.as_ref()),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// A call that has come.
struct Began {
    simulator: Data<Simulator>,
    endpoint: Endpoint,
    at: Timestamp,
    instant: Instant,
}

impl Drop for Began {
    fn drop(&mut self) {
        self.simulator.api().calls.end();
    }
}

impl Began {
    fn now(simulator: &Data<Simulator>, endpoint: Endpoint) -> Self {
        simulator.api().calls.begin();
        Self {
            simulator: simulator.clone(),
            endpoint,
            at: simulator.now(),
            instant: Instant::now(),
        }
    }

    fn fault(&self, body: Option<&str>, caller: Option<&auth::Caller>) -> Option<Fault> {
        let subject = Subject {
            endpoint: self.endpoint,
            body,
            account: caller.and_then(|caller| caller.user),
        };
        self.simulator.api().state().faults.take(&subject)
    }

    fn note(
        &self,
        incoming: &Incoming,
        caller: Option<&auth::Caller>,
        fault: Option<&Fault>,
        answer: &Answer,
    ) {
        let sent = !fault.is_some_and(|fault| is_silent(&fault.what));
        self.simulator.api().calls.note(ApiCall {
            id: 0,
            at: self.at,
            took: self.instant.elapsed(),
            endpoint: self.endpoint,
            method: incoming.method.clone(),
            target: incoming.target.clone(),
            scheme: incoming.scheme(),
            content_type: incoming.content_type.clone(),
            app: caller.map(|caller| caller.app.clone()),
            account: caller.and_then(|caller| caller.user),
            body: incoming.shown_body(),
            effect: answer.effect.clone(),
            status: (sent && answer.status > 0).then_some(answer.status),
            answer: String::from_utf8_lossy(&answer.body).into_owned(),
            answer_length: raw(answer).len(),
            fault: fault.map(|fault| fault.what.name()),
        });
    }
}

/// Whether the client hears nothing that it could take for an answer.
fn is_silent(what: &FaultKind) -> bool {
    matches!(
        what,
        FaultKind::AnswerLost
            | FaultKind::AnswerReset
            | FaultKind::AnswerCut { .. }
            | FaultKind::ResetAfterReading
            | FaultKind::ResetBeforeReading
    )
}

async fn answer(began: Began, incoming: Incoming) -> (Answer, Option<Fault>) {
    let simulator = began.simulator.clone();
    let parts = parts(&incoming).await;
    let verdict = authenticate(&began, &incoming);
    let caller = verdict.as_ref().ok().cloned();
    let fault = began.fault(Some(&incoming.matched_body()), caller.as_ref());
    let what = fault.as_ref().map(|fault| &fault.what);
    pause(fault.as_ref().map_or(0, |fault| fault.before_ms)).await;
    let happens = what.is_none_or(FaultKind::lets_happen);
    let mut answer = Answer::default();
    if happens {
        let echo = fault.as_ref().and_then(|fault| fault.echo);
        let fails = what == Some(&FaultKind::ProcessingFails);
        let (done, deliveries) = perform(&began, &incoming, parts, verdict, echo, fails);
        answer = webhooks::checked(&simulator, done).await;
        simulator.first_attempts(&deliveries).await;
        if let Some(job) = answer.replay.take() {
            answer = replay::begin(&simulator, job, answer).await;
        }
    }
    if let Some(what) = what {
        answer = distort(&began, what, caller.as_ref(), answer);
    }
    answer.headers.push(date(simulator.now()));
    pause(fault.as_ref().map_or(0, |fault| fault.after_ms)).await;
    began.note(&incoming, caller.as_ref(), fault.as_ref(), &answer);
    (answer, fault)
}

/// X's clock, by which callers set theirs; in the place of the server's.
fn date(now: Timestamp) -> super::windows::Header {
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    ("date".to_owned(), date)
}

/// The fields of a multipart body, or why they cannot be read.
type Parts = Result<Vec<(String, bytes::Bytes)>, Box<Answer>>;

async fn parts(incoming: &Incoming) -> Parts {
    if !incoming.is("multipart/form-data") {
        return Ok(Vec::new());
    }
    let read = incoming.multipart().await;
    read.map_err(|error| problem::invalid("body", "", &error.to_string()))
}

fn authenticate(began: &Began, incoming: &Incoming) -> Verdict {
    let mut state = began.simulator.api().state();
    let world = began.simulator.world().lock();
    let State {
        tokens, settings, ..
    } = &mut *state;
    auth::authenticate(tokens, settings, &world, incoming)
}

async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// Does what is asked, and sends what others are told of it; the numbers of those deliveries come
/// back when the answer has to wait for them.
fn perform(
    began: &Began,
    incoming: &Incoming,
    parts: Parts,
    verdict: Verdict,
    echo: Option<Echo>,
    processing_fails: bool,
) -> (Answer, Vec<u64>) {
    let simulator = &began.simulator;
    let mut state = simulator.api().state();
    let mut world = simulator.world().lock();
    state.failing_uploads += u32::from(processing_fails);
    let echo = echo.unwrap_or(state.settings.echo);
    let answer = match began.endpoint.is_about_tokens() {
        true => about_tokens(began.endpoint, &mut state, &world, incoming, verdict),
        false => gated(began, &mut state, &mut world, incoming, parts, verdict),
    };
    let mut answer = answer.unwrap_or_else(|refused| *refused);
    let deliveries = match answer.event.take() {
        Some(event) => simulator.echo(&world, &event, echo),
        None => Vec::new(),
    };
    match echo.when {
        EchoWhen::BeforeAnswer => (answer, deliveries),
        EchoWhen::WithEffect | EchoWhen::Never => (answer, Vec::new()),
    }
}

fn about_tokens(
    endpoint: Endpoint,
    state: &mut State,
    world: &World,
    incoming: &Incoming,
    verdict: Verdict,
) -> Outcome {
    let State {
        tokens,
        consents,
        settings,
        ..
    } = state;
    match endpoint {
        Endpoint::RequestToken => auth::request_token(tokens, consents, settings, world, incoming),
        Endpoint::AccessToken => auth::access_token(tokens, consents, settings, world, incoming),
        Endpoint::AppToken => auth::app_token(tokens, world, incoming),
        Endpoint::UserToken => auth::user_token(tokens, consents, settings, world, incoming),
        Endpoint::RevokeUserToken => auth::revoke(tokens, world, incoming),
        _ => auth::invalidate(tokens, world, verdict),
    }
}

/// Token, window and credit come before the call itself.
fn gated(
    began: &Began,
    state: &mut State,
    world: &mut World,
    incoming: &Incoming,
    parts: Parts,
    verdict: Verdict,
) -> Outcome {
    let (endpoint, simulator) = (began.endpoint, &began.simulator);
    let caller = verdict?;
    let level = caller.access_level();
    let level = level.map(|level| ("x-access-level".to_owned(), level.to_owned()));
    let mut headers: Vec<super::windows::Header> = level.into_iter().collect();
    let admitted = auth::admit(&caller, endpoint);
    admitted.map_err(|refused| Box::new(refused.with_headers(headers.clone())))?;
    let now_ms = world.now_ms();
    if state.settings.enforce_limits {
        let (free, counted) = state
            .windows
            .count(endpoint, &caller.app, caller.user, now_ms);
        headers.extend(counted);
        if !free {
            return Err(Box::new(too_many().with_headers(headers)));
        }
    }
    if simulator
        .api()
        .ledger()
        .credit(&caller.app)
        .is_some_and(|left| left <= 0)
    {
        return Err(Box::new(credits_depleted().with_headers(headers)));
    }
    let call = Call {
        caller: &caller,
        incoming,
        state,
        world,
        parts: &parts?,
    };
    let read_on = |day| simulator.api().ledger().posts_read(&caller.app, day);
    let outcome = match endpoint {
        Endpoint::PostUsage => usage::posts(call, read_on),
        _ => run(endpoint, call),
    };
    if let Ok(answer) = &outcome {
        let mut ledger = simulator.api().ledger();
        ledger.charge(&caller.app, &answer.charges, now_ms);
    }
    outcome
        .map(|answer| answer.with_headers(headers.clone()))
        .map_err(|refused| Box::new(refused.with_headers(headers)))
}

fn run(endpoint: Endpoint, call: Call<'_>) -> Outcome {
    match endpoint {
        Endpoint::CreatePost => posts::create(call),
        Endpoint::DeletePost => posts::delete(call),
        Endpoint::HideReply => posts::hide(call),
        Endpoint::GetPost => timelines::post(call),
        Endpoint::GetPosts => timelines::posts(call),
        Endpoint::SearchRecent => search::recent(call),
        Endpoint::UserPosts => timelines::by_user(call),
        Endpoint::UserMentions => timelines::mentions(call),
        Endpoint::Me => users::me(call),
        Endpoint::GetUser => users::by_id(call),
        Endpoint::GetUsers => users::by_ids(call),
        Endpoint::UserByUsername => users::by_name(call),
        Endpoint::UsersByUsername => users::by_names(call),
        Endpoint::SendMessageTo => messages::send_to(call),
        Endpoint::SendMessageIn => messages::send_in(call),
        Endpoint::Messages => messages::all(call),
        Endpoint::MessagesWith => messages::with(call),
        Endpoint::MessagesIn => messages::within(call),
        Endpoint::GetMessage => messages::one(call),
        Endpoint::DeleteMessage => messages::delete(call),
        Endpoint::MediaUpload => media::upload(call),
        Endpoint::MediaInitialize => media::initialize(call),
        Endpoint::MediaAppend => media::append(call),
        Endpoint::MediaFinalize => media::finalize(call),
        Endpoint::MediaStatus => media::status(call),
        Endpoint::MediaMetadata => media::metadata(call),
        Endpoint::CreateWebhook => webhooks::create(call),
        Endpoint::ListWebhooks => webhooks::list(call),
        Endpoint::ValidateWebhook => webhooks::validate(call),
        Endpoint::DeleteWebhook => webhooks::delete(call),
        Endpoint::SubscribeAccount => subscriptions::account::create(call),
        Endpoint::CheckAccount => subscriptions::account::check(call),
        Endpoint::ListAccounts => subscriptions::account::list(call),
        Endpoint::UnsubscribeAccount => subscriptions::account::delete(call),
        Endpoint::CountAccounts => subscriptions::account::count(call),
        Endpoint::CreateActivity => subscriptions::activity::create(call),
        Endpoint::ListActivity => subscriptions::activity::list(call),
        Endpoint::UpdateActivity => subscriptions::activity::update(call),
        Endpoint::DeleteActivity => subscriptions::activity::delete(call),
        Endpoint::DeleteActivities => subscriptions::activity::delete_all(call),
        Endpoint::CreateWebhookV1 => webhooks::v1::create(call),
        Endpoint::ListWebhooksV1 => webhooks::v1::list(call),
        Endpoint::ValidateWebhookV1 => webhooks::v1::validate(call),
        Endpoint::DeleteWebhookV1 => webhooks::v1::delete(call),
        Endpoint::SubscribeV1 => subscriptions::v1::create(call),
        Endpoint::CheckV1 => subscriptions::v1::check(call),
        Endpoint::UnsubscribeV1 | Endpoint::UnsubscribeUserV1 => subscriptions::v1::delete(call),
        Endpoint::ListAccountsV1 => subscriptions::v1::list(call),
        Endpoint::CountAccountsV1 => subscriptions::v1::count(call),
        Endpoint::Stream => stream::connect(call),
        Endpoint::Rules => rules::list(call),
        Endpoint::ChangeRules => rules::change(call),
        Endpoint::RuleCounts => rules::counts(call),
        Endpoint::Replay => replay::order(call),
        Endpoint::CreateComplianceJob => compliance::create(call),
        Endpoint::ComplianceJobs => compliance::list(call),
        Endpoint::ComplianceJob => compliance::one(call),
        Endpoint::MessageMediaFile => message_media::by_address(call),
        Endpoint::MessageMedia => message_media::by_ids(call),
        Endpoint::PostUsage
        | Endpoint::RequestToken
        | Endpoint::AccessToken
        | Endpoint::AppToken
        | Endpoint::UserToken
        | Endpoint::RevokeUserToken
        | Endpoint::InvalidateToken => Err(problem::unauthorized()),
    }
}

fn too_many() -> Answer {
    let title = "Too Many Requests";
    *problem::typed(429, "rate-limit-exceeded", title, title)
}

fn credits_depleted() -> Answer {
    *problem::typed(
        402,
        "credits-depleted",
        "Payment Required",
        "credits depleted",
    )
}

/// What is answered in place of the truth.
fn distort(
    began: &Began,
    what: &FaultKind,
    caller: Option<&auth::Caller>,
    truth: Answer,
) -> Answer {
    let effect = truth.effect.clone();
    let told = match what {
        FaultKind::Status { status, body, .. } => ordered(*status, body.as_ref()),
        FaultKind::RateLimited {
            headers,
            reset_in_s,
        } => {
            let reset = began
                .simulator
                .now()
                .as_second()
                .saturating_add_unsigned(*reset_in_s);
            too_many().with_headers(if *headers { used_up(reset) } else { Vec::new() })
        }
        FaultKind::CreditsDepleted => credits_depleted(),
        FaultKind::Outage => *problem::unauthorized(),
        FaultKind::Revoked => {
            if let Some((app, user)) = caller.and_then(|by| Some((&by.app, by.user?))) {
                began.simulator.api().state().tokens.revoke(app, user);
            }
            *problem::coded(401, 89, "Invalid or expired token.")
        }
        FaultKind::Garbage { .. } => Answer {
            status: if truth.status == 0 { 200 } else { truth.status },
            body: b"<html><body>Over capacity".to_vec(),
            content_type: "text/html",
            ..Answer::default()
        },
        FaultKind::NoId => Answer {
            body: b"{\"data\":{}}".to_vec(),
            ..truth
        },
        _ => truth,
    };
    Answer { effect, ..told }
}

fn ordered(status: u16, body: Option<&Value>) -> Answer {
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    match body {
        None => *problem::blank(status, title, title),
        Some(Value::String(text)) => Answer {
            body: text.clone().into_bytes(),
            content_type: "text/html",
            ..Answer::json(status, &json!({}))
        },
        Some(body) => Answer {
            content_type: "application/problem+json",
            ..Answer::json(status, body)
        },
    }
}

fn used_up(reset: i64) -> Vec<super::windows::Header> {
    [
        ("x-rate-limit-limit", "15".to_owned()),
        ("x-rate-limit-remaining", "0".to_owned()),
        ("x-rate-limit-reset", reset.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn send(wire: Option<&Wire>, answer: &Answer, fault: Option<&Fault>) -> HttpResponse {
    match fault.map(|fault| &fault.what) {
        Some(FaultKind::AnswerLost) => broken(wire, Wire::close),
        Some(FaultKind::AnswerReset | FaultKind::ResetAfterReading) => broken(wire, Wire::reset),
        Some(FaultKind::AnswerCut { at }) => {
            let whole = raw(answer);
            let sent = whole.get(..*at).unwrap_or(&whole);
            broken(wire, |wire| {
                wire.write(sent);
                wire.close();
            })
        }
        _ => {
            if let Some(live) = &answer.live {
                live.attach(wire);
            }
            respond(answer)
        }
    }
}

/// The server may still answer, but nobody hears it.
fn broken(wire: Option<&Wire>, how: impl FnOnce(&Wire)) -> HttpResponse {
    if let Some(wire) = wire {
        how(wire);
    }
    HttpResponse::InternalServerError().force_close().finish()
}

fn respond(answer: &Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.content_type(answer.content_type);
    for (name, value) in &answer.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    match &answer.live {
        Some(live) => response.streaming(live.body()),
        None => response.body(answer.body.clone()),
    }
}

/// The answer as bytes, to be cut.
fn raw(answer: &Answer) -> Vec<u8> {
    let reason = StatusCode::from_u16(answer.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let mut head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-length: {}\r\ncontent-type: {}\r\n",
        answer.status,
        answer.body.len(),
        answer.content_type
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.into_bytes(), answer.body.clone()].concat()
}
