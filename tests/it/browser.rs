//! What people see, in a real browser.

mod link;
mod x;

use simulator::{Clock, MediaBase, Simulator};

use crate::support::broker::TestBroker;
use crate::support::browser::Browser;
use crate::support::process::ServiceProcess;
use crate::support::service::Setup;

/// `private.token` of the tests.
const TOKEN: &str = "the-private-token-of-the-tests-0123456789";

/// The service as a process of its own, which browsers reach where it says it is; an X beside it.
struct Place {
    simulator: Simulator,
    service: ServiceProcess,
    browser: Browser,
    /// Last, as its virtual host goes with it.
    _broker: TestBroker,
}

impl Place {
    async fn new(setup: Setup) -> Self {
        let settings = simulator::Settings {
            // The service tells time by the wall.
            clock: Clock::Wall,
            media_base: MediaBase::Simulator,
            ..simulator::Settings::default()
        };
        let simulator = Simulator::start(settings).await.unwrap();
        let broker = TestBroker::vhost().await;
        let setup = setup
            .set("X_API__BASE_URL", simulator.url())
            .set("PRIVATE__TOKEN", TOKEN);
        let mut service = ServiceProcess::stopped(&setup, &broker.url(), None).with_urls();
        let setup = setup.callback(&service.public("/oauth/twitter/callback"));
        setup.tell(&simulator, |app| service.webhook_of(app));
        service.start_again().await;
        Self {
            simulator,
            service,
            browser: Browser::start().await,
            _broker: broker,
        }
    }
}
