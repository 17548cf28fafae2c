//! X's two uses of the consumer secret: the challenge (CRC) it sends to a webhook, and the
//! signature of each delivery.
//!
//! Both are the same HMAC with the same key, so whoever asks for a CRC gets something signed. A
//! [`CrcToken`] therefore never holds what a JSON object cannot do without: what a CRC signs can
//! never be a delivery.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

const MAX_TOKEN_BYTES: usize = 1024;
const SCHEME: &str = "sha256=";

/// The consumer secret of an app, as the key of CRC answers and delivery signatures.
#[derive(Clone, Debug)]
pub struct WebhookSecret(SecretString);

impl WebhookSecret {
    /// The consumer secret (API key secret), never a bearer or access token.
    pub fn new(consumer_secret: SecretString) -> Self {
        Self(consumer_secret)
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn mac(&self, signed: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("any key length")
            .chain_update(signed)
    }
}

/// Why a CRC request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCrcToken {
    #[error("the query has no crc_token")]
    Missing,
    #[error("crc_token is empty")]
    Empty,
    #[error("crc_token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("crc_token is not UTF-8")]
    NotUtf8,
    /// Something a delivery could be made of.
    #[error(
        "crc_token holds one of {{ }} [ ] \" \\ or white space or a control character: \
         it could be a delivery that somebody wants signed"
    )]
    Forbidden,
}

/// A challenge of X that is safe to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrcToken(String);

impl CrcToken {
    /// Takes `crc_token` out of a raw query string; other parameters are ignored. It is
    /// percent-decoded and nothing else: a `+` stays a `+`.
    pub fn parse(query: &str) -> Result<Self, BadCrcToken> {
        let encoded = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("crc_token="))
            .ok_or(BadCrcToken::Missing)?;
        let Ok(token) = String::from_utf8(percent_decode(encoded)) else {
            return Err(BadCrcToken::NotUtf8);
        };
        match token {
            token if token.is_empty() => Err(BadCrcToken::Empty),
            token if token.len() > MAX_TOKEN_BYTES => Err(BadCrcToken::TooLong),
            token if token.chars().any(is_forbidden) => Err(BadCrcToken::Forbidden),
            token => Ok(Self(token)),
        }
    }
}

impl CrcToken {
    /// One that nobody has seen before: to challenge our own address with.
    pub fn fresh() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// As it goes into a query, where none of its characters is escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_forbidden(character: char) -> bool {
    matches!(character, '{' | '}' | '[' | ']' | '"' | '\\')
        || character.is_whitespace()
        || character.is_control()
}

/// `%` and two hex digits become a byte; any other `%` stays as it is.
fn percent_decode(encoded: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| hex_pair(after)).flatten();
        decoded.push(escaped.unwrap_or(byte));
        let skipped = if escaped.is_some() { 2 } else { 0 };
        rest = after.get(skipped..).unwrap_or_default();
    }
    decoded
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The `response_token` that proves to X that we hold the secret.
pub fn crc_response(secret: &WebhookSecret, token: &CrcToken) -> String {
    let mac = secret.mac(token.0.as_bytes()).finalize();
    format!("{SCHEME}{}", STANDARD.encode(mac.into_bytes()))
}

