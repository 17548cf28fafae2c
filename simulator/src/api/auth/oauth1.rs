//! OAuth 1.0a signatures, as RFC 5849 describes them and X checks them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha1::Sha1;

use super::super::answer::Answer;
use super::super::incoming::Incoming;
use super::super::problem;
use super::super::settings::ApiSettings;
use super::tokens::{AccessToken, Tokens};
use crate::model::{App, World};

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The app and the token a request is signed with.
pub(super) fn verify(
    tokens: &mut Tokens,
    settings: &ApiSettings,
    world: &World,
    incoming: &Incoming,
    header: &str,
) -> Result<(String, AccessToken), Box<Answer>> {
    let given = Given::parse(header).filter(|given| !given.token().is_empty());
    let given = given.ok_or_else(bad_authentication)?;
    let app = app_of(world, &given)?;
    let name = app.settings.name.clone();
    let token = tokens.signed_token(given.token());
    let token = token.filter(|token| token.app == name).cloned();
    let token = token
        .filter(|token| token.alive)
        .ok_or_else(|| problem::coded(401, 89, "Invalid or expired token."))?;
    check_time(&given, settings, world.now_ms())?;
    check_signature(&given, app, &token.secret, tokens, incoming)?;
    Ok((name, token))
}

/// The header of a request that the app signs for itself, or with a token that is none of a
/// user's yet: `secret_of` knows its secret.
pub(super) fn verify_app<'w>(
    tokens: &mut Tokens,
    settings: &ApiSettings,
    world: &'w World,
    incoming: &Incoming,
    secret_of: impl FnOnce(&App, &Given) -> Result<String, Box<Answer>>,
) -> Result<(&'w App, Given), Box<Answer>> {
    let header = incoming.authorization.as_deref().unwrap_or_default();
    let signed = header.split_once(' ').and_then(|(scheme, rest)| {
        let given = Given::parse(rest)?;
        scheme.eq_ignore_ascii_case("OAuth").then_some(given)
    });
    let given = signed.ok_or_else(bad_authentication)?;
    let app = app_of(world, &given)?;
    check_time(&given, settings, world.now_ms())?;
    let secret = secret_of(app, &given)?;
    check_signature(&given, app, &secret, tokens, incoming)?;
    Ok((app, given))
}

fn app_of<'w>(world: &'w World, given: &Given) -> Result<&'w App, Box<Answer>> {
    let app = world.app_with_key(given.consumer_key());
    let app = app.ok_or_else(not_authenticated)?;
    match app.suspended {
        true => Err(suspended()),
        false => Ok(app),
    }
}

/// X's code for an app that it has closed.
pub(super) fn suspended() -> Box<Answer> {
    problem::coded(401, 416, "Invalid / suspended application")
}

fn check_signature(
    given: &Given,
    app: &App,
    token_secret: &str,
    tokens: &mut Tokens,
    incoming: &Incoming,
) -> Result<(), Box<Answer>> {
    let base = base_string(incoming, given);
    let expected = sign(&app.settings.consumer_secret, token_secret, &base);
    // Without a token the nonces of an app are its own.
    let signer = match given.token() {
        "" => given.consumer_key(),
        token => token,
    };
    if given.signature() != expected || !tokens.is_fresh(signer, given.nonce()) {
        return Err(not_authenticated());
    }
    Ok(())
}

fn bad_authentication() -> Box<Answer> {
    problem::coded(400, 215, "Bad Authentication data.")
}

fn not_authenticated() -> Box<Answer> {
    problem::coded(401, 32, "Could not authenticate you.")
}

fn check_time(given: &Given, settings: &ApiSettings, now_ms: i64) -> Result<(), Box<Answer>> {
    let stamp: i64 = given
        .field("oauth_timestamp")
        .parse()
        .map_err(|_not_a_number| bad_authentication())?;
    let off = (now_ms / 1000).abs_diff(stamp);
    if off > settings.oauth_leeway_s {
        return Err(problem::coded(401, 135, "Timestamp out of bounds."));
    }
    Ok(())
}

