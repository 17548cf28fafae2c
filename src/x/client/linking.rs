//! How a person lets the app act for them: OAuth 1.0a with three legs, OAuth 2.0 with PKCE. What
//! the browser brings back is checked by the caller, who knows what was begun.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use super::auth::Auth;
use super::auth::bearer::basic;
use super::auth::tokens::pair;
use super::call::Call;
use super::error::{CallError, NotSent, UncertainBecause};
use super::send::{Request, Sent};
use super::transport::{Answer, Transport, read_object};
use super::{Client, Reply};
use crate::domain::account::{AccessToken, App, TokenPair};
use crate::domain::ids::UserId;
use crate::x::wire::answer::Token;

/// What the service asks for by OAuth 2.0; without `offline.access` there is no refresh token.
/// Source: X's OpenAPI, the calls that are made here.
pub const SCOPES: [&str; 8] = [
    "tweet.read",
    "tweet.write",
    "tweet.moderate.write",
    "users.read",
    "dm.read",
    "dm.write",
    "media.write",
    "offline.access",
];

/// The token between the first and the last leg of OAuth 1.0a.
#[derive(Clone, Debug)]
pub struct RequestToken {
    /// Goes through the browser and comes back: by it the caller knows what was begun.
    pub token: String,
    pub secret: SecretString,
}

/// Whom OAuth 1.0a links, and by which token.
#[derive(Clone, Debug)]
pub struct Linked {
    pub token: AccessToken,
    pub user: UserId,
    /// Without `@`; empty where X does not say.
    pub screen_name: String,
}

/// One use of PKCE, RFC 7636 by S256: the verifier stays here, the challenge goes to X first.
#[derive(Clone)]
pub struct Pkce {
    verifier: SecretString,
}

impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkce").finish_non_exhaustive()
    }
}

impl Pkce {
    /// With a verifier of 256 random bits.
    pub fn random() -> Self {
        let bits: [u8; 32] = rand::random();
        Self::of(URL_SAFE_NO_PAD.encode(bits).into())
    }

    /// One that was begun before.
    pub fn of(verifier: SecretString) -> Self {
        Self { verifier }
    }

    pub fn verifier(&self) -> &SecretString {
        &self.verifier
    }

    /// What X is shown before it sees the verifier.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose_secret()))
    }
}

impl Client {
    /// First leg of OAuth 1.0a. The callback has to be among those of the app's settings, to the
    /// letter; X sends the browser there with `oauth_token` and `oauth_verifier`, or, by memory of
    /// its older pages, with `denied`.
    pub async fn request_token(&self, app: &App, callback: &Url) -> Reply<RequestToken> {
        let more = vec![("oauth_callback", callback.to_string())];
        let sent = self
            .leg(Call::RequestToken, "oauth/request_token", app, None, more)
            .await;
        sent.read_answer(|answer| {
            let none = || answer.uncertain(UncertainBecause::NoResult);
            let said = Form::read(answer);
            // Else X would ignore the callback and show a PIN.
            if said.get("oauth_callback_confirmed") != Some("true") {
                return Err(none());
            }
            let token = said.token().ok_or_else(none)?;
            Ok(RequestToken {
                token: token.token.expose_secret().to_owned(),
                secret: token.secret,
            })
        })
    }

    /// Where the person says yes or no. With the name of the expected account X asks for its
    /// password, whoever is signed in.
    ///
    /// # Errors
    /// When the base URL takes no path.
    pub fn authorize_url(
        &self,
        token: &RequestToken,
        expected: Option<&str>,
    ) -> Result<Url, CallError> {
        let mut query = vec![("oauth_token", &*token.token)];
        if let Some(name) = expected {
            query.extend([("force_login", "true"), ("screen_name", name)]);
        }
        self.transport.url("oauth/authorize", &query)
    }

    /// Last leg of OAuth 1.0a; it works once.
    pub async fn access_token(
        &self,
        app: &App,
        token: &RequestToken,
        verifier: &str,
    ) -> Reply<Linked> {
        let token = AccessToken {
            token: token.token.clone().into(),
            secret: token.secret.clone(),
        };
        let more = vec![("oauth_verifier", verifier.to_owned())];
        let sent = self
            .leg(
                Call::AccessToken,
                "oauth/access_token",
                app,
                Some(&token),
                more,
            )
            .await;
        sent.read_answer(|answer| {
            let linked = Form::read(answer).linked();
            linked.ok_or_else(|| answer.uncertain(UncertainBecause::NoResult))
        })
    }

    /// Ends an OAuth 1.0a token. One that X does not know any more is refused as revoked.
    pub async fn invalidate_token(&self, app: &App, token: &AccessToken) -> Reply<()> {
        let path = "1.1/oauth/invalidate_token";
        let request = Request::new(Call::InvalidateToken, Method::POST, path);
        let sent = self.send(Auth::Owner { app, token }, &request).await;
        sent.read_answer(|_| Ok(()))
    }

