//! The service as its neighbours see it: real broker, real store, the simulator as X.

mod contract;
mod layers;
mod normalize;
