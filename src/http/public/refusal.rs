//! Why a request of X is refused, and what it is answered.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};

use crate::flow::ingest::IngestError;
use crate::x::signature::BadCrcToken;

/// X repeats a refused delivery after 3 s at the earliest.
const RETRY_AFTER_SECONDS: u64 = 2;
/// By then a source may make as many unsigned requests again as are allowed.
const FLOODING_SECONDS: u64 = 60;

/// Why a challenge or delivery is refused. What is displayed is also told to the caller.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such app")]
    UnknownApp,
    #[error("{0}")]
    BadChallenge(BadCrcToken),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body was not whole within {0:?}")]
    TooSlow(Duration),
    #[error("the body broke off")]
    BrokenOff,
    #[error("the signature is missing")]
    Unsigned,
    #[error("the signature does not fit the body")]
    BadSignature,
    /// Its source has made too many requests that X did not sign.
    #[error("too many requests without a valid signature")]
    Flooding,
    #[error("no delivery: {0}")]
    NotADelivery(String),
    /// With the reason, which is not for strangers.
    #[error("the delivery cannot be stored now")]
    Unavailable(String),
}

impl Refusal {
    /// As in metrics and logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::UnknownApp => "unknown_app",
            Self::BadChallenge(_) => "bad_challenge",
            Self::TooLarge(_) => "too_large",
            Self::TooSlow(_) => "too_slow",
            Self::BrokenOff => "broken_off",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::Flooding => "flooding",
            Self::NotADelivery(_) => "not_a_delivery",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::NotADelivery(reason) => Self::NotADelivery(reason.to_string()),
            IngestError::Unavailable(reason) => Self::Unavailable(reason.to_string()),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::UnknownApp => StatusCode::NOT_FOUND,
            Self::BadChallenge(_) | Self::BrokenOff | Self::NotADelivery(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Unsigned | Self::BadSignature => StatusCode::UNAUTHORIZED,
            Self::Flooding => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Unavailable(_) => {
                response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            Self::Flooding => {
                response
                    .insert_header((RETRY_AFTER, FLOODING_SECONDS))
                    .force_close();
            }
            // Whoever is refused keeps no connection open.
            _ => {
                response.force_close();
            }
        }
        response
            .insert_header(ContentType::plaintext())
            .body(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;
    use crate::store::StoreError;
    use crate::x::normalize::NotADelivery;

    #[actix_web::test]
    async fn a_store_that_cannot_take_it_asks_for_another_try_and_keeps_the_reason() {
        let full = StoreError::Open {
            place: "/data".to_owned(),
            reason: "disk full".to_owned(),
        };
        let refusal = Refusal::from(IngestError::Unavailable(full));
        let response = refusal.error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
        let body = to_bytes(response.into_body()).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("/data"));
    }

    #[test]
    fn what_is_no_delivery_is_a_bad_request_without_another_try() {
        let refusal = Refusal::from(IngestError::from(NotADelivery::NotAnObject));
        let response = refusal.error_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }
}
