//! Encode plans: how the columns of a row become payload bytes. `flow-schema` builds them.

use serde::{Deserialize, Serialize};

/// How a row is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EncodePlan {}
