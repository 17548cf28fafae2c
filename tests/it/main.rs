//! The service as its neighbours see it: real broker, real store, the simulator as X. The tests
//! need a broker: see `scripts/broker`.

// Says to clippy that the helpers are tests too.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "the tasks of a test end with its runtime"
)]

mod broker;
mod contract;
mod faults;
mod http;
mod layers;
mod normalize;
mod routing;
mod store;
mod support;
mod threads;
