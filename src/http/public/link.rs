//! The pages at which an account is linked. They work without scripts, load nothing from elsewhere
//! but the account's picture, and show no secret but the address they are at.

use std::sync::Arc;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use askama::Template;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::Url;

use crate::flow::link::{
    CALLBACK, Callback, LINKING_LIFE, LinkError, LinkFailed, Linked, Linker, Offer,
};

/// The one stylesheet, for the console too.
const STYLE: &str = include_str!("../../../templates/style.css");
/// Where X keeps pictures.
const PICTURES: &str = "https://pbs.twimg.com";
/// Where X asks for consent. A browser follows the redirect behind a form to these only.
const CONSENT: &str = "https://x.com https://api.x.com https://twitter.com https://api.twitter.com";

/// What the pages need.
pub struct LinkPages {
    linker: Arc<Linker>,
    policy: String,
    /// Picture addresses begin so.
    pictures: [String; 2],
    /// Path of `public.url`, without `/` at its end.
    root: String,
    host: String,
    /// Browsers reach us by https.
    secure: bool,
}

impl LinkPages {
    /// `x` is where X's API is: an X on this machine has consent and pictures there too.
    pub fn new(linker: Arc<Linker>, x: &Url) -> Self {
        let x = x.origin().ascii_serialization();
        let public = linker.settings().public_url.as_ref().map(|it| it.as_url());
        let part = |of: fn(&Url) -> &str| public.map(of).unwrap_or_default().to_owned();
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src {PICTURES} {x}; \
             form-action 'self' {CONSENT} {x}; base-uri 'none'; frame-ancestors 'none'"
        );
        Self {
            policy,
            pictures: [format!("{PICTURES}/"), format!("{x}/")],
            root: part(Url::path).trim_end_matches('/').to_owned(),
            host: part(|url| url.host_str().unwrap_or_default()),
            secure: public.is_some_and(|url| url.scheme() == "https"),
            linker,
        }
    }

    /// With the prefix no other host of our domain can set it.
    fn cookie_name(&self) -> &'static str {
        match self.secure {
            true => "__Host-linking",
            false => "linking",
        }
    }

    fn cookie(&self, value: &str) -> Cookie<'static> {
        Cookie::build(self.cookie_name(), value.to_owned())
            .path("/")
            .http_only(true)
            .secure(self.secure)
            // Lax: it has to come along when X sends the browser back.
            .same_site(SameSite::Lax)
            .max_age(Duration::seconds(LINKING_LIFE.as_secs()))
            .finish()
    }

    fn answer(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut answer = HttpResponse::build(status);
        answer
            .insert_header((CONTENT_SECURITY_POLICY, self.policy.as_str()))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            // The address holds the token.
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header(("x-robots-tag", "noindex, nofollow"));
        answer
    }

    fn page(&self, status: StatusCode, page: &impl Template) -> HttpResponse {
        match page.render() {
            Ok(html) => self
                .answer(status)
                .content_type("text/html; charset=utf-8")
                .body(html),
            Err(error) => {
                tracing::error!(%error, "a page cannot be made");
                HttpResponse::InternalServerError().finish()
            }
        }
    }

    fn redirect(&self, to: &Url) -> HttpResponseBuilder {
        let mut answer = self.answer(StatusCode::SEE_OTHER);
        answer.insert_header((LOCATION, to.as_str()));
        answer
    }

    fn failed(&self, failed: LinkFailed) -> HttpResponse {
        let error = failed.error;
        let is_over = matches!(error, LinkError::StateUsed | LinkError::OfferUsed);
        let page = FailedPage {
            root: &self.root,
            title: match is_over {
                true => "This is over",
                false => "The account was not linked",
            },
            is_over,
            cause: error.to_string(),
            step: error.step().to_string(),
            words: error.words(),
            fix: error.fix(),
            again: failed.again,
            left_at_x: failed.left_at_x,
        };
        self.page(status(&error), &page)
    }

    fn linked(&self, linked: &Linked) -> HttpResponse {
        let is_shown = |url: &&str| self.pictures.iter().any(|from| url.starts_with(from));
        let page = LinkedPage {
            root: &self.root,
            id: linked.account.to_string(),
            username: &linked.username,
            name: &linked.name,
            avatar: Some(linked.avatar_url.as_str()).filter(is_shown),
            confirmed: linked.confirmed,
            invited: linked.invited,
        };
        self.page(StatusCode::OK, &page)
    }
}

#[derive(Template)]
#[template(path = "link/begin.html")]
struct BeginPage<'a> {
    root: &'a str,
    host: &'a str,
    app: &'a str,
    kind: &'a str,
    username: Option<&'a str>,
    invited: bool,
    until: String,
    callback: &'a str,
}

