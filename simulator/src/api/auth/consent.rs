//! What users are asked, and what they say: the middle of both OAuth's ways to a user's token.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::three_legged::OUT_OF_BAND;
use super::tokens::Signed;
use crate::model::{App, Permission, Refused, UserId, World};

/// X's longest `state`, in bytes.
const MAX_STATE: usize = 500;

/// Every scope there is, by X's page of 2026-08.
const KNOWN_SCOPES: &[&str] = &[
    "tweet.read",
    "tweet.write",
    "tweet.moderate.write",
    "users.email",
    "users.read",
    "follows.read",
    "follows.write",
    "offline.access",
    "space.read",
    "mute.read",
    "mute.write",
    "like.read",
    "like.write",
    "list.read",
    "list.write",
    "block.read",
    "block.write",
    "bookmark.read",
    "bookmark.write",
    "broadcast.read",
    "dm.read",
    "dm.write",
    "media.write",
];

/// What a user says at the page that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Lets the app in.
    Allow,
    /// Does not.
    Deny,
}

/// Why there is no page to say anything at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConsentError {
    /// Not an address of a page that asks.
    #[error("there is no page that asks at {0}")]
    NoPage(String),
    /// The request token was never given, is used, or was refused.
    #[error("the request token is not valid")]
    UnknownToken,
    /// A parameter of the page is missing or wrong.
    #[error("something went wrong: {0} is missing or not allowed")]
    Parameter(&'static str),
    /// The app is closed.
    #[error("the app is suspended")]
    SuspendedApp,
    /// X does not know the user, or has closed the account.
    #[error("there is no such user")]
    UnknownUser,
}

impl From<Refused> for ConsentError {
    fn from(_: Refused) -> Self {
        Self::UnknownUser
    }
}

/// What a page is asked for by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// OAuth 1.0a.
    Token {
        token: String,
        /// Passes silently where the user has let the app in before.
        may_pass: bool,
        screen_name: String,
    },
    /// OAuth 2.0.
    Code(CodeRequest),
}

/// An OAuth 2.0 authorization request, as sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodeRequest {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    code_challenge: String,
    code_challenge_method: String,
}

/// What the user reads before saying anything.
pub(crate) struct Prompt {
    pub(crate) app: String,
    /// What the app will be able to do, in X's words.
    pub(crate) powers: Vec<String>,
    /// Whom the app expects.
    pub(crate) screen_name: String,
    /// Whether whom it was granted by before need not be asked.
    pub(crate) may_pass: bool,
}

/// Where the user is after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Back(String),
    /// A number to be typed into the app.
    Pin(String),
}

/// Requests that users are asked about.
#[derive(Default)]
pub(crate) struct Consents {
    requests: HashMap<String, RequestToken>,
    codes: HashMap<String, Code>,
    issued: u64,
}

struct RequestToken {
    app: String,
    secret: String,
    callback: String,
    permission: Permission,
    /// Once the user has agreed.
    agreed: Option<(String, UserId)>,
}

struct Code {
    app: String,
    user: UserId,
    redirect_uri: String,
    scopes: Vec<String>,
    challenge: String,
    method: String,
    expires_at_ms: i64,
}

/// What comes with a code to be redeemed.
pub(super) struct Proof<'a> {
    pub(super) app: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) code_verifier: &'a str,
}

impl Wanted {
    /// By path and query of the page.
    pub(crate) fn parse(path: &str, query: &str) -> Result<Self, ConsentError> {
        let pairs: HashMap<String, String> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let value = |name: &str| pairs.get(name).cloned().unwrap_or_default();
        match path {
            "/oauth/authorize" | "/oauth/authenticate" => Ok(Self::Token {
                token: value("oauth_token"),
                may_pass: path.ends_with("authenticate") && value("force_login") != "true",
                screen_name: value("screen_name"),
            }),
            "/i/oauth2/authorize" | "/2/oauth2/authorize" => Ok(Self::Code(CodeRequest {
                response_type: value("response_type"),
                client_id: value("client_id"),
                redirect_uri: value("redirect_uri"),
                scope: value("scope"),
                state: value("state"),
                code_challenge: value("code_challenge"),
                code_challenge_method: value("code_challenge_method"),
            })),
            other => Err(ConsentError::NoPage(other.to_owned())),
        }
    }
}

