//! What the tests share.

pub(crate) mod address;
pub(crate) mod balancer;
pub(crate) mod broker;
pub(crate) mod browser;
pub(crate) mod core;
pub(crate) mod cutter;
pub(crate) mod desk;
pub(crate) mod disk;
pub(crate) mod fresh;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod service;
pub(crate) mod stage;
