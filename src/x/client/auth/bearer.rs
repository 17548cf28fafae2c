//! The app's bearer token.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::oauth1::encode;
use crate::domain::account::App;
use crate::x::client::error::{CallError, NotSent};
use crate::x::client::transport::{Answer, Transport, read_object};
use crate::x::wire::answer::Token;

/// Bearers obtained from X, by app. X gives the same one until it is invalidated, and refuses who
/// asks too often.
#[derive(Debug, Default)]
pub(in crate::x::client) struct Bearers {
    by_key: Mutex<HashMap<String, SecretString>>,
}

impl Bearers {
    /// The configured bearer, else the one that X gives for key and secret.
    pub(in crate::x::client) async fn bearer(
        &self,
        app: &App,
        transport: &Transport,
    ) -> Result<SecretString, CallError> {
        if let Some(configured) = &app.bearer_token {
            return Ok(configured.clone());
        }
        // Held while X is asked: one question for all that wait.
        let mut by_key = self.by_key.lock().await;
        if let Some(known) = by_key.get(&app.consumer_key) {
            return Ok(known.clone());
        }
        let bearer = obtain(app, transport).await?;
        by_key.insert(app.consumer_key.clone(), bearer.clone());
        Ok(bearer)
    }

    /// Asks X for the bearer whatever is known, as a test of key and secret.
    pub(in crate::x::client) async fn test(
        &self,
        app: &App,
        transport: &Transport,
    ) -> Result<Answer, CallError> {
        let answer = ask(app, transport).await?;
        if let Some(bearer) = bearer_of(&answer) {
            let mut by_key = self.by_key.lock().await;
            by_key.insert(app.consumer_key.clone(), bearer);
        }
        Ok(answer)
    }

    /// X does not take it any more.
    pub(in crate::x::client) async fn refused(&self, app: &App) {
        self.by_key.lock().await.remove(&app.consumer_key);
    }
}

async fn obtain(app: &App, transport: &Transport) -> Result<SecretString, CallError> {
    let answer = ask(app, transport).await;
    let answer = answer.and_then(|answer| transport.succeeded(answer));
    let answer = answer.map_err(nothing_lost)?;
    bearer_of(&answer).ok_or_else(|| unavailable("the answer holds no token".to_owned()))
}

async fn ask(app: &App, transport: &Transport) -> Result<Answer, CallError> {
    let form = [("grant_type", "client_credentials")];
    let basic = basic(&app.consumer_key, &app.consumer_secret);
    transport.ask("oauth2/token", &form, Some(&basic)).await
}

/// `None` where the answer holds none; a refusal does not.
pub(in crate::x::client) fn bearer_of(answer: &Answer) -> Option<SecretString> {
    let token: Token<'_> = read_object(&answer.body)?;
    let bearer = token.access_token.to_string();
    (!bearer.is_empty()).then(|| bearer.into())
}

/// Asking again for a bearer is harmless, so nothing about it is uncertain.
fn nothing_lost(error: CallError) -> CallError {
    match error {
        CallError::Uncertain { .. } | CallError::Unavailable { .. } => {
            unavailable(error.to_string())
        }
        certain => certain,
    }
}

fn unavailable(why: String) -> CallError {
    NotSent::TokenUnavailable(why).into()
}

/// HTTP Basic; key and secret are encoded first, as X's guide demands.
pub(in crate::x::client) fn basic(key: &str, secret: &SecretString) -> SecretString {
    let pair = format!("{}:{}", encode(key), encode(secret.expose_secret()));
    format!("Basic {}", STANDARD.encode(pair)).into()
}
