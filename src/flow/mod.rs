//! What happens: a delivery to the journal (`ingest`, with what `enrich` reads for it), the journal
//! to the bus (`relay`), a command to X (`reply`) and whether it got there (`reconcile`), what is
//! wrong with any of it (`watch`), how accounts come and go (`link`), how long posts may be (`plan_check`), and the store kept in order
//! (`upkeep`).

pub mod enrich;
pub mod ingest;
pub mod link;
pub mod media_link;
pub mod plan_check;
mod reads;
pub(crate) mod reconcile;
pub mod registry;
pub mod relay;
pub mod reply;
pub mod rules;
pub mod tokens;
pub mod upkeep;
pub mod watch;
