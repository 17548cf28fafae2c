//! What every page has: who is logged in, where one is, what was just done.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use crate::domain::access::{Actor, Role};
use crate::flow::access::Principal;
use crate::http::api::problem::{FieldError, Kind, Problem};

/// Who looks at a page, and how they came.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub actor: Actor,
    user: String,
    role: Role,
    csrf: String,
    notice: Option<&'static str>,
    attention: usize,
}

impl Visit {
    pub(super) fn new(principal: &Principal, request: &HttpRequest, attention: usize) -> Self {
        let csrf = principal.session.as_ref().map(|it| it.csrf.clone());
        Self {
            actor: principal.actor(),
            user: principal.name.to_string(),
            role: principal.role,
            csrf: csrf.unwrap_or_default(),
            notice: notice(request.query_string()),
            attention,
        }
    }

    /// The frame of a page; `current` is the entry of the navigation that it belongs to.
    pub(super) fn shell(&self, current: &'static str) -> Shell {
        Shell {
            visit: self.clone(),
            current,
        }
    }
}

impl FromRequest for Visit {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let known = request.extensions().get::<Self>().cloned();
        let missing = || Refused::new(Kind::Unauthorized, "Nobody is known to ask.");
        ready(known.ok_or_else(missing))
    }
}

/// The frame of a page.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    visit: Visit,
    current: &'static str,
}

impl Shell {
    pub(super) fn user(&self) -> &str {
        &self.visit.user
    }

    pub(super) fn role(&self) -> &'static str {
        self.visit.role.name()
    }

    pub(super) fn csrf(&self) -> &str {
        &self.visit.csrf
    }

    pub(super) fn is_admin(&self) -> bool {
        self.visit.role == Role::Admin
    }

    pub(super) fn is_core(&self) -> bool {
        self.visit.role >= Role::Core
    }

    pub(super) fn notice(&self) -> Option<&'static str> {
        self.visit.notice
    }

    pub(super) fn groups(&self) -> [Group; 3] {
        NAVIGATION
    }

    pub(super) fn is_current(&self, name: &str) -> bool {
        self.current == name
    }

    /// How many faults there are, shown beside the overview.
    pub(super) fn attention(&self) -> usize {
        self.visit.attention
    }
}

/// Name, address and words of an entry.
pub(super) type Entry = (&'static str, &'static str, &'static str);
/// A heading with its entries.
pub(super) type Group = (&'static str, &'static [Entry]);

/// Where one can go, in groups.
const NAVIGATION: [Group; 3] = [
    (
        "Watch",
        &[
            ("overview", "/", "Overview"),
            ("conversations", "/conversations", "Conversations"),
            ("commands", "/commands", "Commands"),
            ("quarantine", "/quarantine", "Quarantine"),
            ("gaps", "/gaps", "Gaps"),
            ("events", "/events", "Events"),
        ],
    ),
    (
        "Set up",
        &[
            ("setup", "/setup", "Set-up"),
            ("apps", "/apps", "Apps"),
            ("accounts", "/accounts", "Accounts"),
            ("explain", "/explain", "Explain a message"),
        ],
    ),
    (
        "Look up",
        &[
            ("costs", "/costs", "Costs"),
            ("audit", "/audit", "Audit"),
            ("tokens", "/tokens", "Tokens"),
        ],
    ),
];

/// What was just done, by the word in the address; no text of an address is ever shown.
const NOTICES: [(&str, &str); 25] = [
    ("validated", "The webhook passed X's challenge."),
    ("webhook-deleted", "The webhook is deleted at X."),
    (
        "gap-opened",
        "It is filled now; what was missing appears within minutes.",
    ),
    ("gap-acknowledged", "It is told no more."),
    ("registered", "X delivers to this service now."),
    (
        "past",
        "What came before is read from X now; it appears within minutes.",
    ),
    ("saved", "Saved."),
    ("app-saved", "The app is saved. It is in force at once."),
    ("app-removed", "The app is forgotten."),
    (
        "rotated",
        "The new secret is in force; deliveries signed with the old one are still taken.",
    ),
    ("rotation-ended", "Only the new secret is taken now."),
    (
        "confirmed",
        "The account is confirmed. Its messages are routed from now on.",
    ),
    (
        "unlinked",
        "The account is unlinked. What it has received and sent stays.",
    ),
    (
        "filter-saved",
        "The filter is saved. It is in force at once.",
    ),
    ("filter-removed", "The filter is removed."),
    ("filter-moved", "The order is saved."),
    ("retried", "This is the new command."),
    ("released", "Let go."),
    ("cancelled", "Taken back."),
    ("quarantine-retried", "It is tried again within seconds."),
    ("republished", "It is published again within seconds."),
    (
        "revoked",
        "The token is revoked, and the logins that it opened.",
    ),
    (
        "snapshot",
        "The state of every account is published within seconds.",
    ),
    (
        "storm-released",
        "What was held back is let through within seconds.",
    ),
    (
        "linked",
        "The account is linked. Check that it is the right one, then confirm it.",
    ),
];

fn notice(query: &str) -> Option<&'static str> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (name, value) = pairs.find(|(name, _)| name == "done" || name == "linked")?;
    let word = if name == "linked" { "linked" } else { &*value };
    let found = NOTICES.iter().find(|(known, _)| *known == word);
    found.map(|(_, text)| *text)
}