/// Checks a delivery's `x-twitter-webhooks-signature` over the raw body in constant time. Gives
/// the index of the secret that fitted: while a secret is rotated there are two.
pub fn verify(header: &[u8], body: &[u8], secrets: &[WebhookSecret]) -> Option<usize> {
    let signature = STANDARD
        .decode(header.strip_prefix(SCHEME.as_bytes())?)
        .ok()?;
    secrets
        .iter()
        .position(|secret| secret.mac(body).verify_slice(&signature).is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::x::normalize::normalize;

    fn secret(value: &str) -> WebhookSecret {
        WebhookSecret::new(SecretString::from(value))
    }

    fn token(query: &str) -> CrcToken {
        CrcToken::parse(query).unwrap()
    }

    #[test]
    fn the_answer_is_the_hmac_of_the_token() {
        // Checked with: printf %s challenge | openssl dgst -sha256 -hmac secret -binary | base64
        assert_eq!(
            crc_response(&secret("secret"), &token("crc_token=challenge")),
            "sha256=oeUF6Wxqoezggrue+wbIDxKRPSF6esKwizR2MHh9HaA="
        );
    }

    #[test]
    fn only_percent_escapes_of_the_token_are_decoded() {
        assert_eq!(token("nonce=1&crc_token=a%2Bb+c%3d&x=y").0, "a+b+c=");
        assert_eq!(token("crc_token=100%&x").0, "100%");
        assert_eq!(token("crc_token=%C3%A9%4").0, "é%4");
    }

    #[test]
    fn a_query_without_a_token_is_refused() {
        for query in ["", "crc_tokens=1", "nonce=crc_token=1", "crc_token"] {
            assert_eq!(CrcToken::parse(query), Err(BadCrcToken::Missing), "{query}");
        }
        assert_eq!(CrcToken::parse("crc_token=&x=1"), Err(BadCrcToken::Empty));
    }

    #[test]
    fn a_token_is_limited_after_decoding() {
        let fits = format!("crc_token={}", "%41".repeat(1024));
        assert_eq!(token(&fits).0.len(), 1024);
        assert_eq!(
            CrcToken::parse(&format!("{fits}A")),
            Err(BadCrcToken::TooLong)
        );
    }

    #[test]
    fn what_json_needs_is_refused_however_it_is_written() {
        for bad in [
            "{",
            "%7b",
            "%7D",
            "[",
            "]",
            "%22",
            "\"",
            "%5c",
            "a%20b",
            "%09",
            "%00",
            "%7F",
            "%C2%85",
            "%C2%A0",
            "%E3%80%80",
            "%E2%80%A8",
        ] {
            let query = format!("crc_token=a{bad}b");
            assert_eq!(
                CrcToken::parse(&query),
                Err(BadCrcToken::Forbidden),
                "{bad}"
            );
        }
        assert_eq!(CrcToken::parse("crc_token=%ff"), Err(BadCrcToken::NotUtf8));
    }

    #[test]
    fn a_delivery_cannot_be_forged_through_the_crc() {
        let body = r#"{"for_user_id":"1","tweet_create_events":[]}"#;
        let escaped: String = body.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for query in [body, escaped.as_str()] {
            let query = format!("crc_token={query}");
            assert_eq!(CrcToken::parse(&query), Err(BadCrcToken::Forbidden));
        }
        // The reason for the rule: were it signed, the signature would be a delivery's.
        let signed = crc_response(&secret("secret"), &CrcToken(body.to_owned()));
        assert_eq!(
            verify(signed.as_bytes(), body.as_bytes(), &[secret("secret")]),
            Some(0)
        );
    }

    proptest! {
        #[test]
        fn nothing_that_a_crc_signs_is_a_delivery(query in "crc_token=\\PC{0,40}") {
            if let Ok(token) = CrcToken::parse(&query) {
                prop_assert!(normalize(token.0.as_bytes()).is_err());
            }
        }
    }

    #[test]
    fn the_secret_that_fits_is_named() {
        let body = b"{\"a\":1}";
        let signed = |secret: &WebhookSecret| {
            let mac = secret.mac(body).finalize().into_bytes();
            format!("sha256={}", STANDARD.encode(mac)).into_bytes()
        };
        let secrets = [secret("new"), secret("old")];
        assert_eq!(verify(&signed(&secret("new")), body, &secrets), Some(0));
        assert_eq!(verify(&signed(&secret("old")), body, &secrets), Some(1));
        assert_eq!(verify(&signed(&secret("other")), body, &secrets), None);
        assert_eq!(
            verify(&signed(&secret("new")), b"{\"a\":2}", &secrets),
            None
        );
    }

    #[test]
    fn a_header_of_another_form_fits_nothing() {
        let secrets = [secret("s")];
        let valid = STANDARD.encode(secret("s").mac(b"{}").finalize().into_bytes());
        assert_eq!(
            verify(format!("sha256={valid}").as_bytes(), b"{}", &secrets),
            Some(0)
        );
        for header in ["", "sha256=", "sha256=!", &valid, &format!("sha1={valid}")] {
            assert_eq!(verify(header.as_bytes(), b"{}", &secrets), None, "{header}");
        }
        let cut = format!("sha256={}", STANDARD.encode(b"short"));
        assert_eq!(verify(cut.as_bytes(), b"{}", &secrets), None);
    }
}
