//! Calls whose answers are read as they come: a stream that never ends, a file of any size.

use std::time::Instant;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Response};
use secrecy::SecretString;
use tokio::time::timeout;
use url::Url;

use super::Client;
use super::auth::{Auth, Context};
use super::call::Call;
use super::error::{CallError, UncertainBecause};
use super::limits::Limits;
use super::send::Request;
use super::transport::{Answer, Transport, secret_header, whole, without_answer};

/// Where to ask, in just one context: nothing is repeated.
pub(super) struct Opening {
    pub(super) call: Call,
    pub(super) context: Context,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

impl Client {
    /// Asks, and returns as soon as an answer of whatever status begins.
    pub(super) async fn open(
        &self,
        auth: Auth<'_>,
        opening: Opening,
    ) -> Result<Response, CallError> {
        let begun = Instant::now();
        let Opening {
            call,
            context,
            url,
            headers,
        } = opening;
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let query = pairs.iter().map(|(name, value)| (&**name, &**value));
        let query: Vec<_> = query.collect();
        let request = Request::new(call, Method::GET, "");
        let credential = self
            .credential(context, auth, &request, &url, &query)
            .await?;
        let header = credential.header();
        let response = self.transport.open(url, headers, Some(&header)).await?;
        let status = response.status().as_u16();
        if status == 401 {
            self.refused(context, auth, &credential).await;
        }
        tracing::debug!(
            call = call.name(),
            ?context,
            app = auth.app().name,
            account.id = auth.account().map(|account| account.id.to_string()),
            http.status = status,
            duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "X begins an answer",
        );
        Ok(response)
    }
}

impl Transport {
    /// Only the beginning of the answer has a deadline: that of a call.
    pub(super) async fn open(
        &self,
        url: Url,
        headers: HeaderMap,
        authorization: Option<&SecretString>,
    ) -> Result<Response, CallError> {
        let mut request = self.http.get(url).headers(headers);
        if let Some(secret) = authorization {
            request = request.header(AUTHORIZATION, secret_header(secret)?);
        }
        match timeout(self.call_timeout, request.send()).await {
            Ok(response) => response.map_err(without_answer),
            Err(_late) => Err(CallError::uncertain(UncertainBecause::TimedOut)),
        }
    }

    /// All of an answer that has begun, a refusal for example; it has the time of a call.
    pub(super) async fn rest(&self, response: Response) -> (Limits, Result<Answer, CallError>) {
        let limits = Limits::read(response.headers());
        let answer = match timeout(self.call_timeout, whole(response)).await {
            Ok(answer) => answer,
            Err(_late) => Err(CallError::uncertain(UncertainBecause::TimedOut)),
        };
        (limits, answer)
    }
}
