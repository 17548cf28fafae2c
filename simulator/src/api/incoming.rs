//! A request, read to its end.

use std::convert::Infallible;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, RANGE};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use serde::de::DeserializeOwned;

use super::answer::Answer;
use super::problem;

/// Enough for any chunk; a whole video has to come in chunks.
const MAX_BODY: usize = 64 << 20;

/// All of a request that anything here looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    /// Scheme, host, port unless it is the usual one, and path: what is signed.
    pub(crate) address: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// The variable part of the path, if it has one.
    pub(crate) id: String,
    /// All variable parts of the path.
    pub(crate) parts: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: String,
    /// The part of a file that is wanted, as sent.
    pub(crate) range: Option<String>,
    pub(crate) body: Bytes,
}

/// Why a request could not be read.
pub(crate) enum Unread {
    TooLarge,
    BrokenOff,
}

impl Incoming {
    pub(crate) async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, Unread> {
        let mut incoming = Self::head(request);
        incoming.body = read_body(payload).await?;
        Ok(incoming)
    }

    /// Without the body.
    pub(crate) fn head(request: &HttpRequest) -> Self {
        let header = |name: HeaderName| {
            let value = request.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let connection = request.connection_info();
        let (scheme, host) = (connection.scheme(), connection.host());
        let usual_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(usual_port).unwrap_or(host);
        let query = form_urlencoded::parse(request.query_string().as_bytes());
        Self {
            method: request.method().to_string(),
            address: format!("{scheme}://{}{}", host.to_lowercase(), request.path()),
            target: request.uri().to_string(),
            id: path_part(request),
            parts: request
                .match_info()
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            query: query.into_owned().collect(),
            authorization: header(AUTHORIZATION),
            content_type: header(CONTENT_TYPE).unwrap_or_default(),
            range: header(RANGE),
            body: Bytes::new(),
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        let found = pairs.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A variable part of the path; empty where the path has none of that name.
    pub(crate) fn part(&self, name: &str) -> &str {
        let mut parts = self.parts.iter();
        let found = parts.find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The fields of a form; none where the body is none.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if !self.is("application/x-www-form-urlencoded") {
            return Vec::new();
        }
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    pub(crate) fn is(&self, media_type: &str) -> bool {
        let given = self.content_type.split(';').next().unwrap_or_default();
        given.trim().eq_ignore_ascii_case(media_type)
    }

    /// The body as JSON of a known shape; unknown fields are refused.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Box<Answer>> {
        if !self.is("application/json") {
            return Err(problem::invalid(
                "content-type",
                &self.content_type,
                "The request body has to be application/json",
            ));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| problem::invalid("body", "", &error.to_string()))
    }

    /// The fields of a multipart body by name.
    pub(crate) async fn multipart(&self) -> Result<Vec<(String, Bytes)>, multer::Error> {
        let boundary = multer::parse_boundary(&self.content_type)?;
        let body = self.body.clone();
        let body = stream::once(async move { Ok::<_, Infallible>(body) });
        let mut parts = multer::Multipart::new(body, boundary);
        let mut fields = Vec::new();
        while let Some(field) = parts.next_field().await? {
            let name = field.name().unwrap_or_default().to_owned();
            fields.push((name, field.bytes().await?));
        }
        Ok(fields)
    }

    /// The kind of credentials.
    pub(crate) fn scheme(&self) -> Option<String> {
        let given = self.authorization.as_deref()?;
        given.split(' ').next().map(str::to_owned)
    }

    /// What the matchers of faults see: the body as sent, and its text without JSON's escapes.
    pub(crate) fn matched_body(&self) -> String {
        let parsed: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let text = parsed.as_ref().and_then(|body| body.get("text")?.as_str());
        format!("{}\n{}", self.shown_body(), text.unwrap_or_default())
    }

    /// What the record shows of the body.
    pub(crate) fn shown_body(&self) -> String {
        if self.is("multipart/form-data") {
            return format!("[{} bytes of multipart/form-data]", self.body.len());
        }
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn path_part(request: &HttpRequest) -> String {
    let parts = request.match_info();
    let found = parts.get("id").or_else(|| parts.get("username"));
    found.unwrap_or_default().to_owned()
}

pub(super) async fn read_body(mut payload: Payload) -> Result<Bytes, Unread> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_broken| Unread::BrokenOff)?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
