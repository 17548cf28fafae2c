//! The challenge (CRC) as X sends it, sent to our own webhook: whether X would be content with the
//! address, and how long its certificate holds.

use std::error::Error;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::LOCATION;
use reqwest::tls::TlsInfo;
use reqwest::{Client, Response};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client::plain_builder;
use super::signature::{CrcToken, WebhookSecret, crc_response};

/// X's older pages give an answer 3 s, its present ones 10 s.
const LONGEST: Duration = Duration::from_secs(3);
/// Longest answer that is read, bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Sends challenges; each on a connection of its own, as a stranger comes.
#[derive(Clone, Debug)]
pub struct Challenger {
    http: Client,
}

/// No HTTP client can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client for our own address")]
pub struct NoChallenger(#[source] reqwest::Error);

/// Our address answers as X wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Until when its certificate holds; `None` without TLS.
    pub certificate_ends: Option<Timestamp>,
}

/// Why X would refuse our address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeFault {
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("its certificate is not accepted: {0}")]
    Certificate(String),
    #[error("no answer within {LONGEST:?}")]
    TooSlow,
    /// X follows no redirect.
    #[error("it redirects to {0}")]
    Redirect(String),
    #[error("it answers with status {0}")]
    Status(u16),
    /// Something else answers there, or with another consumer secret.
    #[error("it gives a wrong answer to X's challenge")]
    WrongAnswer,
}

#[derive(Deserialize)]
struct Answer {
    response_token: String,
}

impl Challenger {
    /// `base` is what all addresses begin with; it says whether there is TLS.
    ///
    /// # Errors
    /// When the address is https and this machine has no root certificates.
    pub fn new(base: &Url) -> Result<Self, NoChallenger> {
        let builder = plain_builder(base).pool_max_idle_per_host(0).tls_info(true);
        Ok(Self {
            http: builder.build().map_err(NoChallenger)?,
        })
    }

    /// Challenges a webhook, which has to answer with one of these secrets.
    ///
    /// # Errors
    /// [`ChallengeFault`].
    pub async fn challenge(
        &self,
        webhook: &str,
        secrets: &[WebhookSecret],
    ) -> Result<Passed, ChallengeFault> {
        match timeout(LONGEST, self.ask(webhook, secrets)).await {
            Ok(passed) => passed,
            Err(_late) => Err(ChallengeFault::TooSlow),
        }
    }

    async fn ask(
        &self,
        webhook: &str,
        secrets: &[WebhookSecret],
    ) -> Result<Passed, ChallengeFault> {
        let token = CrcToken::fresh();
        let request = self
            .http
            .get(webhook)
            .query(&[("crc_token", token.as_str())]);
        let response = request.send().await.map_err(without_answer)?;
        let status = response.status();
        if status.is_redirection() {
            return Err(ChallengeFault::Redirect(location(&response)));
        }
        if status.as_u16() != 200 {
            return Err(ChallengeFault::Status(status.as_u16()));
        }
        let certificate_ends = certificate_ends(&response)?;
        let body = whole(response).await?;
        let given: Answer =
            serde_json::from_slice(&body).map_err(|_something_else| ChallengeFault::WrongAnswer)?;
        let fits = |secret: &WebhookSecret| crc_response(secret, &token) == given.response_token;
        match secrets.iter().any(fits) {
            true => Ok(Passed { certificate_ends }),
            false => Err(ChallengeFault::WrongAnswer),
        }
    }
}

fn location(response: &Response) -> String {
    let to = response.headers().get(LOCATION);
    let to = to.and_then(|to| to.to_str().ok()).unwrap_or_default();
    to.chars().take(200).collect()
}

/// Until when the certificate holds that was shown to us.
fn certificate_ends(response: &Response) -> Result<Option<Timestamp>, ChallengeFault> {
    let info = response.extensions().get::<TlsInfo>();
    let Some(der) = info.and_then(TlsInfo::peer_certificate) else {
        return Ok(None);
    };
    not_after(der).map(Some)
}

fn not_after(der: &[u8]) -> Result<Timestamp, ChallengeFault> {
    let unreadable = || ChallengeFault::Certificate("it cannot be read".to_owned());
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_malformed| unreadable())?;
    let ends = certificate.validity().not_after.timestamp();
    Timestamp::from_second(ends).map_err(|_out_of_range| unreadable())
}

async fn whole(mut response: Response) -> Result<Vec<u8>, ChallengeFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(without_answer)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(ChallengeFault::WrongAnswer);
        }
    }
    Ok(body)
}

fn without_answer(error: reqwest::Error) -> ChallengeFault {
    // The address is known to who reads it; the token in it is nobody's business.
    let error = error.without_url();
    match tls_fault(&error) {
        Some(words) => ChallengeFault::Certificate(words),
        None => ChallengeFault::Unreachable(innermost(&error)),
    }
}

/// What TLS says, wherever in the chain of causes.
fn tls_fault(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(fault) = one.downcast_ref::<rustls::Error>() {
            return Some(fault.to_string());
        }
        // An I/O error's `source` leaves out what it wraps.
        cause = match one.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => one.source(),
        };
    }
    None
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::new(SecretString::from(text))
    }

    /// What is found where one request is answered so; `{token}` becomes the right answer.
    async fn found(head: &'static str, body: &'static str) -> Result<Passed, ChallengeFault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/webhooks/twitter/acme",
            listener.local_addr().unwrap()
        );
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let query = request.split(['?', ' ']).nth(2).unwrap();
            let token = CrcToken::parse(query).unwrap();
            let body = body.replace("{token}", &crc_response(&secret("secret"), &token));
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let challenger = Challenger::new(&url.parse().unwrap()).unwrap();
        let secrets = [secret("new"), secret("secret")];
        let challenge = challenger.challenge(&url, &secrets);
        tokio::join!(challenge, serve).0
    }

    #[tokio::test]
    async fn only_the_right_answer_passes() {
        let right = found("200 OK", r#"{"response_token":"{token}"}"#).await;
        let passed = Passed {
            certificate_ends: None,
        };
        assert_eq!(right, Ok(passed));
        for (head, body, fault) in [
            (
                "200 OK",
                r#"{"response_token":"sha256=x"}"#,
                ChallengeFault::WrongAnswer,
            ),
            ("200 OK", "<html>", ChallengeFault::WrongAnswer),
            ("404 Not Found", "", ChallengeFault::Status(404)),
            ("204 No Content", "", ChallengeFault::Status(204)),
            (
                "301 Moved\r\nlocation: https://www.example/",
                "",
                ChallengeFault::Redirect("https://www.example/".to_owned()),
            ),
        ] {
            assert_eq!(found(head, body).await, Err(fault), "{head}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_told_without_the_token() {
        let url = "http://127.0.0.1:9/x";
        let challenger = Challenger::new(&url.parse().unwrap()).unwrap();
        let fault = challenger.challenge(url, &[]).await.unwrap_err();
        assert!(matches!(fault, ChallengeFault::Unreachable(_)), "{fault:?}");
        assert!(!fault.to_string().contains("crc_token"), "{fault}");
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let fault = not_after(b"none").unwrap_err();
        assert!(matches!(fault, ChallengeFault::Certificate(_)));
    }
}
