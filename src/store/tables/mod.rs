//! What is stored, table by table: the methods of a transaction, in SQL that every engine speaks.

pub(super) mod access;
pub(super) mod accounts;
pub(super) mod ahead;
pub(super) mod audit;
pub(super) mod cases;
pub(super) mod compliance;
pub(super) mod conversations;
pub(super) mod echoes;
pub(super) mod feeds;
pub(super) mod gaps;
pub(super) mod gone_files;
pub(super) mod journal;
pub(super) mod keeper;
pub(super) mod lease;
pub(super) mod ledger;
pub(super) mod linking;
pub(super) mod persons;
pub(super) mod quarantine;
pub(super) mod registry;
mod restored;
pub(super) mod sends;
pub(super) mod sightings;
pub(super) mod storms;
mod tested;
pub(super) mod threads;
pub(super) mod traffic;
pub(super) mod tx;
