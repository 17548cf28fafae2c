//! Tests of the parts together with what they talk to. They need a broker: see `scripts/broker`.

// Says to clippy that the helpers are tests too.
#![cfg(test)]

mod broker;
mod support;