/// Why a page is not shown or a form does nothing; shown as a page itself.
#[derive(Debug)]
pub(super) struct Refused(pub Problem);

impl Refused {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Problem::new(kind, detail))
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            Kind::NotFound,
            format!("There is no such {what}, or it is no longer kept."),
        )
    }
}

impl<E: Into<Problem>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    /// For where nobody shows it as a page with the navigation.
    fn error_response(&self) -> HttpResponse {
        plain_error(
            self.status_code().as_u16(),
            "This was not done.",
            &self.0.detail,
        )
    }
}

/// Answers with a page.
pub(super) fn html(template: &impl Template) -> HttpResponse {
    html_with(StatusCode::OK, template)
}

/// The same with another status.
pub(super) fn html_with(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(text) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .body(text),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// After a form: to the page that shows what it did.
pub(super) fn go(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}

/// A path that a form named; ours only, else the overview.
pub(super) fn own_path(path: &str) -> &str {
    let plain = |c: char| c.is_ascii_graphic() && c != '\\';
    let own = path.starts_with('/') && !path.starts_with("//") && path.chars().all(plain);
    if own { path } else { "/" }
}

#[derive(Template)]
#[template(path = "console/error.html")]
struct ErrorPage<'a> {
    shell: Shell,
    title: &'a str,
    detail: &'a str,
    errors: &'a [FieldError],
}

#[derive(Template)]
#[template(path = "console/plain.html")]
struct PlainPage<'a> {
    title: &'a str,
    detail: &'a str,
}

#[derive(Template)]
#[template(path = "console/going_on.html")]
struct GoingOnPage<'a> {
    to: &'a str,
}

/// What was refused, with the navigation around it.
pub(super) fn error_page(visit: &Visit, problem: &Problem) -> HttpResponse {
    let page = ErrorPage {
        shell: visit.shell(""),
        title: problem.title(),
        detail: &problem.detail,
        errors: &problem.errors,
    };
    let mut answer = html_with(problem.status_code(), &page);
    let own = problem.error_response();
    if let Some(wait) = own.headers().get(RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    answer
}

/// For whoever has not logged in.
pub(super) fn plain_error(status: u16, title: &str, detail: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    html_with(status, &PlainPage { title, detail })
}

/// Goes to the same address from a page of ours.
pub(super) fn going_on(request: &HttpRequest) -> HttpResponse {
    let uri = request.uri();
    let to = uri.path_and_query().map_or("/", |it| it.as_str());
    html(&GoingOnPage { to: own_path(to) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_gone_to() {
        for own in ["/", "/accounts?x=1", "/a/b"] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "//evil.example",
            "https://evil.example",
            "/\\evil",
            "/a b",
            "",
            "/\n",
        ] {
            assert_eq!(own_path(other), "/");
        }
    }

    #[test]
    fn a_notice_is_one_of_ours() {
        assert_eq!(notice("done=saved"), Some("Saved."));
        assert_eq!(notice("done=<script>"), None);
        assert!(notice("linked=7").is_some());
    }
}
