//! What is answered when something is not done: RFC 9457 problems, the same shape for all of them.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::flow::admin::AdminError;
use crate::flow::registry::ChangeError;
use crate::settings::{Fault, SettingsFaults};
use crate::store::StoreError;

/// How long to wait before a store that is full or late is asked again.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// The kinds of problem; each has its status, its `type` and its `title`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalid,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    Broken,
    Unavailable,
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn uri(self) -> &'static str {
        match self {
            Self::Invalid => "urn:twitter-channel:problem:invalid",
            Self::Unauthorized => "urn:twitter-channel:problem:unauthorized",
            Self::Forbidden => "urn:twitter-channel:problem:forbidden",
            Self::NotFound => "urn:twitter-channel:problem:not-found",
            Self::MethodNotAllowed => "urn:twitter-channel:problem:method-not-allowed",
            Self::TooSlow => "urn:twitter-channel:problem:too-slow",
            Self::Conflict => "urn:twitter-channel:problem:conflict",
            Self::TooLarge => "urn:twitter-channel:problem:too-large",
            Self::UnsupportedMediaType => "urn:twitter-channel:problem:unsupported-media-type",
            Self::TooManyRequests => "urn:twitter-channel:problem:too-many-requests",
            Self::Broken => "urn:twitter-channel:problem:broken",
            Self::Unavailable => "urn:twitter-channel:problem:unavailable",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Invalid => "The request is not right",
            Self::Unauthorized => "A credential is needed",
            Self::Forbidden => "The credential does not allow this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "This cannot be done with that method",
            Self::TooSlow => "The body did not come in time",
            Self::Conflict => "This cannot be done as things stand",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body has to be JSON",
            Self::TooManyRequests => "Too many wrong credentials",
            Self::Broken => "Something of this service is broken",
            Self::Unavailable => "This cannot be done now",
        }
    }
}

/// A field at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Path in the body (`ids[0]`), or name of the parameter.
    pub field: String,
    /// What was found, cut where it is long; empty for what is missing or secret.
    pub value: String,
    pub expected: String,
}

/// An answer that is not a 2xx.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    /// This very problem, for people.
    pub detail: String,
    /// The fields at fault, where fields are.
    pub errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    allow: String,
}

/// An answer that is not a 2xx (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Written<'a> {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    uri: &'a str,
    title: &'a str,
    status: u16,
    /// This very problem, for people.
    detail: &'a str,
    /// The fields at fault, where fields are.
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: String::new(),
        }
    }

    /// A field of the body or a parameter is not right.
    pub(crate) fn field(field: &str, value: &str, expected: impl Into<String>) -> Self {
        let expected = expected.into();
        let mut problem = Self::new(Kind::Invalid, format!("{field}: {expected}"));
        problem.errors.push(FieldError {
            field: field.to_owned(),
            value: cut(value),
            expected,
        });
        problem
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, what)
    }

    /// Tells when to come again.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Tells the methods that there are.
    pub(crate) fn allowing(mut self, methods: String) -> Self {
        self.allow = methods;
        self
    }

    /// What kind it is of, in words.
    pub(crate) fn title(&self) -> &'static str {
        self.kind.title()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

/// What a caller sent, as far as it is shown back.
pub(crate) fn cut(value: &str) -> String {
    const LONGEST: usize = 100;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.title(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.kind.status());
        if self.kind == Kind::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            response.insert_header((RETRY_AFTER, format!("{seconds:.0}")));
        }
        if !self.allow.is_empty() {
            response.insert_header((ALLOW, self.allow.clone()));
        }
        let written = Written {
            uri: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        response
            .content_type("application/problem+json")
            .body(serde_json::to_vec(&written).unwrap_or_default())
    }
}

impl From<StoreError> for Problem {
    /// What is wrong with the store is for its log, not for whoever asks.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => {
                Self::new(Kind::Unavailable, "The store is full.").after(STORE_RETRY)
            }
            StoreError::Late(_) => {
                let detail = "The store did not take it in time; it may still be done.";
                Self::new(Kind::Unavailable, detail).after(STORE_RETRY)
            }
            StoreError::Unusable(_) | StoreError::Unreachable { .. } => {
                tracing::warn!(%error, "the API cannot use the store");
                Self::new(Kind::Unavailable, "The store cannot be used.").after(STORE_RETRY)
            }
            StoreError::Closed => {
                Self::new(Kind::Unavailable, "The service stops.").after(STORE_RETRY)
            }
            StoreError::Deposed => {
                let detail = "Another replica leads by now.";
                Self::new(Kind::Unavailable, detail).after(STORE_RETRY)
            }
            StoreError::Open { .. } | StoreError::Corrupt { .. } => {
                tracing::error!(%error, "the API found the store damaged");
                Self::new(
                    Kind::Broken,
                    "The store holds what this version cannot read.",
                )
            }
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = sentence(&error.to_string());
        match error {
            ChangeError::Invalid(SettingsFaults(faults)) => {
                let mut problem = Self::new(Kind::Invalid, detail);
                problem.errors = faults.into_iter().map(FieldError::from).collect();
                problem
            }
            ChangeError::Declared(_) | ChangeError::InUse(_) | ChangeError::OtherApp(_) => {
                Self::new(Kind::Conflict, detail)
            }
            ChangeError::Unknown(_) => Self::not_found(detail),
            ChangeError::Unreadable(error) => {
                tracing::error!(%error, "a credential cannot be read or kept");
                Self::new(Kind::Broken, detail)
            }
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<Fault> for FieldError {
    fn from(fault: Fault) -> Self {
        Self {
            field: fault.key,
            value: fault.value.as_deref().map(cut).unwrap_or_default(),
            expected: fault.expected,
        }
    }
}

/// An error's words as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if words.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound(what) => Self::not_found(what),
            AdminError::Refused(why) => Self::new(Kind::Conflict, why),
            AdminError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    #[actix_web::test]
    async fn a_problem_is_written_as_the_rfc_has_it() {
        let problem = Problem::field("limit", "0", "1 to 200").after(Duration::from_millis(1200));
        let response = problem.error_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers().get("retry-after").unwrap(), "2");
        let kind = response.headers().get("content-type").unwrap();
        assert_eq!(kind, "application/problem+json");
        let body = to_bytes(response.into_body()).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let expected = json!({
            "type": "urn:twitter-channel:problem:invalid",
            "title": "The request is not right",
            "status": 400,
            "detail": "limit: 1 to 200",
            "errors": [{"field": "limit", "value": "0", "expected": "1 to 200"}],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn what_is_wrong_with_the_store_is_not_told() {
        let error = StoreError::Corrupt {
            what: "command",
            value: "s3cret".to_owned(),
        };
        let problem = Problem::from(error);
        assert!(!problem.detail.contains("s3cret"));
        assert_eq!(problem.status_code(), 500);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(cut(&"ä".repeat(101)).chars().count(), 101);
        assert_eq!(cut("short"), "short");
    }
}
