//! The order in which the service stops, and how long that may take.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::time::{Instant, timeout};

use super::App;

/// What is kept of the whole for the last writes, once calls to X had their time.
const LAST_WRITES: Duration = Duration::from_secs(3);
/// Connections are always given so long.
const LEAST: Duration = Duration::from_secs(1);

/// How long calls to X under way may take once the service stops, of the time for all of it. What
/// is cut off then is noted as uncertain, and looked up after the next start.
pub(super) fn time_for_calls(grace: Duration) -> Duration {
    grace.saturating_sub(LAST_WRITES).max(grace / 2)
}

impl App {
    /// Stops in order: ready no more, no more connections; what is held is finished, flushed and
    /// closed, all of it within `stop.grace`. What takes longer is cut off, and gone on with after
    /// the next start: nothing is lost by it.
    pub async fn stop(self) {
        self.readiness.set(false);
        let until = Instant::now() + self.grace;
        self.base.stop.cancel();
        self.base.tasks.close();
        // Deliveries under way are stored and answered meanwhile: they need only the store.
        let work = timeout(self.grace, self.base.tasks.wait());
        let public = async {
            let farewell = self.base.settings.stop.farewell;
            self.farewell.take(farewell.min(self.grace / 2)).await;
            close(&self.public, until).await;
        };
        let ((), work) = tokio::join!(public, work);
        if work.is_err() {
            tracing::warn!("background work was cut off after {:?}", self.grace);
        }
        // Last: probes and metrics tell of the stop until its end.
        close(&self.private, until).await;
        self.servers.close();
        if timeout(LEAST, self.servers.wait()).await.is_err() {
            tracing::warn!("a listener did not end");
        }
        // The threads of the listeners let go of their handles a little later.
        self.base.store.release();
    }
}

/// Takes no more connections, lets requests under way finish until then, and closes the idle ones.
async fn close(listener: &ServerHandle, until: Instant) {
    let left = until.saturating_duration_since(Instant::now()).max(LEAST);
    if timeout(left, listener.stop(true)).await.is_err() {
        tracing::warn!("requests under way were cut off");
        listener.stop(false).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_leave_time_for_what_has_to_be_written_after_them() {
        let seconds = Duration::from_secs;
        assert_eq!(time_for_calls(seconds(25)), seconds(22));
        assert_eq!(time_for_calls(seconds(2)), seconds(1));
    }
}
