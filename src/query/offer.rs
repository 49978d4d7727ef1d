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

/// Where a partition is read on: at 0 if its topic is read, and it has not joined in yet.
fn position(topic: &str, partition: u32, at: &At) -> Option<i64> {
    let of_topic = at.inputs.iter().filter(|input| input.topic == topic);
    let own = of_topic.clone().filter(|input| input.partition == partition);
    let read = own.map(|input| input.offset).min();
    read.or_else(|| of_topic.clone().next().map(|_| 0))
}

#[cfg(test)]
mod tests {
    use flow_runtime::commit::InputPosition;

    use super::*;

    #[test]
    fn a_partition_that_has_not_joined_in_is_waited_for() {
        let input = |partition: u32, offset| InputPosition {
            stream: "s".into(),
            cluster: "c".into(),
            topic: "orders".into(),
            topic_id: "id".into(),
            partition,
            start: 0,
            offset,
            watermark: i64::MIN,
            bound: None,
            ended: false,
            idle: false,
        };
        let at = |inputs| At { epoch: 1, inputs, finished: false };
        let token = Token::of("orders", vec![0, 0, 4]);
        let reached = |at: At| token.is_reached(|t, p| position(t, p, &at));
        assert!(!reached(at(vec![input(0, 9), input(1, 9)])));
        assert!(!reached(at(vec![input(0, 9), input(1, 9), input(2, 3)])));
        assert!(reached(at(vec![input(0, 0), input(1, 0), input(2, 4)])));
        assert!(reached(at(Vec::new())), "another topic");
    }
}
