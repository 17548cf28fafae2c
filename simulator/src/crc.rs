//! Challenge-response checks: X asks whether the webhook holds the app's secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::deliver::describe;
use crate::model::Refused;
use crate::shared::SharedWorld;
use crate::signature::{SIGNATURE_HEADER, sign};

/// A webhook without one success for so long turns invalid: a day, and four hours of grace.
const GRACE_MS: i64 = 28 * 3_600_000;

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CrcFailure {
    /// 2xx with the wrong token, or with none.
    #[error("the answer does not hold the right response_token: {0}")]
    WrongToken(String),
    /// 3xx.
    #[error("redirected with status {0}")]
    Redirected(u16),
    /// Any other status.
    #[error("status {0}")]
    Status(u16),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or a broken one.
    #[error("no answer: {0}")]
    Unreachable(String),
}

impl CrcFailure {
    /// Whether the webhook is invalid at once, not only after a day without success.
    fn is_final(&self) -> bool {
        matches!(self, Self::WrongToken(_) | Self::Redirected(_))
    }
}

/// Why there is no passed check.
#[derive(Debug, Error)]
pub enum CrcError {
    /// There is nothing to check.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The webhook failed it.
    #[error(transparent)]
    Failed(#[from] CrcFailure),
}

/// The last check of a webhook.
#[derive(Clone, Debug, Serialize)]
pub struct CrcReport {
    /// When, in milliseconds since 1970 by the simulator's clock.
    pub at_ms: i64,
    /// What was wrong; nothing when it passed.
    pub failure: Option<CrcFailure>,
}

#[derive(Deserialize)]
struct Answer {
    response_token: String,
}

/// One question: where it goes and what has to come back.
struct Challenge {
    url: Url,
    signature: String,
    expected: String,
}

/// Checks a webhook with a token of its own making, and notes the result.
pub(crate) async fn check(
    world: &SharedWorld,
    http: &reqwest::Client,
    webhook: u64,
    timeout: Duration,
) -> Result<(), CrcError> {
    let (app, url) = {
        let world = world.lock();
        let webhook = world.webhook(webhook)?;
        (webhook.app.clone(), webhook.url.clone())
    };
    let (at_ms, failure) = try_url(world, http, &app, &url, timeout).await?;
    let report = CrcReport {
        at_ms,
        failure: failure.clone(),
    };
    let is_final = failure.as_ref().is_some_and(CrcFailure::is_final);
    world.lock().checked(webhook, report, |webhook| {
        is_final || at_ms - webhook.validated_at_ms > GRACE_MS
    })?;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Asks whether the app's secret is known at `url`, be it registered or not: when it was asked,
/// and what was wrong.
pub(crate) async fn try_url(
    world: &SharedWorld,
    http: &reqwest::Client,
    app: &str,
    url: &str,
    timeout: Duration,
) -> Result<(i64, Option<CrcFailure>), Refused> {
    let (challenge, at_ms) = challenge(world, app, url)?;
    let failure = match challenge {
        Ok(challenge) => ask(http, challenge, timeout).await.err(),
        Err(failure) => Some(failure),
    };
    Ok((at_ms, failure))
}

type Asked = (Result<Challenge, CrcFailure>, i64);

fn challenge(world: &SharedWorld, app: &str, url: &str) -> Result<Asked, Refused> {
    let mut world = world.lock();
    let at_ms = world.tick();
    let drawn = world.draw(&format!("crc/{app}/{at_ms}"));
    // Padded base64 in the query: who forgets to decode it fails.
    let token = STANDARD.encode(drawn);
    let nonce: String = drawn.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = &world.app(app)?.settings.consumer_secret;
    let challenge = Url::parse(url)
        .map_err(|error| CrcFailure::Unreachable(error.to_string()))
        .map(|mut url| {
            url.query_pairs_mut()
                .append_pair("crc_token", &token)
                .append_pair("nonce", &nonce);
            Challenge {
                url,
                signature: sign(
                    secret,
                    format!("crc_token={token}&nonce={nonce}").as_bytes(),
                ),
                expected: sign(secret, token.as_bytes()),
            }
        });
    Ok((challenge, at_ms))
}

async fn ask(
    http: &reqwest::Client,
    challenge: Challenge,
    timeout: Duration,
) -> Result<(), CrcFailure> {
    let request = http
        .get(challenge.url)
        .timeout(timeout)
        .header(SIGNATURE_HEADER, challenge.signature);
    let response = request.send().await.map_err(no_answer)?;
    let status = response.status().as_u16();
    match status {
        200..=299 => {}
        300..=399 => return Err(CrcFailure::Redirected(status)),
        _ => return Err(CrcFailure::Status(status)),
    }
    let text = response.text().await.map_err(no_answer)?;
    match serde_json::from_str::<Answer>(&text) {
        Ok(answer) if answer.response_token == challenge.expected => Ok(()),
        _ => Err(CrcFailure::WrongToken(text.chars().take(200).collect())),
    }
}

fn no_answer(error: reqwest::Error) -> CrcFailure {
    if error.is_timeout() {
        CrcFailure::TimedOut
    } else {
        CrcFailure::Unreachable(describe(&error.without_url()))
    }
}
