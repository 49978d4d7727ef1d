//! Typed indexes. An id is a position in one list of one owner; ids of different lists never mix.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The position as an index.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl From<usize> for $name {
            fn from(index: usize) -> Self {
                Self(u32::try_from(index).expect("a plan holds fewer than 2^32 items"))
            }
        }
    )*};
}

ids! {
    /// A vertex of a job graph, by position in `JobGraph::vertices`.
    VertexId;
    /// A state table, by position in `JobGraph::tables`.
    TableId;
    /// A stream or table declaration, by position in `JobGraph::streams`.
    StreamId;
    /// A place in source text that a run-time error can point to, by position in `JobGraph::sites`.
    SiteId;
    /// A register of a scalar program, by position of the instruction that writes it.
    Reg;
    /// A node of a logical plan.
    NodeId;
}
