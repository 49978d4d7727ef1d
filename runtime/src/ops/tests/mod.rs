//! The law for every operator.
