//! What happens: a delivery to the journal (`ingest`, with what `enrich` reads for it), the journal
//! to the bus (`relay`), a command to X (`reply`) and whether it got there (`reconcile`), what is
//! wrong with any of it (`watch`), how long posts may be (`plan_check`), what has to go (`deletion`,
//! `person`), and the store kept in order (`upkeep`).

pub mod deletion;
pub mod enrich;
pub mod ingest;
pub mod media_link;
pub mod person;
pub mod plan_check;
pub mod pseudonyms;
mod reads;
pub(crate) mod reconcile;
pub mod relay;
pub mod reply;
pub mod tokens;
pub mod upkeep;
pub mod watch;
