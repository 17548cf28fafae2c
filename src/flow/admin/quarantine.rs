//! Deliveries that were kept.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AdminError, Page, write};
use crate::domain::access::Actor;
use crate::store::{KeptDelivery, Quarantined, Store, StoreError, Tx};

/// What is kept, oldest first, without the bodies.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(
    store: &Store,
    after: u64,
    limit: usize,
) -> Result<Page<KeptDelivery>, StoreError> {
    let read = move |tx: &Tx<'_>| tx.quarantine_page(after, limit + 1);
    let rows = store.read(read).await?;
    Ok(Page::cut(rows, limit, |kept| kept.id))
}

/// One kept delivery, whole.
///
/// # Errors
/// When the store cannot be read.
pub async fn show(store: &Store, id: u64) -> Result<Option<Quarantined>, StoreError> {
    store.read(move |tx| tx.quarantined_one(id)).await
}

/// Has the running service process these again: all of them or, where one is not kept, none. How
/// many.
///
/// # Errors
/// [`AdminError::NotFound`], and when the store cannot be used.
pub async fn retry(
    store: &Store,
    ids: Vec<u64>,
    who: Actor,
    now: Timestamp,
) -> Result<usize, AdminError> {
    let mark = move |tx: &mut Tx<'_>| {
        for id in &ids {
            if tx.quarantined_one(*id)?.is_none() {
                return Ok(Err(*id));
            }
        }
        for id in &ids {
            tx.request_retry(*id)?;
            let object = id.to_string();
            tx.audit(&who, "quarantine.retry", &object, &Value::Null, now)?;
        }
        Ok(Ok(ids.len()))
    };
    let missing = |id| AdminError::NotFound(format!("no delivery {id} is in quarantine"));
    write(store, mark).await?.map_err(missing)
}

/// The same of all that are kept; how many.
///
/// # Errors
/// When the store cannot be used.
pub async fn retry_all(store: &Store, who: Actor, now: Timestamp) -> Result<usize, StoreError> {
    write(store, move |tx| {
        let count = tx.request_retry_of_all()?;
        let detail = json!({"count": count});
        tx.audit(&who, "quarantine.retry", "", &detail, now)?;
        Ok(count)
    })
    .await
}
