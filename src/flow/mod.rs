//! What happens: a delivery to the journal (`ingest`, with what `enrich` reads for it), the journal
//! to the bus (`relay`; past it, `typing`), a command to X (`reply`) and whether it got there (`reconcile`), what is
//! wrong with any of it (`watch`), times for which X has what we have not filled (`gaps`), how long posts may be (`plan_check`), the store kept in order
//! (`upkeep`), conversations that draw too many messages (`storm`), and what filters would make of
//! what came (`dry_run`, from what is kept as a `sighting`). What has to go: `deletion`, `person`,
//! and what X says of posts when it is asked (`compliance`). Files of direct messages are passed on
//! (`media`). Beside that, what people do by API, console and command line (`admin`), how accounts
//! come and go (`link`), X's side of the set-up, tested and kept right (`setup`), who may (`access`), a
//! try of the way to the core (`test_event`), conversations that another channel began
//! (`thread_import`), and what a store restored from a backup has to catch up with (`restored`).

pub mod access;
pub mod admin;
pub mod compliance;
pub mod deletion;
pub mod dry_run;
pub mod enrich;
pub mod feeds;
pub mod gaps;
pub mod ingest;
pub mod link;
pub mod media;
pub mod media_link;
pub mod person;
pub mod plan_check;
pub mod pseudonyms;
mod reads;
pub(crate) mod reconcile;
pub mod registry;
pub mod relay;
pub mod reply;
pub mod restored;
pub mod rules;
pub mod setup;
mod sighting;
pub mod storm;
pub mod test_event;
pub mod thread_import;
pub mod tokens;
pub mod typing;
pub mod upkeep;
pub mod watch;
