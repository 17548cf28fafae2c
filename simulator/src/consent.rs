//! The pages at which users let apps in, or do not; who is at the browser is chosen there.

use actix_web::http::header::{COOKIE, LOCATION, SET_COOKIE};
use actix_web::web::{Data, Form, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::api::{ConsentError, Decision, Prompt, Sent, Wanted};
use crate::model::{User, UserId};
use crate::page::{document, escape};
use crate::simulator::Simulator;

/// The cookie that says who said something last in this browser.
const SIGNED_IN: &str = "simulator_signed_in";

/// The pages of both OAuths, each under its own addresses.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for path in [
        "/oauth/authorize",
        "/oauth/authenticate",
        "/i/oauth2/authorize",
        "/2/oauth2/authorize",
    ] {
        config.route(path, get().to(ask));
        config.route(path, post().to(answer));
    }
}

fn wanted(request: &HttpRequest) -> Result<Wanted, ConsentError> {
    Wanted::parse(request.path(), request.query_string())
}

fn signed_in(request: &HttpRequest) -> Option<UserId> {
    let cookies = request.headers().get(COOKIE)?.to_str().ok()?;
    let mut pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SIGNED_IN)?.1.parse().ok()
}

async fn ask(simulator: Data<Simulator>, request: HttpRequest) -> HttpResponse {
    let asked = wanted(&request).and_then(|wanted| {
        let prompt = simulator.prompt(&wanted)?;
        Ok((wanted, prompt))
    });
    let (wanted, prompt) = match asked {
        Ok(asked) => asked,
        Err(error) => return refused(&error),
    };
    let known = signed_in(&request);
    if let Some(user) = known.filter(|_| prompt.may_pass)
        && simulator.is_in(&prompt.app, user)
    {
        return said(&simulator, &wanted, user, Decision::Allow);
    }
    html(200, &page(&simulator, &prompt, &request, known))
}

/// What the page sends; the request itself stands in its address.
#[derive(Deserialize)]
struct Said {
    user: UserId,
    decision: Decision,
}

async fn answer(
    simulator: Data<Simulator>,
    request: HttpRequest,
    form: Form<Said>,
) -> HttpResponse {
    match wanted(&request) {
        Ok(wanted) => said(&simulator, &wanted, form.user, form.decision),
        Err(error) => refused(&error),
    }
}

fn said(simulator: &Simulator, wanted: &Wanted, user: UserId, decision: Decision) -> HttpResponse {
    let cookie = format!("{SIGNED_IN}={user}; Path=/; HttpOnly; SameSite=Lax");
    match simulator.decide(wanted, user, decision) {
        Ok(Sent::Back(address)) => HttpResponse::Found()
            .insert_header((SET_COOKIE, cookie))
            .insert_header((LOCATION, address))
            .finish(),
        Ok(Sent::Pin(number)) => html(
            200,
            &format!(
                "<p>Return to the app and type this PIN: <code id=pin>{}</code></p>",
                escape(&number)
            ),
        ),
        Err(error) => refused(&error),
    }
}

fn refused(error: &ConsentError) -> HttpResponse {
    let status = match error {
        ConsentError::UnknownToken | ConsentError::SuspendedApp => 403,
        _ => 400,
    };
    html(
        status,
        &format!(
            "<p class=fault id=refused>{}</p>",
            escape(&error.to_string())
        ),
    )
}

fn html(status: u16, body: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status);
    HttpResponse::build(status.unwrap_or_default())
        .content_type("text/html; charset=utf-8")
        .body(document(body))
}

fn page(
    simulator: &Simulator,
    prompt: &Prompt,
    request: &HttpRequest,
    known: Option<UserId>,
) -> String {
    let powers: String = prompt
        .powers
        .iter()
        .map(|power| format!("<li>{}</li>", escape(power)))
        .collect();
    let world = simulator.world().lock();
    let people = world.users().filter(|user| !user.standing.suspended);
    let options: String = people
        .map(|user| option(user, &prompt.screen_name, known))
        .collect();
    format!(
        "<h2>Authorize {app} to access your account?</h2><p>It will be able to</p>\
         <ul>{powers}</ul><form method=post action=\"{action}\">\
         <label>signed in as <select name=user>{options}</select></label>\
         <button name=decision value=allow>Authorize app</button>\
         <button name=decision value=deny>Cancel</button></form>",
        app = escape(&prompt.app),
        action = escape(&request.uri().to_string()),
    )
}

/// Whom the app expects comes first, then who was here last.
fn option(user: &User, expected: &str, known: Option<UserId>) -> String {
    let expected = expected.trim_start_matches('@');
    let is_chosen = match expected {
        "" => known == Some(user.id),
        name => name.eq_ignore_ascii_case(&user.username),
    };
    format!(
        "<option value={}{}>@{}</option>",
        user.id,
        if is_chosen { " selected" } else { "" },
        escape(&user.username)
    )
}
