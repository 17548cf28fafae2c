//! Connections for reads.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::session::Session;
use super::settings::PostgresSettings;
use crate::store::StoreError;
use crate::store::sql::Conn;
use crate::store::tables::tx::Tx;

/// Reads at a time; more wait for one of them.
const CONNECTIONS: usize = 4;
/// One snapshot for all that is read.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Connections, opened when they are first needed.
#[derive(Clone)]
pub(in crate::store) struct Pool {
    settings: Arc<PostgresSettings>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    slots: Mutex<Slots>,
    freed: Condvar,
}

#[derive(Default)]
struct Slots {
    idle: Vec<Session>,
    taken: usize,
}

/// The right to use one connection.
struct Slot<'a>(&'a Shared);

impl Pool {
    pub(in crate::store) fn new(settings: &PostgresSettings) -> Self {
        Self {
            settings: Arc::new(settings.clone()),
            shared: Arc::default(),
        }
    }

    pub(in crate::store) fn run<T>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (_slot, idle) = self.shared.take();
        // An idle one may have died.
        let session = match idle.filter(|session| session.begin(BEGIN).is_ok()) {
            Some(session) => session,
            None => {
                let session = Session::connect(&self.settings)?;
                session.begin(BEGIN)?;
                session
            }
        };
        let result = work(&Tx::new(Conn::Postgres(&session), 0));
        // A read that tries to write hears of it.
        let result = result.and_then(|read| session.flush().map(|()| read));
        if session.roll_back() {
            self.shared.put(session);
        }
        result
    }
}

impl Shared {
    fn take(&self) -> (Slot<'_>, Option<Session>) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slots = self
            .freed
            .wait_while(slots, |slots| slots.taken >= CONNECTIONS)
            .unwrap_or_else(PoisonError::into_inner);
        slots.taken += 1;
        (Slot(self), slots.idle.pop())
    }

    fn put(&self, session: Session) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.idle.push(session);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.taken -= 1;
        drop(slots);
        self.0.freed.notify_one();
    }
}