/// The parameters of the header.
pub(super) struct Given(BTreeMap<String, String>);

impl Given {
    fn parse(header: &str) -> Option<Self> {
        let fields: Option<BTreeMap<String, String>> = header
            .split(',')
            .map(|field| {
                let (key, value) = field.trim().split_once('=')?;
                let value = value.strip_prefix('"')?.strip_suffix('"')?;
                let decoded = percent_decode_str(value).decode_utf8().ok()?;
                Some((key.to_owned(), decoded.into_owned()))
            })
            .collect();
        let given = Self(fields?);
        let complete = [
            "oauth_consumer_key",
            "oauth_nonce",
            "oauth_signature",
            "oauth_timestamp",
        ]
        .into_iter()
        .all(|key| !given.field(key).is_empty());
        let version = given.field("oauth_version");
        let known = given.field("oauth_signature_method") == "HMAC-SHA1"
            && (version.is_empty() || version == "1.0");
        (complete && known).then_some(given)
    }

    pub(super) fn field(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn consumer_key(&self) -> &str {
        self.field("oauth_consumer_key")
    }

    pub(super) fn token(&self) -> &str {
        self.field("oauth_token")
    }

    fn nonce(&self) -> &str {
        self.field("oauth_nonce")
    }

    fn signature(&self) -> &str {
        self.field("oauth_signature")
    }
}

/// Method, address and all parameters: of the header, the query and a form, never of JSON.
fn base_string(incoming: &Incoming, given: &Given) -> String {
    let of_header = given
        .0
        .iter()
        .filter(|(key, _)| *key != "oauth_signature" && *key != "realm")
        .map(|(key, value)| (key.clone(), value.clone()));
    let mut parameters: Vec<(String, String)> = of_header
        .chain(incoming.query.iter().cloned())
        .chain(incoming.form())
        .map(|(key, value)| (encode(&key), encode(&value)))
        .collect();
    parameters.sort();
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!(
        "{}&{}&{}",
        incoming.method,
        encode(&incoming.address),
        encode(&pairs.join("&"))
    )
}

fn sign(consumer_secret: &str, token_secret: &str, base: &str) -> String {
    let key = format!("{}&{}", encode(consumer_secret), encode(token_secret));
    // HMAC takes keys of any length, so there is nothing to fail.
    let digest = Hmac::<Sha1>::new_from_slice(key.as_bytes()).map(|mut mac| {
        mac.update(base.as_bytes());
        mac.finalize().into_bytes()
    });
    digest
        .map(|digest| STANDARD.encode(digest))
        .unwrap_or_default()
}

fn encode(raw: &str) -> String {
    utf8_percent_encode(raw, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5849, 3.4.1.1.
    #[test]
    fn the_base_string_is_the_one_of_the_standard() {
        let header = "realm=\"Example\", oauth_consumer_key=\"9djdj82h48djs9d2\", \
             oauth_token=\"kkk9d7dh3k39sjv7\", oauth_signature_method=\"HMAC-SHA1\", \
             oauth_timestamp=\"137131201\", oauth_nonce=\"7d8f3e4a\", oauth_signature=\"x\"";
        let query = form_urlencoded::parse(b"b5=%3D%253D&a3=a&c%40=&a2=r%20b");
        let incoming = Incoming {
            method: "POST".into(),
            address: "http://example.com/request".into(),
            query: query.into_owned().collect(),
            content_type: "application/x-www-form-urlencoded".into(),
            body: "c2&a3=2+q".into(),
            ..Incoming::default()
        };
        assert_eq!(
            base_string(&incoming, &Given::parse(header).unwrap()),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5\
             %3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26\
             oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp\
             %3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    #[test]
    fn a_header_without_a_field_or_of_another_method_is_no_header() {
        assert!(Given::parse("oauth_consumer_key=\"k\"").is_none());
        assert!(Given::parse("nonsense").is_none());
    }
}
