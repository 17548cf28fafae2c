//! lib
pub mod broker {
    pub mod proto;
}
