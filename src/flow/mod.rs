//! What happens: a delivery to the journal (`ingest`), the journal to the bus (`relay`).

pub mod ingest;
pub mod media_link;
