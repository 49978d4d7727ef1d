//! The language server: what it says about positions in programs, as text in and text out
//! (`positions`), and the command itself over its protocol (`protocol`, `editing`, `registries`).

mod client;
mod editing;
mod positions;
mod protocol;
mod registries;
