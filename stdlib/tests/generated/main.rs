//! Generated streams.

mod datagen;
mod nexmark;