impl CodeRequest {
    fn check<'w>(&self, world: &'w World) -> Result<&'w App, ConsentError> {
        let wrong = ConsentError::Parameter;
        let mut apps = world.apps();
        let app = apps.find(|app| app.settings.client_id == self.client_id);
        let app = app.ok_or(wrong("client_id"))?;
        let known = |scope: &str| KNOWN_SCOPES.contains(&scope);
        let rules = [
            ("response_type", self.response_type == "code"),
            (
                "redirect_uri",
                app.settings.callbacks.contains(&self.redirect_uri),
            ),
            (
                "scope",
                !self.scope.trim().is_empty() && self.scopes().iter().all(|s| known(s)),
            ),
            ("state", (1..=MAX_STATE).contains(&self.state.len())),
            ("code_challenge", !self.code_challenge.is_empty()),
            (
                "code_challenge_method",
                matches!(&*self.code_challenge_method, "S256" | "plain"),
            ),
        ];
        match rules.into_iter().find(|(_, holds)| !holds) {
            Some((name, _)) => Err(wrong(name)),
            None => open(app),
        }
    }

    fn scopes(&self) -> Vec<String> {
        self.scope.split_whitespace().map(str::to_owned).collect()
    }
}

fn open(app: &App) -> Result<&App, ConsentError> {
    match app.suspended {
        true => Err(ConsentError::SuspendedApp),
        false => Ok(app),
    }
}

/// OAuth 1.0a.
impl Consents {
    /// A request token of the app; all are derived from names and numbers.
    pub(super) fn request(&mut self, app: &str, callback: &str, permission: Permission) -> Signed {
        self.issued += 1;
        let number = self.issued;
        let made = Signed {
            token: format!("{app}-request.{number}"),
            secret: format!("{app}-request-secret.{number}"),
        };
        let kept = RequestToken {
            app: app.to_owned(),
            secret: made.secret.clone(),
            callback: callback.to_owned(),
            permission,
            agreed: None,
        };
        self.requests.insert(made.token.clone(), kept);
        made
    }

    pub(super) fn request_secret(&self, token: &str, app: &str) -> Option<String> {
        let request = self.requests.get(token)?;
        (request.app == app).then(|| request.secret.clone())
    }

    /// Who has agreed, and to what; only with the right verifier, and only once.
    pub(super) fn exchange(&mut self, token: &str, verifier: &str) -> Option<(UserId, Permission)> {
        let (expected, user) = self.requests.get(token)?.agreed.clone()?;
        if expected != verifier {
            return None;
        }
        let request = self.requests.remove(token)?;
        Some((user, request.permission))
    }

    /// A request token that the user has not been asked about.
    fn unanswered(&self, token: &str) -> Result<&RequestToken, ConsentError> {
        let request = self.requests.get(token);
        request
            .filter(|request| request.agreed.is_none())
            .ok_or(ConsentError::UnknownToken)
    }

    fn answer(
        &mut self,
        token: &str,
        user: UserId,
        decision: Decision,
    ) -> Result<Sent, ConsentError> {
        let callback = self.unanswered(token)?.callback.clone();
        if decision == Decision::Deny {
            self.requests.remove(token);
            return Ok(Sent::Back(with_query(&callback, &[("denied", token)])));
        }
        self.issued += 1;
        let verifier = match &*callback {
            OUT_OF_BAND => format!("{:07}", 1_000_000 + self.issued),
            _ => format!("verifier.{}", self.issued),
        };
        if let Some(request) = self.requests.get_mut(token) {
            request.agreed = Some((verifier.clone(), user));
        }
        let fields = [("oauth_token", token), ("oauth_verifier", &*verifier)];
        Ok(match &*callback {
            OUT_OF_BAND => Sent::Pin(verifier),
            _ => Sent::Back(with_query(&callback, &fields)),
        })
    }
}

/// OAuth 2.0.
impl Consents {
    fn code(&mut self, asked: &CodeRequest, app: &str, user: UserId, expires_at_ms: i64) -> String {
        self.issued += 1;
        let code = format!("{app}-code.{}", self.issued);
        let kept = Code {
            app: app.to_owned(),
            user,
            redirect_uri: asked.redirect_uri.clone(),
            scopes: asked.scopes(),
            challenge: asked.code_challenge.clone(),
            method: asked.code_challenge_method.clone(),
            expires_at_ms,
        };
        self.codes.insert(code.clone(), kept);
        code
    }

    /// Who has agreed, and to what; or what is wrong, in X's words. A code is good once, whatever
    /// comes of it.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        proof: &Proof<'_>,
        now_ms: i64,
    ) -> Result<(UserId, Vec<String>), &'static str> {
        let invalid = "Value passed for the authorization code was invalid.";
        let ours = self
            .codes
            .get(code)
            .is_some_and(|kept| kept.app == proof.app);
        let kept = match ours {
            true => self.codes.remove(code).ok_or(invalid)?,
            false => return Err(invalid),
        };
        if now_ms >= kept.expires_at_ms {
            return Err(invalid);
        }
        if kept.redirect_uri != proof.redirect_uri {
            return Err(
                "Value passed for the redirect uri did not match the uri of the authorization code.",
            );
        }
        let shown = match &*kept.method {
            "plain" => proof.code_verifier.to_owned(),
            _ => URL_SAFE_NO_PAD.encode(Sha256::digest(proof.code_verifier)),
        };
        if shown != kept.challenge {
            return Err("Value passed for the code verifier did not match the code challenge.");
        }
        Ok((kept.user, kept.scopes))
    }
}

