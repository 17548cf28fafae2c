//! What happens: a delivery to the journal (`ingest`), the journal to the bus (`relay`), what is
//! wrong with either (`watch`), and the store kept in order (`upkeep`).

pub mod ingest;
pub mod media_link;
pub mod relay;
pub mod upkeep;
pub mod watch;
