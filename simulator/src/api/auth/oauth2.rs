//! The calls that give and take tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::super::answer::{Answer, Outcome};
use super::super::incoming::Incoming;
use super::super::problem;
use super::super::settings::ApiSettings;
use super::consent::{Consents, Proof};
use super::tokens::Tokens;
use super::{Means, Verdict};
use crate::forms::json::with;
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
    if world.app(&app.name).is_ok_and(|app| app.suspended) {
        return Err(super::oauth1::suspended());
    }
    let token = tokens.bearer(&app.name);
    Ok(Answer::ok(
        &json!({ "token_type": "bearer", "access_token": token }),
    ))
}

/// `POST /2/oauth2/token`: a pair for a code, or a new pair for a refresh token, which is worth
/// nothing any more then.
pub(crate) fn user_token(
    tokens: &mut Tokens,
    consents: &mut Consents,
    settings: &ApiSettings,
    world: &World,
    incoming: &Incoming,
) -> Outcome {
    let app = client(world, incoming)?;
    let now_ms = world.now_ms();
    let life = i64::try_from(settings.access_token_life_s).unwrap_or(i64::MAX / 1000);
    let expires_at_ms = now_ms.saturating_add(life.saturating_mul(1000));
    let (pair, used) = match form_field(incoming, "grant_type").as_str() {
        "refresh_token" => {
            let used = form_field(incoming, "refresh_token");
            let pair = tokens.rotate(&used, &app, expires_at_ms);
            (pair.ok_or_else(|| invalid("token"))?, used)
        }
        "authorization_code" => {
            let code = form_field(incoming, "code");
            let proof = Proof {
                app: &app,
                redirect_uri: &form_field(incoming, "redirect_uri"),
                code_verifier: &form_field(incoming, "code_verifier"),
            };
            let (user, scopes) = consents
                .redeem(&code, &proof, now_ms)
                .map_err(|wrong| oauth_error(400, "invalid_request", wrong))?;
            (tokens.issue(&app, user, scopes, expires_at_ms), code)
        }
        "" => return Err(missing("grant_type")),
        _ => {
            let wrong = "Value passed for the grant type was invalid.";
            return Err(oauth_error(400, "unsupported_grant_type", wrong));
        }
    };
    let answer = json!({
        "token_type": "bearer",
        "expires_in": settings.access_token_life_s,
        "access_token": pair.access_token,
        "scope": pair.scopes.join(" "),
    });
    let refresh = pair.is_lasting().then(|| json!(pair.refresh_token));
    Ok(Answer::ok(&with(answer, "refresh_token", refresh)).with_effect(used, None))
}

fn invalid(what: &str) -> Box<Answer> {
    let wrong = format!("Value passed for the {what} was invalid.");
    oauth_error(400, "invalid_request", &wrong)
}

fn missing(what: &str) -> Box<Answer> {
    let wrong = format!("Missing required parameter [{what}].");
    oauth_error(400, "invalid_request", &wrong)
}

/// `POST /2/oauth2/revoke`: one token dies.
pub(crate) fn revoke(tokens: &mut Tokens, world: &World, incoming: &Incoming) -> Outcome {
    let app = client(world, incoming)?;
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

/// The app: a confidential one by Basic credentials, a public one by its id in the form.
fn client(world: &World, incoming: &Incoming) -> Result<String, Box<Answer>> {
    let mut apps = world.apps();
    let found = match basic(incoming) {
        Some((id, secret)) => {
            apps.find(|app| app.settings.client_id == id && app.settings.client_secret == secret)
        }
        None if incoming.authorization.is_none() => {
            let id = form_field(incoming, "client_id");
            apps.find(|app| app.settings.public_client && app.settings.client_id == id)
        }
        None => None,
    };
    let app = found.ok_or_else(|| {
        let wrong = "Missing valid authorization header";
        oauth_error(401, "unauthorized_client", wrong)
    })?;
    match app.suspended {
        true => Err(super::oauth1::suspended()),
        false => Ok(app.settings.name.clone()),
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
