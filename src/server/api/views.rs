//! The views that jobs offer, and their rows by the values of columns.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flow_compiler::check::views::{IndexDecl, ViewDecl};
use flow_ir::types::Field;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult, NamedRefusals, Problem, Refusals};
use super::query::{deadline, token};
use super::{Path, Query, Shared};
use crate::query::{Answer, Column, Offer};
use crate::server::asker::Asker;

/// Rows of one answer, if nothing is said.
const ROWS: usize = 1_000;
const ROWS_MAX: usize = 100_000;

/// A materialized view.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ViewInfo {
    /// Its name.
    pub name: String,
    /// The job that keeps it.
    pub job: String,
    /// What identifies its rows in that job: another one where its program changes them.
    pub table: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// A unique key; none: equal rows are counted.
    pub key: Option<Vec<String>>,
    /// Further orders of its rows.
    pub indexes: Vec<IndexInfo>,
    /// The epoch that a query would read now; none while it cannot be read.
    pub epoch: Option<u64>,
    /// Who follows a view of the job now.
    pub subscriptions: usize,
    /// The jobs that read a view of the job.
    #[serde(default)]
    pub readers: Vec<String>,
}

/// An index of a view.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct IndexInfo {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
}

impl ViewInfo {
    /// A view of a job; an offer if the job has started.
    fn of(view: &ViewDecl, offer: Option<&Offer>, readers: &[String]) -> Self {
        let name = |&column: &usize| view.columns[column].name.clone();
        let column = |c: &Field| Column { name: c.name.clone(), ty: c.ty.to_string() };
        let index = |index: &IndexDecl| IndexInfo {
            name: index.name.clone(),
            columns: index.columns.iter().map(name).collect(),
        };
        Self {
            name: view.name.clone(),
            job: view.job.clone(),
            table: view.table.clone(),
            columns: view.columns.iter().map(column).collect(),
            key: view.primary_key.as_ref().map(|key| key.iter().map(name).collect()),
            indexes: view.indexes.iter().map(index).collect(),
            epoch: offer.and_then(|offer| Some(offer.store.at().borrow().as_ref()?.epoch)),
            subscriptions: offer.map_or(0, |offer| offer.store.subscriptions()),
            readers: readers.to_vec(),
        }
    }
}

/// All materialized views, also of jobs that rest.
#[utoipa::path(get, path = "/v1/views", tag = "views",
    responses((status = 200, body = Vec<ViewInfo>), Refusals))]
pub(super) async fn list(State(app): Shared) -> Json<Vec<ViewInfo>> {
    let (offers, readers) = (Asker::offers(&app.jobs), app.jobs.readers());
    let info = |view: &ViewDecl| {
        let offer = offers.iter().find(|offer| offer.job == view.job);
        ViewInfo::of(view, offer, readers.get(&view.job).map_or(&[], Vec::as_slice))
    };
    Json(app.jobs.views().iter().map(info).collect())
}

/// How rows are wanted. Every other parameter is a column of the view and the value that it has in
/// the rows: by key or index that is quick. (Columns of these names can only be asked for by SQL.)
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct RowsQuery {
    /// The job whose view it is, if several have one of this name.
    job: Option<String>,
    #[param(ignore)]
    wanted: Vec<(String, String)>,
    /// So many rows at most.
    limit: Option<usize>,
    /// The token of a write that the rows must reflect.
    at_least: Option<String>,
    /// How long to wait for that, milliseconds.
    timeout_ms: Option<u64>,
}

/// Rows of a view by the values of columns.
#[utoipa::path(get, path = "/v1/views/{name}/rows", tag = "views",
    params(("name" = String, Path, description = "The view"), RowsQuery),
    responses(
        (status = 200, body = Answer),
        (status = 409, description = "Several jobs have such a view", body = Problem),
        (status = 422, body = Problem),
        (status = 503, body = Problem),
        (status = 504, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn rows(
    State(app): Shared,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> ApiResult<Json<Answer>> {
    let query = RowsQuery::of(query)?;
    let offer = offer(&app.jobs, query.job.as_deref(), &name)?;
    let limit = query.limit.unwrap_or(ROWS);
    if limit > ROWS_MAX {
        return Err(ApiError::bad_request(format!("limit: {ROWS_MAX} rows at most")));
    }
    let (token, deadline) = (token(query.at_least.as_deref())?, deadline(query.timeout_ms, &app));
    let how = (token.as_ref(), deadline);
    Ok(Json(app.asker.lookup(offer, name, query.wanted, limit, how).await?))
}

impl RowsQuery {
    fn of(parameters: Vec<(String, String)>) -> ApiResult<Self> {
        let mut query = Self::default();
        for (name, value) in parameters {
            let number = || ApiError::bad_request(format!("{name}: {value:?} is no whole number"));
            match name.as_str() {
                "job" => query.job = Some(value),
                "limit" => query.limit = Some(value.parse().map_err(|_| number())?),
                "timeout_ms" => query.timeout_ms = Some(value.parse().map_err(|_| number())?),
                "at_least" => query.at_least = Some(value),
                _ => query.wanted.push((name, value)),
            }
        }
        Ok(query)
    }
}

/// The offer that has a view of this name.
fn offer(jobs: &crate::server::jobs::Jobs, job: Option<&str>, view: &str) -> ApiResult<Offer> {
    let offers = Asker::offers(jobs).into_iter().filter(|offer| {
        job.is_none_or(|job| offer.job == job) && offer.views.iter().any(|v| v.name == view)
    });
    let mut offers: Vec<Offer> = offers.collect();
    if offers.len() > 1 {
        let jobs: Vec<&str> = offers.iter().map(|offer| offer.job.as_str()).collect();
        let message = format!("jobs {} have a view {view}: say which with job", jobs.join(", "));
        return Err(ApiError::new(StatusCode::CONFLICT, "ambiguous", message));
    }
    let missing = || ApiError::missing("no_view", format!("no job has a materialized view {view}"));
    offers.pop().ok_or_else(missing)
}
