//! Who calls: OAuth 1.0a signatures, OAuth 2.0 user tokens, bearer tokens of apps.

mod consent;
mod oauth1;
mod oauth2;
mod three_legged;
mod tokens;

pub use consent::{ConsentError, Decision};
pub use tokens::{Credentials, TokenSeen};

pub(crate) use consent::{Consents, Prompt, Sent, Wanted};
pub(super) use oauth2::{app_token, invalidate, revoke, user_token};
pub(super) use three_legged::{access_token, request_token};
pub(crate) use tokens::Tokens;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::incoming::Incoming;
use super::problem;
use super::settings::ApiSettings;
use crate::model::{Interest, Permission, UserId, World};

/// Who calls, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) app: String,
    /// Absent with a bearer token.
    pub(crate) user: Option<UserId>,
    means: Means,
}

#[derive(Clone, Debug)]
enum Means {
    OAuth1(Permission),
    OAuth2(Vec<String>),
    Bearer,
}

impl Caller {
    /// What OAuth 1.0a answers tell in `x-access-level`.
    pub(super) fn access_level(&self) -> Option<&'static str> {
        self.permission().map(Permission::access_level)
    }

    /// The level of an OAuth 1.0a token.
    pub(super) fn permission(&self) -> Option<Permission> {
        match self.means {
            Means::OAuth1(permission) => Some(permission),
            Means::OAuth2(_) | Means::Bearer => None,
        }
    }

    /// Whether the token will do for a subscription of its own user to this.
    pub(super) fn may_follow(&self, interest: &Interest) -> bool {
        match &self.means {
            Means::OAuth1(permission) => *permission >= interest.permission(),
            Means::OAuth2(scopes) => covers(scopes, &[interest.scope()]),
            Means::Bearer => !interest.is_private(),
        }
    }
}

/// What a caller says of itself, and whether it is true.
pub(crate) type Verdict = Result<Caller, Box<Answer>>;

/// Finds out who calls; the same nonce is taken only once.
pub(crate) fn authenticate(
    tokens: &mut Tokens,
    settings: &ApiSettings,
    world: &World,
    incoming: &Incoming,
) -> Verdict {
    let header = incoming.authorization.as_deref().unwrap_or_default();
    match header.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("OAuth") => {
            let (app, token) = oauth1::verify(tokens, settings, world, incoming, rest)?;
            Ok(Caller {
                app,
                user: Some(token.user),
                means: Means::OAuth1(token.permission),
            })
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => {
            by_token(tokens, world, token.trim())
        }
        _ => Err(problem::unauthorized()),
    }
}

fn by_token(tokens: &Tokens, world: &World, token: &str) -> Verdict {
    if let Some(app) = tokens.app_of_bearer(world, token) {
        refuse_suspended(world, &app)?;
        return Ok(Caller {
            app,
            user: None,
            means: Means::Bearer,
        });
    }
    let now_ms = world.now_ms();
    let access = tokens.access(token).filter(|access| access.is_good(now_ms));
    let access = access.ok_or_else(problem::unauthorized)?;
    refuse_suspended(world, &access.app)?;
    Ok(Caller {
        app: access.app.clone(),
        user: Some(access.user),
        means: Means::OAuth2(access.scopes.clone()),
    })
}

fn refuse_suspended(world: &World, app: &str) -> Result<(), Box<Answer>> {
    match world.app(app).is_ok_and(|app| app.suspended) {
        true => Err(oauth1::suspended()),
        false => Ok(()),
    }
}

/// Whether this kind of token will do for this call.
pub(crate) fn admit(caller: &Caller, endpoint: Endpoint) -> Result<(), Box<Answer>> {
    let access = endpoint.access();
    match &caller.means {
        Means::Bearer if !access.bearer => Err(unsupported("OAuth 2.0 Application-Only")),
        Means::OAuth2(_) if !access.oauth2 => Err(unsupported("OAuth 2.0 User Context")),
        Means::OAuth1(_) if !access.oauth1 => Err(unsupported("OAuth 1.0a User Context")),
        Means::OAuth1(permission) if *permission < access.permission => Err(problem::typed(
            403,
            "oauth1-permissions",
            "Forbidden",
            "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.",
        )),
        Means::OAuth2(_) if !access.oauth2 => Err(unsupported("OAuth 2.0 User Context")),
        Means::OAuth2(scopes) if !covers(scopes, access.scopes) => {
            Err(problem::forbidden("Forbidden"))
        }
        _ => Ok(()),
    }
}

fn covers(scopes: &[String], needed: &[&str]) -> bool {
    needed
        .iter()
        .all(|scope| scopes.iter().any(|held| held == scope))
}

fn unsupported(means: &str) -> Box<Answer> {
    let detail = format!("Authenticating with {means} is forbidden for this endpoint.");
    problem::typed(
        403,
        "unsupported-authentication",
        "Unsupported Authentication",
        &detail,
    )
}
