//! The service as its neighbours see it: real broker, real store, the simulator as X. The tests
//! need a broker: see `scripts/broker`.

// Says to clippy that the helpers are tests too.
#![cfg(test)]

mod api;
mod broker;
mod browser;
mod by_hand;
mod chaos;
mod commands;
mod compliance;
mod console;
mod contract;
mod cuts;
mod dry_run;
mod echoes;
mod enrichment;
mod faults;
mod feeds;
mod gaps;
mod hostile;
mod http;
mod keeper;
mod layers;
mod linking;
mod media;
mod normalize;
mod onslaught;
mod openapi;
mod personal;
mod plans;
mod reads;
mod registry;
mod replicas;
mod replies;
mod routing;
mod store;
mod storm;
mod support;
mod threads;
mod uploads;
