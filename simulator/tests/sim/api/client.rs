//! An app that calls the simulator, signing with somebody else's library.

use std::num::NonZeroU64;

use oauth1_request::{Builder, Credentials as Keys, HmacSha1, ParameterList};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use simulator::{Credentials, Form, PostId, Settings, Simulator, UserId};

use crate::stage::Stage;

pub(super) const APP: &str = "acme-app";

/// A stage, and the app that acts for acme on it.
pub(super) struct Caller {
    pub(super) stage: Stage,
    pub(super) keys: Credentials,
    pub(super) http: Client,
}

/// Status and body of an answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

impl Answered {
    pub(super) async fn of(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.json().await.unwrap_or_default(),
        }
    }

    /// The id in `data`.
    pub(super) fn id(&self) -> PostId {
        self.body["data"]["id"].as_str().unwrap().parse().unwrap()
    }

    pub(super) fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// reqwest needs a TLS provider to be told of, even for http.
pub(super) fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

impl Caller {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let settings = Settings {
            time_scale: 0.0,
            ..settings
        };
        let stage = Stage::new(settings, Form::Activity, |app| app).await;
        let keys = stage.simulator.credentials(APP, stage.acme).unwrap();
        Self {
            stage,
            keys,
            http: http(),
        }
    }

    pub(super) fn simulator(&self) -> &Simulator {
        &self.stage.simulator
    }

    pub(super) fn acme(&self) -> UserId {
        self.stage.acme
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator().url())
    }

    /// The header that signs a request; only a query takes part, never JSON or multipart.
    pub(super) fn signature(&self, method: &str, path: &str, query: &[(&str, &str)]) -> String {
        let keys = &self.keys;
        let now = self.simulator().now().as_second();
        let client = Keys::new(&*keys.consumer_key, &*keys.consumer_secret);
        let token = Keys::new(&*keys.access_token, &*keys.access_token_secret);
        let mut builder: Builder<'_, _, &str> = Builder::new(client, HmacSha1::new());
        builder.token(token);
        builder.timestamp(NonZeroU64::new(u64::try_from(now).unwrap()));
        let parameters = ParameterList::new(query.to_vec());
        builder.authorize(method, self.url(path), &parameters)
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let signature = self.signature(method.as_str(), path, query);
        self.http
            .request(method, self.url(path))
            .query(query)
            .header("authorization", signature)
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answered {
        let sent = self.request(Method::GET, path, query).send().await;
        Answered::of(sent.unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::POST, path, body).await
    }

    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> Answered {
        let request = self.request(method, path, &[]).json(body);
        Answered::of(request.send().await.unwrap()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answered {
        let sent = self.request(Method::DELETE, path, &[]).send().await;
        Answered::of(sent.unwrap()).await
    }

    pub(super) async fn tweet(&self, text: &str) -> Answered {
        self.post("/2/tweets", &json!({ "text": text })).await
    }

    pub(super) async fn reply(&self, parent: PostId, text: &str) -> Answered {
        let reply = json!({ "in_reply_to_tweet_id": parent });
        let body = json!({ "text": text, "reply": reply });
        self.post("/2/tweets", &body).await
    }

    pub(super) async fn bearer(&self, path: &str, query: &[(&str, &str)], token: &str) -> Answered {
        let request = self
            .http
            .get(self.url(path))
            .query(query)
            .bearer_auth(token);
        Answered::of(request.send().await.unwrap()).await
    }

    /// With the app's own token.
    pub(super) async fn as_app(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answered {
        let mut request = self
            .http
            .request(method, self.url(path))
            .query(query)
            .bearer_auth(&self.keys.bearer_token);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answered::of(request.send().await.unwrap()).await
    }

    pub(super) async fn read_as_app(&self, path: &str, query: &[(&str, &str)]) -> Answered {
        self.as_app(Method::GET, path, query, None).await
    }

    pub(super) async fn write_as_app(&self, path: &str, body: &Value) -> Answered {
        self.as_app(Method::POST, path, &[], Some(body)).await
    }
}
