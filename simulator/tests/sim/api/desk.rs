//! An app that has nothing so far: no webhook, no subscription, no user's token.

use std::num::NonZeroU64;

use oauth1_request::{Builder, Credentials as Keys, HmacSha1, ParameterList};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use simulator::{NewApp, NewUser, Settings, Simulator, UserId};

use super::client::{Answered, http};
use crate::webhook::{SECRET, Webhook};

pub(super) const DESK: &str = "desk";
pub(super) const BACK: &str = "https://desk.example/oauth/callback";
const BEARER: &str = "desk-bearer";

pub(super) struct Desk {
    pub(super) simulator: Simulator,
    pub(super) webhook: Webhook,
    pub(super) acme: UserId,
    pub(super) ann: UserId,
    pub(super) http: Client,
}

/// What a call is signed with beside the app's own keys.
#[derive(Clone, Copy, Default)]
pub(super) struct With<'a> {
    pub(super) token: Option<(&'a str, &'a str)>,
    pub(super) callback: Option<&'a str>,
    pub(super) verifier: Option<&'a str>,
}

impl Desk {
    pub(super) async fn new() -> Self {
        Self::with(|app| app).await
    }

    pub(super) async fn with(change: impl FnOnce(NewApp) -> NewApp) -> Self {
        let settings = Settings {
            time_scale: 0.0,
            ..Settings::default()
        };
        Self::set_up(settings, change).await
    }

    pub(super) async fn set_up(settings: Settings, change: impl FnOnce(NewApp) -> NewApp) -> Self {
        let webhook = Webhook::start();
        let simulator = Simulator::start(settings).await.unwrap();
        let app = NewApp::new(DESK, SECRET, "").with_callbacks(&[BACK]);
        simulator.add_app(change(app)).unwrap();
        let add = |user: NewUser| simulator.add_user(user).unwrap();
        let acme = add(NewUser::named("acme").with_id(2_975_699_229));
        let ann = add(NewUser::named("ann").with_id(2_305_278_770));
        Self {
            simulator,
            webhook,
            acme,
            ann,
            http: http(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.url())
    }

    /// A call signed by OAuth 1.0a.
    pub(super) fn signed(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        with: With<'_>,
    ) -> RequestBuilder {
        let now = self.simulator.now().as_second();
        let mut builder: Builder<'_, _, &str> =
            Builder::new(Keys::new("desk-key", SECRET), HmacSha1::new());
        builder.token(with.token.map(|(token, secret)| Keys::new(token, secret)));
        builder.callback(with.callback);
        builder.verifier(with.verifier);
        builder.timestamp(NonZeroU64::new(u64::try_from(now).unwrap()));
        let parameters = ParameterList::new(query.to_vec());
        let header = builder.authorize(method.as_str(), self.url(path), &parameters);
        self.http
            .request(method, self.url(path))
            .query(query)
            .header("authorization", header)
    }

    /// The same for a user who has let the app in.
    pub(super) async fn as_user(&self, user: UserId, method: Method, path: &str) -> Answered {
        let request = self.user_request(user, method, path, &[]);
        Answered::of(request.send().await.unwrap()).await
    }

    pub(super) fn user_request(
        &self,
        user: UserId,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let keys = self.simulator.authorize(DESK, user).unwrap();
        let token = Some((&*keys.access_token, &*keys.access_token_secret));
        let with = With {
            token,
            ..With::default()
        };
        self.signed(method, path, query, with)
    }

    /// A call of the app alone.
    pub(super) async fn bearer(&self, method: Method, path: &str, body: Option<Value>) -> Answered {
        self.by_token(BEARER, method, path, body).await
    }

    pub(super) async fn by_token(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answered {
        let request = self.http.request(method, self.url(path)).bearer_auth(token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        Answered::of(request.send().await.unwrap()).await
    }

    /// A webhook of v2 that X has checked.
    pub(super) async fn register(&self) -> String {
        let body = serde_json::json!({ "url": self.webhook.url });
        let made = self.bearer(Method::POST, "/2/webhooks", Some(body)).await;
        assert_eq!(made.status, 200, "{made:?}");
        made.body["data"]["id"].as_str().unwrap().to_owned()
    }
}

/// The reason at the beginning of X's message.
pub(super) fn reason(answer: &Answered) -> &str {
    let message = answer.body["errors"][0]["message"].as_str();
    message.unwrap_or_default().split(':').next().unwrap()
}

pub(super) fn code(answer: &Answered) -> u64 {
    answer.body["errors"][0]["code"]
        .as_u64()
        .unwrap_or_default()
}
