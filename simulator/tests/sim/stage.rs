//! A simulator with an app, an account and two customers.

use std::time::Duration;

use serde_json::Value;
use simulator::{Form, NewApp, NewPost, NewUser, PostId, Settings, Simulator, UserId};

use crate::webhook::{SECRET, Webhook};

pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) webhook: Webhook,
    pub(crate) acme: UserId,
    pub(crate) ann: UserId,
    pub(crate) bob: UserId,
}

impl Stage {
    /// Everything is subscribed to in one form.
    pub(crate) async fn with_form(form: Form) -> Self {
        Self::with_app(form, |app| app).await
    }

    pub(crate) async fn with_app(form: Form, change: impl FnOnce(NewApp) -> NewApp) -> Self {
        let settings = Settings {
            time_scale: 0.0,
            ..Settings::default()
        };
        Self::new(settings, form, change).await
    }

    pub(crate) async fn new(
        settings: Settings,
        form: Form,
        change: impl FnOnce(NewApp) -> NewApp,
    ) -> Self {
        let webhook = Webhook::start();
        let simulator = Simulator::start(settings).await.unwrap();
        let app = change(NewApp::new("acme-app", SECRET, &webhook.url));
        simulator.add_app(app).unwrap();
        let add = |user: NewUser| simulator.add_user(user).unwrap();
        let acme = add(NewUser::named("acme").with_id(2_975_699_229));
        let ann = add(NewUser::named("ann").with_id(1_924_465_506_158_878_979));
        let bob = add(NewUser::named("bob").with_id(2_305_278_771));
        simulator.subscribe("acme-app", acme, &[form]).unwrap();
        Self {
            simulator,
            webhook,
            acme,
            ann,
            bob,
        }
    }

    pub(crate) fn post(&self, author: UserId, text: &str) -> PostId {
        self.simulator.post(NewPost::by(author, text)).unwrap()
    }

    pub(crate) fn reply(&self, author: UserId, parent: PostId, text: &str) -> PostId {
        self.simulator
            .post(NewPost::by(author, text).replying_to(parent))
            .unwrap()
    }

    /// What acme gets for a post in `form`.
    pub(crate) fn told(&self, post: PostId, form: Form) -> Vec<Value> {
        let bodies = self
            .simulator
            .bodies_of(post, "acme-app", self.acme, form)
            .unwrap();
        bodies
            .iter()
            .map(|signed| serde_json::from_slice(&signed.body).unwrap())
            .collect()
    }

    /// Waits until all is delivered, then gives the bodies.
    pub(crate) async fn delivered(&self) -> Vec<Value> {
        self.settled().await;
        self.webhook.bodies()
    }

    pub(crate) async fn settled(&self) {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, self.simulator.settled())
            .await
            .unwrap();
    }
}

/// The code points from `start` to `end`.
pub(crate) fn cut(text: &Value, range: &Value) -> String {
    let (start, end) = (
        range[0].as_u64().unwrap() as usize,
        range[1].as_u64().unwrap() as usize,
    );
    text.as_str()
        .unwrap()
        .chars()
        .skip(start)
        .take(end - start)
        .collect()
}
