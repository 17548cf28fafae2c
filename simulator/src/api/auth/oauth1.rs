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
use crate::model::World;

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
    let given = Given::parse(header).ok_or_else(bad_authentication)?;
    let app = world
        .apps()
        .find(|app| app.settings.consumer_key == given.consumer_key())
        .ok_or_else(not_authenticated)?;
    let name = app.settings.name.clone();
    let token = tokens.signed_token(given.token());
    let token = token.filter(|token| token.app == name).cloned();
    let token = token
        .filter(|token| token.alive)
        .ok_or_else(|| problem::coded(401, 89, "Invalid or expired token."))?;
    check_time(&given, settings, world.now_ms())?;
    let base = base_string(incoming, &given);
    let expected = sign(&app.settings.consumer_secret, &token.secret, &base);
    if given.signature() != expected || !tokens.is_fresh(given.token(), given.nonce()) {
        return Err(not_authenticated());
    }
    Ok((name, token))
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
struct Given(BTreeMap<String, String>);

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
            "oauth_token",
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

    fn field(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn consumer_key(&self) -> &str {
        self.field("oauth_consumer_key")
    }

    fn token(&self) -> &str {
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