/// Both.
impl Consents {
    /// What the user reads.
    pub(crate) fn prompt(&self, world: &World, wanted: &Wanted) -> Result<Prompt, ConsentError> {
        match wanted {
            Wanted::Token {
                token,
                may_pass,
                screen_name,
            } => {
                let request = self.unanswered(token)?;
                let app = world.app(&request.app);
                let app = open(app.map_err(|_gone| ConsentError::UnknownToken)?)?;
                Ok(Prompt {
                    app: app.settings.name.clone(),
                    powers: powers(request.permission),
                    screen_name: screen_name.clone(),
                    may_pass: *may_pass,
                })
            }
            Wanted::Code(asked) => Ok(Prompt {
                app: asked.check(world)?.settings.name.clone(),
                powers: asked.scopes(),
                screen_name: String::new(),
                may_pass: false,
            }),
        }
    }

    /// The user's word, and where it leads.
    pub(crate) fn decide(
        &mut self,
        world: &World,
        wanted: &Wanted,
        user: UserId,
        decision: Decision,
        code_life_s: u64,
    ) -> Result<Sent, ConsentError> {
        self.prompt(world, wanted)?;
        if world.user(user)?.standing.suspended {
            return Err(ConsentError::UnknownUser);
        }
        let asked = match wanted {
            Wanted::Token { token, .. } => return self.answer(token, user, decision),
            Wanted::Code(asked) => asked,
        };
        let life = i64::try_from(code_life_s).unwrap_or(i64::MAX / 1000);
        let expires_at_ms = world.now_ms().saturating_add(life.saturating_mul(1000));
        let app = asked.check(world)?.settings.name.clone();
        let state = ("state", &*asked.state);
        let uri = &asked.redirect_uri;
        Ok(Sent::Back(match decision {
            Decision::Deny => with_query(uri, &[("error", "access_denied"), state]),
            Decision::Allow => {
                let code = self.code(asked, &app, user, expires_at_ms);
                with_query(uri, &[state, ("code", &code)])
            }
        }))
    }
}

fn powers(permission: Permission) -> Vec<String> {
    let words: &[&str] = match permission {
        Permission::Read => &["See your posts and profile"],
        Permission::ReadWrite => &["See your posts and profile", "Post and delete for you"],
        Permission::ReadWriteMessages => &[
            "See your posts and profile",
            "Post and delete for you",
            "Send direct messages for you and read, manage and delete yours",
        ],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn with_query(address: &str, fields: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(fields);
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("{address}{sign}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn consents(method: &str, challenge: &str) -> (Consents, String) {
        let mut consents = Consents::default();
        let asked = CodeRequest {
            redirect_uri: "https://desk.example/back".to_owned(),
            scope: "tweet.read users.read".to_owned(),
            code_challenge: challenge.to_owned(),
            code_challenge_method: method.to_owned(),
            ..CodeRequest::default()
        };
        let code = consents.code(&asked, "acme", UserId(1), 30_000);
        (consents, code)
    }

    fn proof(code_verifier: &str) -> Proof<'_> {
        Proof {
            app: "acme",
            redirect_uri: "https://desk.example/back",
            code_verifier,
        }
    }

    #[test]
    fn a_challenge_is_met_as_the_standard_says() {
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let (mut consents, code) = consents("S256", challenge);
        let agreed = consents.redeem(&code, &proof(VERIFIER), 29_999).unwrap();
        assert_eq!(agreed.1, ["tweet.read", "users.read"]);
        assert!(consents.redeem(&code, &proof(VERIFIER), 29_999).is_err());
    }

    #[test]
    fn a_plain_challenge_is_its_own_verifier_and_a_late_or_foreign_code_is_worth_nothing() {
        let (mut made, code) = consents("plain", VERIFIER);
        let foreign = Proof {
            app: "other",
            ..proof(VERIFIER)
        };
        assert!(made.redeem(&code, &foreign, 0).is_err());
        assert!(made.redeem(&code, &proof(VERIFIER), 0).is_ok());
        let (mut made, code) = consents("plain", VERIFIER);
        assert!(made.redeem(&code, &proof(VERIFIER), 30_000).is_err());
        let (mut made, code) = consents("plain", VERIFIER);
        assert!(made.redeem(&code, &proof("another"), 0).is_err());
    }

    #[test]
    fn parameters_are_added_to_an_address_that_has_some() {
        assert_eq!(
            with_query("https://a.example/x?y=1", &[("z", "a b")]),
            "https://a.example/x?y=1&z=a+b"
        );
    }
}
