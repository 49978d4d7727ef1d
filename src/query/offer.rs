//! What a running job offers to read.

use std::sync::Arc;
use std::time::Instant;

use flow_compiler::check::views::{ViewDecl, views_of};
use flow_ir::physical::JobGraph;
use flow_runtime::view::{At, Views};

use super::Unanswered;
use crate::server::token::Token;

/// The materialized views of one job.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The job.
    pub job: String,
    /// Says which program of the job this is; another one may offer other views.
    pub version: u32,
    /// Its views as the compiler sees them.
    pub views: Arc<[ViewDecl]>,
    /// Where they are read.
    pub store: Arc<Views>,
}

impl Offer {
    /// The offer of a version of a job; `None` if it has no views.
    pub fn of(graph: &JobGraph, version: u32, store: &Arc<Views>) -> Option<Self> {
        let views = views_of(graph);
        let job = graph.name.clone();
        (!views.is_empty()).then(|| Self {
            job,
            version,
            views: views.into(),
            store: store.clone(),
        })
    }

    /// Waits until the job has read what a token stands for.
    ///
    /// # Errors
    /// If that is not so in time.
    pub async fn reached(&self, token: &Token, deadline: Instant) -> Result<(), Unanswered> {
        let has = |at: &Option<Arc<At>>| {
            let position = |topic: &str, partition: u32, at: &At| {
                let of = |i: &&_| is_of(i, topic, partition);
                at.inputs.iter().filter(of).map(|input| input.offset).min()
            };
            at.as_ref().is_some_and(|at| token.is_reached(|t, p| position(t, p, at)))
        };
        let mut at = self.store.at();
        let waited = tokio::time::timeout_at(deadline.into(), at.wait_for(has)).await;
        match waited {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unanswered::Missing(format!("job {} is gone", self.job))),
            Err(_) => Err(Unanswered::TimedOut(format!(
                "job {} has not read what the token stands for in time",
                self.job
            ))),
        }
    }
}

fn is_of(input: &flow_runtime::commit::InputPosition, topic: &str, partition: u32) -> bool {
    input.topic == topic && input.partition == partition
}
