//! What every builtin function, aggregate and window means, and the reference interpreter of the
//! closed IRs. No I/O; knows neither SQL text nor operators.
//!
//! * `builtin` finds a function by name and decides which overload a call takes; `scalar` lists
//!   them, a file a family; `coerce` says which types convert to which.
//! * `builder` makes scalar programs; an overload either expands to primitive instructions or is
//!   one host function (`host`), which all engines call.
//! * `interp` runs programs and plans batch by batch: the definition of their meaning.
//! * `generated` makes the records of connectors `nexmark` and `datagen`.
//! * `text`, `decimal` and `calendar` hold what values look like and how they compute.

pub mod aggregates;
pub mod builder;
pub mod builtin;
pub mod calendar;
pub mod coerce;
pub mod decimal;
pub mod generated;
pub mod host;
pub mod interp;
pub mod over;
pub mod scalar;
pub mod signature;
pub mod text;
mod wide;
pub mod windows;
