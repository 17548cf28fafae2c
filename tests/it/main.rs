//! The service as its neighbours see it: real broker, real store, the simulator as X. The tests
//! need a broker: see `scripts/broker`.

// Says to clippy that the helpers are tests too.
#![cfg(test)]

mod api;
mod broker;
mod browser;
mod by_hand;
mod chaos;
mod cluster;
mod commands;
mod compliance;
mod console;
mod contract;
mod cuts;
mod dead_letters;
mod documents;
mod dry_run;
mod echoes;
mod enrichment;
mod examples;
mod examples_django;
mod examples_zammad;
mod faults;
mod feeds;
mod floods;
mod gaps;
mod hostile;
mod http;
mod image;
mod keeper;
mod layers;
mod linking;
mod media;
mod mirror;
mod normalize;
mod onslaught;
mod openapi;
mod personal;
mod plans;
mod policies;
mod reads;
mod registry;
mod replicas;
mod replies;
mod restored;
mod rights;
mod routing;
mod schemas;
mod secure;
mod soak;
mod stop;
mod store;
mod storm;
mod support;
mod telemetry;
mod thread_import;
mod threads;
mod uploads;
