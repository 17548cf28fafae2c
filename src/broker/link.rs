//! Whether a part of the service has its way to the broker, and if not, why.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Told by the part, asked by others; cheap to clone.
#[derive(Clone, Default)]
pub struct LinkState(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    connected: bool,
    fault: String,
}

impl LinkState {
    /// Whether it worked the last time.
    pub fn is_connected(&self) -> bool {
        self.lock().connected
    }

    /// Why not, for people; empty where it works or that is not known yet.
    pub fn fault(&self) -> String {
        self.lock().fault.clone()
    }

    /// It works.
    pub fn set_connected(&self) {
        let mut state = self.lock();
        state.connected = true;
        state.fault.clear();
    }

    /// It does not, for this reason.
    pub fn set_away(&self, fault: String) {
        *self.lock() = State {
            connected: false,
            fault,
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is whole, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
