//! Who asks: a bearer token, or the cookie of a login.

use std::future::{Ready, ready};
use std::time::Instant;

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::Api;
use super::problem::{Kind, Problem};
use crate::domain::access::Role;
use crate::flow::access::{Login, Principal, SESSION_LASTS};

/// The cookie of a login.
pub(crate) const SESSION_COOKIE: &str = "twitter_channel_session";
/// What a request with a cookie has to send along, unless it only looks.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";

impl Api {
    /// Whoever sends a request, by its token or, where it has none, by its cookie.
    ///
    /// # Errors
    /// 401 without a credential or with a wrong one, 429 after too many wrong ones.
    pub(crate) async fn principal(
        &self,
        request: &HttpRequest,
        now: Timestamp,
    ) -> Result<Principal, Problem> {
        if let Some(header) = request.headers().get(AUTHORIZATION) {
            let token = bearer(header.as_bytes());
            return self.holder(request, token).await;
        }
        match request.cookie(SESSION_COOKIE) {
            Some(cookie) => {
                let found = self.access.by_session(cookie.value(), now).await?;
                found.ok_or_else(|| unauthorized("The login has ended. Log in again."))
            }
            None => Err(unauthorized(
                "Send a token: Authorization: Bearer <token>, or log in at the console.",
            )),
        }
    }

    /// Whose token this is; a wrong one counts against the peer.
    ///
    /// # Errors
    /// As [`Api::principal`].
    pub(crate) async fn holder(
        &self,
        request: &HttpRequest,
        token: Option<&str>,
    ) -> Result<Principal, Problem> {
        let peer = request.peer_addr().map(|address| address.ip());
        let wait = peer.and_then(|peer| self.throttle.wait(peer, Instant::now()));
        if let Some(wait) = wait {
            let detail = "Too many wrong credentials came from this address.";
            return Err(Problem::new(Kind::TooManyRequests, detail).after(wait));
        }
        let found = match token {
            Some(token) => self.access.by_token(token).await?,
            None => None,
        };
        found.ok_or_else(|| {
            if let Some(peer) = peer {
                tracing::info!(%peer, "a wrong token was sent to the private listener");
                self.throttle.note_wrong(peer, Instant::now());
            }
            unauthorized("The token is wrong, or was revoked.")
        })
    }

    /// The cookie of a login.
    pub(crate) fn cookie(&self, login: &Login) -> Cookie<'static> {
        let secret = login.secret.expose_secret().to_owned();
        self.cookie_of(secret, CookieDuration::seconds(SESSION_LASTS.as_secs()))
    }

    /// Takes the cookie of a login away.
    pub(crate) fn no_cookie(&self) -> Cookie<'static> {
        self.cookie_of(String::new(), CookieDuration::ZERO)
    }

    fn cookie_of(&self, secret: String, age: CookieDuration) -> Cookie<'static> {
        Cookie::build(SESSION_COOKIE, secret)
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(self.secure_cookies)
            .max_age(age)
            .finish()
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Kind::Unauthorized, detail)
}

/// The token in `Bearer <token>`; the scheme's case does not matter.
fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    let token = std::str::from_utf8(token).ok()?;
    let fits = scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty();
    fits.then_some(token)
}

/// Whether whoever asks may do what a route does; a login has to show that the request comes from
/// one of its own pages.
///
/// # Errors
/// 403, with what is missing.
pub(crate) fn permit(
    principal: &Principal,
    role: Role,
    request: &HttpRequest,
) -> Result<(), Problem> {
    let only_looks = [Method::GET, Method::HEAD].contains(request.method());
    if let Some(session) = principal.session.as_ref().filter(|_| !only_looks) {
        let header = request.headers().get(CSRF_HEADER);
        let given = header.and_then(|value| value.to_str().ok());
        if !session.is_from_own_page(given.unwrap_or_default()) {
            let detail = format!("A login has to send {CSRF_HEADER} with a change.");
            return Err(Problem::new(Kind::Forbidden, detail));
        }
    }
    if principal.role < role {
        return Err(Problem::new(
            Kind::Forbidden,
            format!(
                "This needs the role {}; {} has the role {}.",
                role.name(),
                principal.name,
                principal.role.name()
            ),
        ));
    }
    Ok(())
}

/// Whoever asks, for handlers behind the scope's check.
pub(crate) struct Who(pub Principal);

impl FromRequest for Who {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let known = request.extensions().get::<Principal>().cloned();
        let missing = || unauthorized("Nobody is known to ask.");
        ready(known.map(Self).ok_or_else(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_header_alone() {
        assert_eq!(bearer(b"Bearer abc"), Some("abc"));
        assert_eq!(bearer(b"bearer abc"), Some("abc"));
        for bad in [
            &b"Bearer "[..],
            b"Bearer",
            b"Basic abc",
            b"",
            b"Bearer \xff",
        ] {
            assert_eq!(bearer(bad), None);
        }
    }
}
