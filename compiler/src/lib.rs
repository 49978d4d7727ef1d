//! Flow's compiler: text to job graph. No I/O, no async runtime.
//!
//! | module | what it does |
//! | --- | --- |
//! | `source` | source files and places in them |
//! | `diagnostics` | every message a user can get, as data, and its rendering |
//! | `syntax` | text to untyped AST and back |

pub mod check;
pub mod diagnostics;
pub mod source;
pub mod syntax;
