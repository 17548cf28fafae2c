//! One request and its answer, and what is certain when there is none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::auth::oauth1::encode;
use super::classify::{Failure, classify};
use super::error::{CallError, NotSent, UncertainBecause};
use super::heard::Heard;
use super::limits::Limits;
use super::refusals::RefusalTexts;
use crate::telemetry::chain;
use crate::telemetry::traces::CallSpan;
use crate::x::wire::answer::Problem;

/// Longest answer that is read; 100 whole posts have about 1 MB.
const MAX_ANSWER: usize = 16 << 20;

/// The way to X.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) base_url: Url,
    pub(super) call_timeout: Duration,
    pub(super) upload_timeout: Duration,
    pub(super) texts: Arc<RefusalTexts>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    Json(Value),
    /// Signed with the query by OAuth 1.0a.
    Form(Vec<(&'static str, String)>),
    /// Texts, then the file.
    Multipart {
        texts: Vec<(&'static str, String)>,
        media: Bytes,
    },
}

/// A whole answer, of whatever status.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) limits: Limits,
    pub(super) transaction_id: String,
    pub(super) heard: Heard,
}

impl fmt::Debug for Answer {
    /// Without the body: it may hold tokens, or what people wrote to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// The address of a path, its query encoded in the way that OAuth 1.0a signs it.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, CallError> {
        let base = self.base_url.as_str().trim_end_matches('/');
        let unaskable = |error: url::ParseError| NotSent::Unaskable(error.to_string());
        let parsed = format!("{base}/{path}").parse::<Url>().map_err(unaskable);
        let mut url = parsed?;
        if !query.is_empty() {
            url.set_query(Some(&Self::query(query)));
        }
        Ok(url)
    }

    /// A query as OAuth 1.0a signs it.
    pub(super) fn query(parameters: &[(&str, &str)]) -> String {
        let pairs = parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Sends a call and reads its answer.
    pub(super) async fn exchange(
        &self,
        method: &Method,
        url: Url,
        body: &Body,
        authorization: &SecretString,
    ) -> Result<Answer, CallError> {
        let span = CallSpan::begin(method.as_str(), &url);
        let request = self.http.request(method.clone(), url);
        let request = match body {
            Body::None => request.timeout(self.call_timeout),
            Body::Json(value) => request.timeout(self.call_timeout).json(value),
            Body::Form(form) => request.timeout(self.call_timeout).form(form),
            Body::Multipart { texts, media } => request
                .timeout(self.upload_timeout)
                .multipart(form(texts, media)),
        };
        let answer = send(request.header(AUTHORIZATION, secret_header(authorization)?)).await;
        if let Some(span) = span {
            span.end(answer.as_ref().ok().map(|answer| answer.status));
        }
        answer
    }

    /// Asks an OAuth endpoint. Without `basic` the form has to name the client.
    pub(super) async fn ask_for_token(
        &self,
        path: &str,
        form: &[(&str, &str)],
        basic: Option<&SecretString>,
    ) -> Result<Answer, CallError> {
        self.succeeded(self.ask(path, form, basic).await?)
    }

    /// The same, with the answer of whatever status.
    pub(super) async fn ask(
        &self,
        path: &str,
        form: &[(&str, &str)],
        basic: Option<&SecretString>,
    ) -> Result<Answer, CallError> {
        let url = self.url(path, &[])?;
        let mut request = self.http.post(url).timeout(self.call_timeout).form(form);
        if let Some(basic) = basic {
            request = request.header(AUTHORIZATION, secret_header(basic)?);
        }
        send(request).await
    }

    /// An answer, if it is one of success.
    pub(super) fn succeeded(&self, answer: Answer) -> Result<Answer, CallError> {
        match self.failure(&answer) {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    /// What went wrong by the status; `None` for a success.
    pub(super) fn failure(&self, answer: &Answer) -> Option<CallError> {
        if (200..300).contains(&answer.status) {
            return None;
        }
        let problem = read_problem(&answer.body).or_else(|| read_markup(&answer.body));
        let failure = Failure {
            status: answer.status,
            problem: problem.as_ref(),
            transaction_id: &answer.transaction_id,
            limits: &answer.limits,
        };
        Some(classify(&failure, &self.texts))
    }
}

/// A form in which the endpoints of OAuth 1.0a refuse: `<errors><error code="415">Callback URL not
/// approved ...</error></errors>`, or `<hash><error>Desktop applications ...</error></hash>`.
fn read_markup(body: &str) -> Option<Problem<'_>> {
    let (_, errors) = body.trim_start().strip_prefix("<?xml")?.split_once("?>")?;
    let errors = errors.trim_start();
    let errors = ["<errors>", "<hash>"]
        .iter()
        .find_map(|name| errors.strip_prefix(name))?;
    let (attribute, rest) = errors
        .trim_start()
        .strip_prefix("<error")?
        .split_once('>')?;
    let (words, _) = rest.split_once('<')?;
    let code = attribute.trim().strip_prefix("code=\"");
    let code = code.and_then(|code| code.strip_suffix('"')?.parse().ok());
    Some(Problem {
        code: code.into(),
        message: words.trim().into(),
        ..Problem::default()
    })
}

/// A body as an object; `None` if it is none. serde would take a list for an object, too.
pub(super) fn read_object<'a, T: Deserialize<'a>>(body: &'a str) -> Option<T> {
    let body = body.trim_start();
    let object = body.starts_with('{').then(|| serde_json::from_str(body));
    object?.ok()
}

/// X's words; `None` for a body that X does not write: a proxy's page, an empty one.
pub(super) fn read_problem(body: &str) -> Option<Problem<'_>> {
    let problem: Problem<'_> = read_object(body)?;
    let says_something = [
        &*problem.type_,
        &problem.title,
        &problem.detail,
        &problem.message,
        &problem.error,
    ]
    .iter()
    .any(|text| !text.is_empty());
    (says_something || problem.code.is_some() || !problem.errors.is_empty()).then_some(problem)
}

fn form(texts: &[(&'static str, String)], media: &Bytes) -> Form {
    let length = u64::try_from(media.len()).unwrap_or(u64::MAX);
    let file = Part::stream_with_length(media.clone(), length).file_name("media");
    let form = Form::new();
    let form = texts
        .iter()
        .fold(form, |form, (name, text)| form.text(*name, text.clone()));
    form.part("media", file)
}

/// Never shown in a log of headers.
pub(super) fn secret_header(secret: &SecretString) -> Result<HeaderValue, CallError> {
    let unaskable = |_| {
        let why = "a credential holds signs that no header may hold";
        NotSent::Unaskable(why.to_owned())
    };
    let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(unaskable)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn send(request: RequestBuilder) -> Result<Answer, CallError> {
    let response = request.send().await.map_err(without_answer)?;
    whole(response).await
}

/// The answer with all of its body.
pub(super) async fn whole(response: Response) -> Result<Answer, CallError> {
    let status = response.status().as_u16();
    let limits = Limits::read(response.headers());
    let transaction_id = transaction_id(response.headers());
    let heard = Heard::read(response.headers());
    Ok(Answer {
        status,
        body: read(response).await?,
        limits,
        transaction_id,
        heard,
    })
}

pub(super) fn transaction_id(headers: &HeaderMap) -> String {
    let id = headers.get("x-transaction-id");
    let id = id.and_then(|id| id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// The whole body. What is cut or too long is not read at all.
async fn read(mut response: Response) -> Result<String, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(answer_lost)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(CallError::uncertain(UncertainBecause::Unreadable));
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Only where no connection came about is it certain that nothing went out.
pub(super) fn without_answer(error: reqwest::Error) -> CallError {
    if error.is_connect() || error.is_builder() {
        return NotSent::NoConnection(chain(&error.without_url())).into();
    }
    CallError::uncertain(if error.is_timeout() {
        UncertainBecause::TimedOut
    } else {
        UncertainBecause::ConnectionLost
    })
}

fn answer_lost(error: reqwest::Error) -> CallError {
    CallError::uncertain(if error.is_timeout() {
        UncertainBecause::TimedOut
    } else {
        UncertainBecause::AnswerCut
    })
}

/// What an answer without any headers of limits means; for the table of errors.
#[cfg(test)]
pub(crate) fn error_of(status: u16, body: &str) -> CallError {
    let problem = read_problem(body);
    let failure = Failure {
        status,
        problem: problem.as_ref(),
        transaction_id: "",
        limits: &Limits::default(),
    };
    let texts = RefusalTexts::compiled_in();
    classify(&failure, &texts.expect("the table is good"))
}
