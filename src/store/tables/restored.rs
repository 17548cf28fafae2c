//! What only a restored store keeps, beside the other small facts.

use super::tx::Tx;
use crate::store::StoreError;

impl Tx<'_> {
    /// Forgets a small fact of the service.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_meta(&self, key: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM meta WHERE key = ?1", [key])
            .map(drop)
    }

    /// Forgets the small facts whose keys begin so; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_metas(&self, prefix: &str) -> Result<usize, StoreError> {
        // Not by order of keys, which is not the same in every database.
        self.execute(
            "DELETE FROM meta WHERE substr(key, 1, length(CAST(?1 AS TEXT))) = ?1",
            [prefix],
        )
    }
}
