//! What people see, in a real browser.

mod console;
mod failures;
mod link;
mod wizard;
mod x;

use simulator::{Clock, MediaBase, NewApp, NewUser, Simulator};

use crate::support::broker::TestBroker;
use crate::support::browser::Browser;
use crate::support::process::ServiceProcess;
use crate::support::service::{APP, Setup, secret_of};

/// Where X sends browsers back to.
const CALLBACK: &str = "/oauth/twitter/callback";
/// `private.token` of the tests.
const TOKEN: &str = "the-private-token-of-the-tests-0123456789";

/// The service as a process of its own, which browsers reach where it says it is; an X beside it.
struct Place {
    simulator: Simulator,
    service: ServiceProcess,
    browser: Browser,
    /// Last, as its virtual host goes with it.
    broker: TestBroker,
}

impl Place {
    /// With what the setup configures, which X knows of.
    async fn new(setup: Setup) -> Self {
        let setup = setup.set("PRIVATE__TOKEN", TOKEN);
        Self::at(x(Clock::Wall).await, setup).await
    }

    /// The same at this X, and without a token.
    async fn at(simulator: Simulator, setup: Setup) -> Self {
        let broker = TestBroker::vhost().await;
        let setup = setup.set("X_API__BASE_URL", simulator.url());
        let mut service = ServiceProcess::stopped(&setup, &broker.url(), None).with_urls();
        let setup = setup.callback(&service.public(CALLBACK));
        setup.tell(&simulator, |app| service.webhook_of(app));
        service.start_again().await;
        Self {
            simulator,
            service,
            browser: Browser::start().await,
            broker,
        }
    }

    /// With nothing configured; at X there is an app of ours, as its console makes it, an account
    /// of ours and a customer.
    async fn empty() -> Self {
        let place = Self::new(Setup::empty()).await;
        place.add_app_at_x(APP, &[&place.service.public(CALLBACK)]);
        for (name, shown) in [("brand", "Brand Support"), ("ann", "Ann Customer")] {
            let user = NewUser {
                name: shown.to_owned(),
                ..NewUser::named(name)
            };
            place.simulator.add_user(user).unwrap();
        }
        place
    }

    /// Somebody makes an app in X's console.
    fn add_app_at_x(&self, name: &str, callbacks: &[&str]) {
        let app = NewApp::new(name, &secret_of(name), "").with_callbacks(callbacks);
        self.simulator.add_app(app).unwrap();
    }

    /// Logs in at the console, and waits for a page of it.
    async fn log_in(&self) {
        self.browser.open(&self.service.private("/login")).await;
        self.browser.fill("Token", TOKEN).await;
        self.browser.press("Log in").await;
        self.browser.sees("Overview").await;
    }

    /// Opens a page of the console.
    async fn visit(&self, path: &str) {
        self.browser.open(&self.service.private(path)).await;
    }
}

/// An X whose pictures are there.
async fn x(clock: Clock) -> Simulator {
    let settings = simulator::Settings {
        clock,
        media_base: MediaBase::Simulator,
        ..simulator::Settings::default()
    };
    Simulator::start(settings).await.unwrap()
}
