//! Why a webhook is refused, in the words of v2 and of v1.1.

use super::super::answer::Answer;
use super::super::problem;
use crate::crc::CrcFailure;

/// Why there is no such webhook, or no new one.
#[derive(Clone, Debug)]
pub(in crate::api) enum WebhookRefusal {
    /// The address, and what is wrong with it.
    Url(String, String),
    Crc(CrcFailure),
    /// The app has this address already.
    Duplicate(String),
    /// More than so many.
    TooMany(usize),
    /// Of this id, or another app's.
    Unknown(String),
}

impl WebhookRefusal {
    /// A reason, then words: X's page lists the reasons.
    pub(in crate::api) fn v2(&self) -> Box<Answer> {
        let (parameter, value, message) = match self {
            Self::Url(url, why) => ("url", url.clone(), format!("UrlValidationFailed: {why}")),
            Self::Crc(failure) => (
                "url",
                String::new(),
                format!("CrcValidationFailed: {failure}"),
            ),
            Self::Duplicate(url) => (
                "url",
                url.clone(),
                "DuplicateUrlFailed: the URL is registered already".to_owned(),
            ),
            Self::TooMany(limit) => (
                "url",
                String::new(),
                format!("WebhookLimitExceeded: the limit of webhooks is {limit}"),
            ),
            Self::Unknown(id) => (
                "webhook_id",
                id.clone(),
                "WebhookIdInvalid: there is no such webhook".to_owned(),
            ),
        };
        problem::invalid(parameter, &value, &message)
    }

    /// One code for all, told apart by the text (as X's page of troubleshooting had them).
    pub(in crate::api) fn v1(&self) -> Box<Answer> {
        let text = match self {
            Self::Unknown(_) => {
                return problem::coded(404, 34, "Sorry, that page does not exist.");
            }
            Self::Url(..) | Self::Duplicate(_) => "Webhook URL does not meet the requirements.",
            Self::Crc(CrcFailure::WrongToken(_)) => {
                "Webhook URL does not meet the requirements. Invalid CRC token or json response format."
            }
            Self::Crc(CrcFailure::TimedOut) => {
                "High latency on CRC GET request. Your webhook should respond in less than 3 seconds."
            }
            Self::Crc(_) => "Non-200 response code during CRC GET request (i.e. 404, 500, etc).",
            Self::TooMany(_) => "Too many resources already created.",
        };
        problem::coded(403, 214, text)
    }
}
