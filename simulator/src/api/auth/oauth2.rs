//! The calls that give and take tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::super::answer::{Answer, Outcome};
use super::super::incoming::Incoming;
use super::super::problem;
use super::super::settings::ApiSettings;
use super::tokens::{Tokens, client_id, client_secret};
use super::{Means, Verdict};
use crate::model::World;

/// `POST /oauth2/token`: the app's bearer token, the same until it is invalidated.
pub(crate) fn app_token(tokens: &Tokens, world: &World, incoming: &Incoming) -> Outcome {
    let denied = || problem::coded(403, 99, "Unable to verify your credentials");
    let (key, secret) = basic(incoming).ok_or_else(denied)?;
    let app = world
        .apps()
        .map(|app| &app.settings)
        .find(|app| app.consumer_key == key && app.consumer_secret == secret)
        .ok_or_else(denied)?;
    if form_field(incoming, "grant_type") != "client_credentials" {
        return Err(problem::coded(
            403,
            170,
            "Missing required parameter: grant_type",
        ));
    }
    let token = tokens.bearer(&app.name);
    Ok(Answer::ok(
        &json!({ "token_type": "bearer", "access_token": token }),
    ))
}

/// `POST /2/oauth2/token`: a new pair; the refresh token that was used is worth nothing any more.
pub(crate) fn refresh(
    tokens: &mut Tokens,
    settings: &ApiSettings,
    world: &World,
    incoming: &Incoming,
) -> Outcome {
    let app = client(world, incoming).ok_or_else(|| {
        oauth_error(
            401,
            "unauthorized_client",
            "Missing valid authorization header",
        )
    })?;
    if form_field(incoming, "grant_type") != "refresh_token" {
        let error = oauth_error(
            400,
            "unsupported_grant_type",
            "Only refresh_token is served",
        );
        return Err(error);
    }
    let life = i64::try_from(settings.access_token_life_s).unwrap_or(i64::MAX / 1000);
    let expires_at_ms = world.now_ms().saturating_add(life.saturating_mul(1000));
    let used = form_field(incoming, "refresh_token");
    let pair = tokens.rotate(&used, &app, expires_at_ms).ok_or_else(|| {
        let description = "Value passed for the token was invalid.";
        oauth_error(400, "invalid_request", description)
    })?;
    let answer = Answer::ok(&json!({
        "token_type": "bearer",
        "expires_in": settings.access_token_life_s,
        "access_token": pair.access_token,
        "scope": pair.scopes.join(" "),
        "refresh_token": pair.refresh_token,
    }));
    Ok(answer.with_effect(used, None))
}

/// `POST /2/oauth2/revoke`: one token dies.
pub(crate) fn revoke(tokens: &mut Tokens, world: &World, incoming: &Incoming) -> Outcome {
    let app = client(world, incoming).ok_or_else(|| {
        oauth_error(
            401,
            "unauthorized_client",
            "Missing valid authorization header",
        )
    })?;
    tokens.kill(&form_field(incoming, "token"), &app);
    Ok(Answer::ok(&json!({ "revoked": true })))
}

/// `POST /1.1/oauth/invalidate_token`: the token that signs dies, and with it the app's access.
pub(crate) fn invalidate(tokens: &mut Tokens, world: &World, verdict: Verdict) -> Outcome {
    let caller = verdict?;
    let (Some(user), Means::OAuth1(_)) = (caller.user, &caller.means) else {
        return Err(problem::coded(401, 32, "Could not authenticate you."));
    };
    let token = tokens.credentials(world, &caller.app, user);
    let token = token.map(|held| held.access_token).unwrap_or_default();
    tokens.revoke(&caller.app, user);
    Ok(Answer::ok(&json!({ "access_token": token })).with_effect(user, None))
}

/// The app, by Basic credentials, or as a public client by its id in the form.
fn client(world: &World, incoming: &Incoming) -> Option<String> {
    let mut names = world.apps().map(|app| app.settings.name.clone());
    match basic(incoming) {
        Some((id, secret)) => {
            names.find(|app| client_id(app) == id && client_secret(app) == secret)
        }
        None if incoming.authorization.is_none() => {
            let id = form_field(incoming, "client_id");
            names.find(|app| client_id(app) == id)
        }
        None => None,
    }
}

fn basic(incoming: &Incoming) -> Option<(String, String)> {
    let (scheme, coded) = incoming.authorization.as_deref()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let plain = String::from_utf8(STANDARD.decode(coded.trim()).ok()?).ok()?;
    let (key, secret) = plain.split_once(':')?;
    let decode = |raw| percent_decode_str(raw).decode_utf8_lossy().into_owned();
    Some((decode(key), decode(secret)))
}

fn form_field(incoming: &Incoming, name: &str) -> String {
    let mut fields = incoming.form().into_iter();
    let found = fields.find(|(key, _)| key == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

fn oauth_error(status: u16, error: &str, description: &str) -> Box<Answer> {
    let body = json!({ "error": error, "error_description": description });
    Box::new(Answer::json(status, &body))
}
