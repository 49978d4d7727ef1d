//! Under construction.
pub mod span;