    /// Where the person says yes or no by OAuth 2.0. X sends the browser back to `redirect` with
    /// `state` (500 characters at most) and `code`, or with `error`.
    ///
    /// # Errors
    /// When the app has no OAuth 2.0 client id.
    pub fn oauth2_authorize_url(
        &self,
        app: &App,
        redirect: &Url,
        scopes: &[&str],
        state: &str,
        pkce: &Pkce,
    ) -> Result<Url, CallError> {
        let mut url = self.transport.consent_page()?;
        let query = [
            ("response_type", "code"),
            ("client_id", client_id(app)?),
            ("redirect_uri", redirect.as_str()),
            // By %20: X's page does not take a plus for a blank.
            ("scope", &scopes.join(" ")),
            ("state", state),
            ("code_challenge", &pkce.challenge()),
            ("code_challenge_method", "S256"),
        ];
        url.set_query(Some(&Transport::query(&query)));
        Ok(url)
    }

    /// Exchanges the code of a callback, which lives 30 seconds and works once. The pair is to be
    /// stored before anything else is done: nothing here keeps it. Its refresh token is empty where
    /// X did not grant `offline.access`.
    pub async fn exchange_code(
        &self,
        app: &App,
        code: &str,
        redirect: &Url,
        pkce: &Pkce,
    ) -> Reply<TokenPair> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", pkce.verifier.expose_secret()),
        ];
        let sent = self
            .ask_as_client(Call::ExchangeCode, "2/oauth2/token", app, &form)
            .await;
        let now = (self.clock)();
        sent.read_answer(|answer| {
            let token: Option<Token<'_>> = read_object(&answer.body);
            let token = token.filter(|it| !it.access_token.is_empty());
            let token = token.ok_or_else(|| answer.uncertain(UncertainBecause::NoResult))?;
            Ok(pair(&token, (&*token.refresh_token).into(), now))
        })
    }

    /// Ends an OAuth 2.0 token, of either kind.
    pub async fn revoke_token(&self, app: &App, token: &SecretString) -> Reply<()> {
        let form = [("token", token.expose_secret())];
        let sent = self
            .ask_as_client(Call::RevokeToken, "2/oauth2/revoke", app, &form)
            .await;
        sent.read_answer(|_| Ok(()))
    }

    /// One leg of OAuth 1.0a, signed with what there is so far.
    async fn leg(
        &self,
        call: Call,
        path: &str,
        app: &App,
        token: Option<&AccessToken>,
        more: Vec<(&'static str, String)>,
    ) -> Sent {
        let mut request = Request::new(call, Method::POST, path);
        request.oauth = more;
        match self.try_leg(app, token, &request).await {
            Ok(answer) => self.judge(call, answer),
            Err(error) => Sent::failed(call, error),
        }
    }

    async fn try_leg(
        &self,
        app: &App,
        token: Option<&AccessToken>,
        request: &Request,
    ) -> Result<Answer, CallError> {
        let url = self.transport.url(&request.path, &[])?;
        let header = self.signed(app, token, request, &url, &[]).header();
        self.transport
            .exchange(&request.method, url, &request.body, &header)
            .await
    }

    /// A confidential client shows its secret, a public one names itself in the form.
    pub(super) async fn ask_as_client(
        &self,
        call: Call,
        path: &str,
        app: &App,
        form: &[(&str, &str)],
    ) -> Sent {
        let id = match client_id(app) {
            Ok(id) => id,
            Err(error) => return Sent::failed(call, error),
        };
        let basic = app.client_secret.as_ref().map(|secret| basic(id, secret));
        let named = basic.is_none().then_some(("client_id", id));
        let form: Vec<_> = form.iter().copied().chain(named).collect();
        match self.transport.ask(path, &form, basic.as_ref()).await {
            Ok(answer) => self.judge(call, answer),
            Err(error) => Sent::failed(call, error),
        }
    }
}

impl Transport {
    /// X's page for people is not where its API is; one on this machine has both in one place.
    fn consent_page(&self) -> Result<Url, CallError> {
        let path = "i/oauth2/authorize";
        match self.base_url.host_str() {
            Some("api.x.com") => {
                let url = format!("https://x.com/{path}").parse();
                url.map_err(|error: url::ParseError| NotSent::Unaskable(error.to_string()).into())
            }
            _ => self.url(path, &[]),
        }
    }
}

fn client_id(app: &App) -> Result<&str, CallError> {
    let missing = NotSent::NoCredential("the app has no OAuth 2.0 client id");
    Ok(app.client_id.as_deref().ok_or(missing)?)
}

/// An answer of OAuth 1.0a: a form.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(answer: &Answer) -> Self {
        let pairs = url::form_urlencoded::parse(answer.body.trim().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// `None` where it is absent or empty.
    fn get(&self, wanted: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| &**value).filter(|it| !it.is_empty())
    }

    fn token(&self) -> Option<AccessToken> {
        Some(AccessToken {
            token: self.get("oauth_token")?.into(),
            secret: self.get("oauth_token_secret")?.into(),
        })
    }

    fn linked(&self) -> Option<Linked> {
        Some(Linked {
            token: self.token()?,
            user: self.get("user_id")?.parse().ok()?,
            screen_name: self.get("screen_name").unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(
            pkce.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn no_two_verifiers_are_alike_and_each_is_long_enough() {
        let [first, second] = [Pkce::random(), Pkce::random()];
        let verifiers = [&first, &second].map(|it| it.verifier().expose_secret().to_owned());
        assert_ne!(verifiers[0], verifiers[1]);
        assert!(verifiers.iter().all(|it| it.len() == 43));
        assert!(!format!("{first:?}").contains(&verifiers[0]));
    }
}