#[derive(Template)]
#[template(path = "link/linked.html")]
struct LinkedPage<'a> {
    root: &'a str,
    id: String,
    username: &'a str,
    name: &'a str,
    avatar: Option<&'a str>,
    confirmed: bool,
    invited: bool,
}

#[derive(Template)]
#[template(path = "link/failed.html")]
struct FailedPage<'a> {
    root: &'a str,
    title: &'a str,
    /// It worked before, and may have linked an account then.
    is_over: bool,
    cause: String,
    step: String,
    words: Option<String>,
    fix: String,
    again: Option<String>,
    left_at_x: bool,
}

/// The routes by which accounts are linked.
pub fn link_routes(pages: Arc<LinkPages>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(Data::from(Arc::clone(&pages)))
            .service(web::resource("/style.css").get(style))
            .service(web::resource("/link/{token}").get(look).post(begin))
            .service(web::resource(CALLBACK).get(come_back));
    }
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "max-age=300"))
        .body(STYLE)
}

/// Programs that look at links before people do spend nothing here.
async fn look(token: Path<String>, pages: Data<LinkPages>) -> HttpResponse {
    match pages.linker.look(&token, Timestamp::now()).await {
        Ok(offer) => begin_page(&pages, &offer),
        Err(error) => refused(&pages, &token, error),
    }
}

fn begin_page(pages: &LinkPages, offer: &Offer) -> HttpResponse {
    let page = BeginPage {
        root: &pages.root,
        host: &pages.host,
        app: &offer.app,
        kind: offer.kind.name(),
        username: offer.username.as_deref(),
        invited: offer.invited,
        until: offer.expires_at.strftime("%d %B, %H:%M UTC").to_string(),
        callback: &offer.callback,
    };
    pages.page(StatusCode::OK, &page)
}

async fn begin(token: Path<String>, pages: Data<LinkPages>) -> HttpResponse {
    match pages.linker.begin(&token, Timestamp::now()).await {
        Ok(begun) => {
            let cookie = pages.cookie(begun.browser.expose_secret());
            pages.redirect(&begun.to).cookie(cookie).finish()
        }
        Err(error) => refused(&pages, &token, error),
    }
}

fn refused(pages: &LinkPages, token: &str, error: LinkError) -> HttpResponse {
    tracing::info!(step = %error.step(), reason = error.code(), "a linking did not begin");
    let is_spent = matches!(
        error,
        LinkError::UnknownOffer | LinkError::OfferExpired | LinkError::OfferUsed
    );
    let again = || pages.linker.page(token).ok().map(String::from);
    pages.failed(LinkFailed {
        again: (!is_spent).then(again).flatten(),
        ..error.into()
    })
}

async fn come_back(request: HttpRequest, pages: Data<LinkPages>) -> HttpResponse {
    let browser = request.cookie(pages.cookie_name());
    let browser = browser.map(|cookie| cookie.value().into());
    let callback = match Callback::parse(request.query_string()) {
        Ok(callback) => callback,
        Err(error) => return pages.failed(error.into()),
    };
    let finished = pages.linker.finish(callback, browser, Timestamp::now());
    match finished.await {
        Ok(linked) => match &linked.back {
            Some(back) => pages.redirect(back).finish(),
            None => pages.linked(&linked),
        },
        Err(failed) => pages.failed(failed),
    }
}

fn status(error: &LinkError) -> StatusCode {
    match error {
        LinkError::NoAnswer
        | LinkError::UnknownState
        | LinkError::BadUsername(_)
        | LinkError::BadReturn => StatusCode::BAD_REQUEST,
        LinkError::OtherBrowser
        | LinkError::Denied(_)
        | LinkError::OtherAccount { .. }
        | LinkError::MissingScopes(_)
        | LinkError::NoDirectMessages(_) => StatusCode::FORBIDDEN,
        LinkError::UnknownOffer => StatusCode::NOT_FOUND,
        LinkError::OtherApp { .. } | LinkError::Declared(_) | LinkError::Change(_) => {
            StatusCode::CONFLICT
        }
        LinkError::OfferExpired
        | LinkError::OfferUsed
        | LinkError::StateUsed
        | LinkError::StateExpired => StatusCode::GONE,
        LinkError::NoPublicUrl
        | LinkError::UnknownApp(_)
        | LinkError::NoOAuth2(_)
        | LinkError::Unreadable => StatusCode::INTERNAL_SERVER_ERROR,
        LinkError::ConsentFailed(_)
        | LinkError::CallbackNotAllowed { .. }
        | LinkError::ConsumerPair(_)
        | LinkError::ClientPair(_)
        | LinkError::ClockOff(_)
        | LinkError::Suspended(_)
        | LinkError::Credits(_)
        | LinkError::Stale(_)
        | LinkError::Refused { .. } => StatusCode::BAD_GATEWAY,
        LinkError::Unavailable { .. } | LinkError::Store(_) | LinkError::Stopped => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}
