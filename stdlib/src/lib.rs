//! What every builtin function, aggregate and window means, and the reference interpreter of the
//! three IRs. No I/O; knows neither SQL text nor operators.

pub mod aggregates;
pub mod windows;
