//! OAuth 1.0a's way to a user's token: a request token, the user's word, an access token.

use super::super::answer::{Answer, Outcome};
use super::super::incoming::Incoming;
use super::super::problem;
use super::super::settings::ApiSettings;
use super::consent::Consents;
use super::oauth1::{self, Given};
use super::tokens::Tokens;
use crate::model::{App, Permission, World};

/// Where a user is shown a number instead of being sent back.
pub(super) const OUT_OF_BAND: &str = "oob";

/// `POST /oauth/request_token`: something to send a user to X with.
pub(crate) fn request_token(
    tokens: &mut Tokens,
    consents: &mut Consents,
    settings: &ApiSettings,
    world: &World,
    incoming: &Incoming,
) -> Outcome {
    let no_secret = |_: &App, _: &Given| Ok(String::new());
    let (app, given) = oauth1::verify_app(tokens, settings, world, incoming, no_secret)?;
    let callback = parameter(&given, incoming, "oauth_callback");
    let registered = &app.settings.callbacks;
    if callback != OUT_OF_BAND && !registered.contains(&callback) {
        return Err(problem::coded(
            403,
            415,
            "Callback URL not approved for this client application. Approved callback URLs can be adjusted in your application settings",
        ));
    }
    let level = app.settings.permission;
    let level = match parameter(&given, incoming, "x_auth_access_type").as_str() {
        "read" => level.min(Permission::Read),
        "write" => level.min(Permission::ReadWrite),
        _ => level,
    };
    let made = consents.request(&app.settings.name, &callback, level);
    let answer = form(&[
        ("oauth_token", &made.token),
        ("oauth_token_secret", &made.secret),
        ("oauth_callback_confirmed", "true"),
    ]);
    Ok(answer.with_effect(made.token, None))
}

/// `POST /oauth/access_token`: the user's token, for a request token that the user has agreed to;
/// the request token is worth nothing any more then.
pub(crate) fn access_token(
    tokens: &mut Tokens,
    consents: &mut Consents,
    settings: &ApiSettings,
    world: &World,
    incoming: &Incoming,
) -> Outcome {
    let secret_of = |app: &App, given: &Given| {
        let secret = consents.request_secret(given.token(), &app.settings.name);
        secret.ok_or_else(|| problem::coded(401, 89, "Invalid or expired token."))
    };
    let (app, given) = oauth1::verify_app(tokens, settings, world, incoming, secret_of)?;
    let verifier = parameter(&given, incoming, "oauth_verifier");
    let agreed = consents.exchange(given.token(), &verifier);
    let (user, level) = agreed.ok_or_else(wrong_verifier)?;
    let user = world.user(user).map_err(|_gone| wrong_verifier())?;
    let signed = tokens.sign_in(&app.settings.name, user.id, level);
    let answer = form(&[
        ("oauth_token", &signed.token),
        ("oauth_token_secret", &signed.secret),
        ("user_id", &user.id.to_string()),
        ("screen_name", &user.username),
    ]);
    Ok(answer.with_effect(user.id, None))
}

fn wrong_verifier() -> Box<Answer> {
    let text = "Error processing your OAuth request: Invalid oauth_verifier parameter";
    Box::new(Answer {
        status: 401,
        body: text.as_bytes().to_vec(),
        content_type: "text/html; charset=utf-8",
        ..Answer::default()
    })
}

/// Of the header, the query or the form: X looks everywhere.
fn parameter(given: &Given, incoming: &Incoming, name: &str) -> String {
    let in_header = given.field(name);
    if !in_header.is_empty() {
        return in_header.to_owned();
    }
    let mut pairs = incoming.query.iter().cloned().chain(incoming.form());
    let found = pairs.find(|(key, _)| key == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

/// These answers are forms, whatever they say they are.
fn form(fields: &[(&str, &str)]) -> Answer {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(fields);
    Answer {
        status: 200,
        body: text.finish().into_bytes(),
        content_type: "text/html; charset=utf-8",
        ..Answer::default()
    }
}
