//! OAuth 1.0a, RFC 5849, with HMAC-SHA1: the only method that X takes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use url::Url;

use crate::domain::account::AccessToken;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As OAuth 1.0a wants it everywhere: a blank is `%20`, never `+`.
pub(in crate::x::client) fn encode(raw: &str) -> String {
    utf8_percent_encode(raw, RESERVED).to_string()
}

/// Who signs.
pub(in crate::x::client) struct Signer<'a> {
    pub(in crate::x::client) consumer_key: &'a str,
    pub(in crate::x::client) consumer_secret: &'a SecretString,
    /// `None`: for the first step of linking, before there is one.
    pub(in crate::x::client) token: Option<&'a AccessToken>,
    /// Further `oauth_*` parameters of the steps of linking.
    pub(in crate::x::client) more: &'a [(&'a str, &'a str)],
}

/// What X must see only once.
pub(in crate::x::client) struct Once {
    pub(in crate::x::client) nonce: String,
    pub(in crate::x::client) at: Timestamp,
}

impl Once {
    pub(in crate::x::client) fn new(at: Timestamp) -> Self {
        let nonce = format!("{:032x}", rand::random::<u128>());
        Self { nonce, at }
    }
}

impl Signer<'_> {
    /// The `Authorization` header of a request. `parameters` are those of its query and of a form
    /// body, not encoded; JSON and multipart bodies are not signed.
    pub(in crate::x::client) fn authorization(
        &self,
        method: &Method,
        url: &Url,
        parameters: &[(&str, &str)],
        once: &Once,
    ) -> SecretString {
        let seconds = once.at.as_second().to_string();
        let token = self.token.map(|pair| pair.token.expose_secret());
        let own = [
            ("oauth_consumer_key", self.consumer_key),
            ("oauth_nonce", &once.nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", &seconds),
        ];
        let own = own.into_iter();
        let own = own.chain(token.map(|token| ("oauth_token", token)));
        let own = own.chain([("oauth_version", "1.0")]);
        let own: Vec<_> = own.chain(self.more.iter().copied()).collect();
        let all: Vec<_> = own.iter().chain(parameters).copied().collect();
        let signature = self.sign(&base_string(method, url, &all));
        let header = own
            .into_iter()
            .chain([("oauth_signature", &*signature)])
            .map(|(name, value)| format!("{name}=\"{}\"", encode(value)))
            .collect::<Vec<_>>()
            .join(", ");
        format!("OAuth {header}").into()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn sign(&self, base_string: &str) -> String {
        let part = |secret: &SecretString| encode(secret.expose_secret());
        let token = self.token.map(|pair| part(&pair.secret));
        let key = format!(
            "{}&{}",
            part(self.consumer_secret),
            token.unwrap_or_default()
        );
        let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes())
            .expect("any key length")
            .chain_update(base_string);
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// RFC 5849, 3.4.1: method, URL without query, and the parameters, encoded and then sorted.
fn base_string(method: &Method, url: &Url, parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    let parameters = pairs.collect::<Vec<_>>().join("&");
    [method.as_str(), &base_url(url), &parameters]
        .map(encode)
        .join("&")
}

/// Scheme and host in lower case and no default port, as `Url` has them already.
fn base_url(url: &Url) -> String {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    base.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys {
        consumer_secret: SecretString,
        token: AccessToken,
    }

    impl Keys {
        fn new([consumer_secret, token, secret]: [&str; 3]) -> Self {
            Self {
                consumer_secret: consumer_secret.into(),
                token: AccessToken {
                    token: token.into(),
                    secret: secret.into(),
                },
            }
        }

        fn signer<'a>(&'a self, consumer_key: &'a str) -> Signer<'a> {
            Signer {
                consumer_key,
                consumer_secret: &self.consumer_secret,
                token: Some(&self.token),
                more: &[],
            }
        }
    }

    fn once(nonce: &str, seconds: i64) -> Once {
        Once {
            nonce: nonce.to_owned(),
            at: Timestamp::from_second(seconds).unwrap(),
        }
    }

    /// X's page "Creating a signature", in the editions for paths of 1 and of 1.1.
    #[test]
    fn xs_own_example_is_signed_as_x_signs_it() {
        let keys = Keys::new([
            "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
            "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
            "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
        ]);
        let parameters = [
            ("include_entities", "true"),
            (
                "status",
                "Hello Ladies + Gentlemen, a signed OAuth request!",
            ),
        ];
        for (path, signature) in [
            ("1", "tnnArxj06cWHq44gCs1OSKk%2FjLY%3D"),
            ("1.1", "hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D"),
        ] {
            let url = format!(
                "https://api.twitter.com/{path}/statuses/update.json?include_entities=true"
            );
            let header = keys.signer("xvz1evFS4wEEPTGEFPHBog").authorization(
                &Method::POST,
                &url.parse().unwrap(),
                &parameters,
                &once("kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg", 1_318_622_958),
            );
            assert_eq!(
                header.expose_secret(),
                format!(
                    "OAuth oauth_consumer_key=\"xvz1evFS4wEEPTGEFPHBog\", \
                     oauth_nonce=\"kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg\", \
                     oauth_signature_method=\"HMAC-SHA1\", oauth_timestamp=\"1318622958\", \
                     oauth_token=\"370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb\", \
                     oauth_version=\"1.0\", oauth_signature=\"{signature}\""
                )
            );
        }
    }

    /// Signed by oauthlib 3 of Python: signs that need encoding, in secrets, query and path.
    #[test]
    fn another_implementation_signs_alike() {
        let keys = Keys::new(["cs&%", "12-tok", "ts~_.-"]);
        let url = "http://127.0.0.1:8080/2/tweets/search/recent?query=x";
        let parameters = [
            ("query", "\"café & +\" from:acme"),
            ("tweet.fields", "id,text"),
        ];
        let header = keys.signer("ck ü").authorization(
            &Method::GET,
            &url.parse().unwrap(),
            &parameters,
            &once("00ff", 1_700_000_000),
        );
        let signature = "oauth_signature=\"LoP7Oeq0zqE5%2BWhDiDUunfC3D3U%3D\"";
        assert!(header.expose_secret().ends_with(signature));
    }

    /// RFC 5849, 3.4.1.1.
    #[test]
    fn the_base_string_is_that_of_the_rfc() {
        let url = "http://EXAMPLE.COM:80/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b";
        let parameters = [
            ("b5", "=%3D"),
            ("a3", "a"),
            ("c@", ""),
            ("a2", "r b"),
            ("oauth_consumer_key", "9djdj82h48djs9d2"),
            ("oauth_token", "kkk9d7dh3k39sjv7"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", "137131201"),
            ("oauth_nonce", "7d8f3e4a"),
            ("c2", ""),
            ("a3", "2 q"),
        ];
        assert_eq!(
            base_string(&Method::POST, &url.parse().unwrap(), &parameters),
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D\
             %253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce\
             %3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26\
             oauth_token%3Dkkk9d7dh3k39sjv7"
        );
    }

    /// X's page "Implementing Sign in with Twitter": the first step, before there is a token.
    #[test]
    fn the_first_step_of_linking_is_signed_as_x_signs_it() {
        let secret = "L8qq9PZyRg6ieKGEKhZolGC0vJWLw8iEJ88DRdyOg".into();
        let signer = Signer {
            consumer_key: "cChZNFj6T5R0TigYB9yd1w",
            consumer_secret: &secret,
            token: None,
            more: &[("oauth_callback", "http://localhost/sign-in-with-twitter/")],
        };
        let header = signer.authorization(
            &Method::POST,
            &"https://api.twitter.com/oauth/request_token"
                .parse()
                .unwrap(),
            &[],
            &once("ea9ec8429b68d6b77cd5600adbbb0456", 1_318_467_427),
        );
        let header = header.expose_secret();
        assert!(
            header.contains("oauth_signature=\"F1Li3tvehgcraF8DMJ7OyxO4w9Y%3D\""),
            "{header}"
        );
        assert!(!header.contains("oauth_token"));
    }

    #[test]
    fn no_two_requests_share_a_nonce() {
        let now = Timestamp::UNIX_EPOCH;
        let nonces = [Once::new(now).nonce, Once::new(now).nonce];
        assert_ne!(nonces[0], nonces[1]);
        assert!(nonces.iter().all(|nonce| nonce.len() == 32));
    }
}
