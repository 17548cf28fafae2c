//! The world as several tasks see it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::World;

/// The world behind a lock that is never held across an `.await`.
#[derive(Clone)]
pub(crate) struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// X stops delivering to the webhook until a CRC passes.
    pub(crate) fn invalidate(&self, webhook: u64) {
        if let Ok(webhook) = self.lock().webhook_mut(webhook) {
            webhook.valid = false;
        }
    }
}
