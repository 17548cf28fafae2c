//! Checks of published posts against X.

use jiff::Timestamp;
use serde_json::Value;

use super::{AdminError, write};
use crate::domain::access::Actor;
use crate::domain::registry::Registry;
use crate::flow::compliance::{self, Requested};
use crate::store::{ComplianceRow, Store, StoreError};

/// The checks of every app that had some, by name.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(store: &Store) -> Result<Vec<ComplianceRow>, StoreError> {
    store.read(|tx| tx.compliance()).await
}

/// Has the running service check an app's posts now, where it does not already.
///
/// # Errors
/// [`AdminError::NotFound`], and when the store cannot be used.
pub async fn request(
    store: &Store,
    registry: &Registry,
    app: &str,
    who: Actor,
    now: Timestamp,
) -> Result<Requested, AdminError> {
    if !registry.apps().iter().any(|known| known.name == app) {
        return Err(AdminError::NotFound(format!("there is no app {app}")));
    }
    let app = app.to_owned();
    let requested = write(store, move |tx| {
        let requested = compliance::request(tx, &app, now)?;
        tx.audit(&who, "compliance.run", &app, &Value::Null, now)?;
        Ok(requested)
    });
    Ok(requested.await?)
}
