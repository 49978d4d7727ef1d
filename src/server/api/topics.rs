//! Topics of the server's log: the embedded one, or the Kafka cluster of its settings.

use axum::Json;
use axum::extract::State;
use flow_runtime::connect::{Log, OffsetQuery};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ApiResult, NamedRefusals, Problem, Refusals};
use super::{Path, Shared, blocking};

/// Bytes of a topic's name at most, as in Kafka.
const NAME_BYTES_MAX: usize = 249;

/// All topics.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TopicList {
    /// By name.
    pub topics: Vec<TopicSummary>,
}

/// A topic in the list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TopicSummary {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: u32,
}

/// A topic.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionInfo>,
    /// Offsets between first and end, all partitions: records, and the marks of transactions.
    pub records: i64,
}

/// A partition of a topic.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PartitionInfo {
    /// Its first offset.
    pub first: i64,
    /// One past its last offset.
    pub end: i64,
}

/// All topics.
#[utoipa::path(get, path = "/v1/topics", tag = "topics", responses(
    (status = 200, description = "All topics", body = TopicList),
    (status = 422, description = "The server has no log of its own", body = Problem),
    (status = 503, body = Problem),
    Refusals,
))]
pub(super) async fn list(State(app): Shared) -> ApiResult<Json<TopicList>> {
    blocking(move || {
        let topics = app.topics.log()?.topics()?;
        let summary = |t: flow_runtime::connect::TopicInfo| TopicSummary {
            name: t.name,
            partitions: t.partitions,
        };
        Ok(Json(TopicList { topics: topics.into_iter().map(summary).collect() }))
    })
    .await
}

/// A topic with its partitions.
#[utoipa::path(get, path = "/v1/topics/{name}", tag = "topics",
    params(("name" = String, Path, description = "The topic")),
    responses(
        (status = 200, description = "The topic", body = TopicInfo),
        (status = 422, description = "The server has no log of its own", body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn show(
    State(app): Shared,
    Path(name): Path<String>,
) -> ApiResult<Json<TopicInfo>> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.len() > NAME_BYTES_MAX || !name.chars().all(fits) {
        return Err(ApiError::bad_request("this is no topic's name"));
    }
    blocking(move || Ok(Json(describe(&*app.topics.log()?, &name)?))).await
}

fn describe(log: &dyn Log, name: &str) -> ApiResult<TopicInfo> {
    let missing = || ApiError::missing("no_topic", format!("there is no topic {name}"));
    log.topic(name)?.ok_or_else(missing)?;
    let firsts = log.offsets(name, OffsetQuery::Earliest)?;
    let ends = log.offsets(name, OffsetQuery::End)?;
    let both = firsts.into_iter().zip(ends);
    let partitions: Vec<_> = both.map(|(first, end)| PartitionInfo { first, end }).collect();
    let records = partitions.iter().map(|p| p.end - p.first).sum();
    Ok(TopicInfo { name: name.to_string(), partitions, records })
}
