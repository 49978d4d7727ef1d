//! Jobs over HTTP. What changes a job is durable before it is answered; the answer then waits for
//! the job to get there, for a while, and is 202 if it has not.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, http};
use flow_compiler::diagnostics::render::{RenderStyle, render};
use flow_compiler::source::SourceMap;
use flow_ir::physical::{JobGraph, decode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult, NamedRefusals, Problem, Refusals};
use super::{Body, Path, Query, Shared, blocking, guard, json};
use crate::driver::{Additions, compile_among};
use crate::server::App;
use crate::server::admit::admit;
use crate::server::auth::{Caller, Scope};
use crate::server::jobs::analyze::analyzed;
use crate::server::jobs::counts::JobDetails;
use crate::server::jobs::info::{JobInfo, State as JobState, StateChanges};
use crate::server::jobs::{Job, Refused, Submission};
use crate::server::name::JobName;
use crate::server::store::Desired;

/// The media type of a compiled job.
pub const ARTIFACT: &str = "application/vnd.flow.job";

/// Stack of a compilation: it is as deep as the program nests.
const COMPILE_STACK_BYTES: usize = 64 << 20;

/// All jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// By name.
    pub jobs: Vec<JobInfo>,
}

/// How a program is submitted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct SubmitQuery {
    /// The job's name; else that of the program.
    name: Option<String>,
    /// Agrees that the job's position and state are forgotten; takes the scope admin if there is
    /// such a job.
    #[serde(default)]
    fresh: bool,
    /// Only checks, and tells what would happen.
    #[serde(default)]
    dry_run: bool,
    /// Workers.
    #[param(minimum = 1, maximum = 256)]
    parallelism: Option<u16>,
}

/// A program as text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Source {
    /// The program.
    source: String,
    /// Settings, and variables for `${NAME}`.
    #[serde(default)]
    defines: std::collections::BTreeMap<String, String>,
}

/// What became of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is a new job.
    Created,
    /// It takes over from the version before.
    Replaced,
    /// The job has this program already.
    Unchanged,
    /// Nothing was changed: it was only checked.
    Checked,
}

/// The answer to a submission.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The job's name.
    pub name: String,
    /// What became of the program.
    pub outcome: Outcome,
    /// The version that it is now; for a check, of the job that there is.
    pub version: Option<u32>,
    /// What becomes of the state of the version before.
    pub changes: Option<StateChanges>,
    /// Whether the new version goes on where the one before stops.
    pub goes_on: bool,
    /// Warnings of the compiler, as `flow check` shows them.
    pub warnings: String,
    /// The plan that runs.
    pub plan: String,
}

/// A program that is taken in.
struct Taken {
    name: JobName,
    graph: JobGraph,
    warnings: String,
}

/// All jobs of the server.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", responses(
    (status = 200, description = "All jobs", body = JobList),
    Refusals,
))]
pub(super) async fn list(State(app): Shared) -> Json<JobList> {
    Json(JobList { jobs: app.jobs.infos() })
}

/// Submits a program, as text in JSON or compiled. A program under the name of a job becomes its
/// next version: it goes on with the state if it can, and is refused with the reasons if not.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", params(SubmitQuery),
    request_body(content(
        (Source = "application/json"),
        (Vec<u8> = "application/vnd.flow.job"),
    )),
    responses(
        (status = 200, description = "Checked, unchanged, or the next version", body = Submitted),
        (status = 201, description = "A new job", body = Submitted),
        (status = 400, description = "No request of this kind", body = Problem),
        (status = 409, description = "It would lose state, or its views are read", body = Problem),
        (status = 413, description = "Too large", body = Problem),
        (status = 415, description = "Neither JSON nor a compiled job", body = Problem),
        (status = 422, description = "The program has mistakes", body = Problem),
        (status = 503, body = Problem),
        Refusals,
    ))]
pub(super) async fn submit(
    State(app): Shared,
    Extension(caller): Extension<Caller>,
    Query(query): Query<SubmitQuery>,
    headers: HeaderMap,
    Body(body): Body,
) -> ApiResult<(StatusCode, Json<Submitted>)> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if query.parallelism.is_some_and(|n| !(1..=256).contains(&n)) {
        return Err(ApiError::bad_request("parallelism is 1 to 256"));
    }
    blocking(move || {
        let taken = take(&app, &kind, &body, query.name.as_deref())?;
        if query.fresh && app.jobs.get(&taken.name).is_ok() {
            guard::may(&caller, Scope::Admin)?;
        }
        match query.dry_run {
            true => check(&app, taken, query.fresh),
            false => run(&app, taken, &query),
        }
    })
    .await
}

/// The program of a request, verified and admitted.
fn take(app: &App, kind: &str, body: &[u8], name: Option<&str>) -> ApiResult<Taken> {
    let given = name.map(JobName::new).transpose().map_err(ApiError::bad_request)?;
    let (mut graph, warnings) = match kind {
        "application/json" => {
            let Source { source, defines } = json(body)?;
            compile(app, name, source, defines)?
        }
        ARTIFACT | "application/octet-stream" => {
            let graph = decode(body).map_err(|e| ApiError::refused("bad_artifact", e))?;
            (graph, String::new())
        }
        other => {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let message = format!("a program is application/json or {ARTIFACT}, not '{other}'");
            return Err(ApiError::new(status, "bad_content_type", message));
        }
    };
    let name = match given {
        Some(name) => name,
        None => JobName::new(&graph.name).map_err(ApiError::bad_request)?,
    };
    graph.name = name.to_string();
    admit(&mut graph, app.files.as_deref()).map_err(|why| ApiError::refused("forbidden", why))?;
    Ok(Taken { name, graph, warnings })
}

/// Compiles a program on a stack of its own, without the server's environment.
fn compile(
    app: &App,
    name: Option<&str>,
    source: String,
    defines: std::collections::BTreeMap<String, String>,
) -> ApiResult<(JobGraph, String)> {
    let additions = Additions {
        defines,
        name: name.map(str::to_string),
        without_passes: Vec::new(),
        views: app.jobs.views(),
        imported: false,
    };
    let registries = app.jobs.setup().surroundings.registries();
    let work = move || {
        let mut sources = SourceMap::new();
        sources.add("program.flow".to_string(), source);
        let show = |found: &[_]| render(found, &sources, RenderStyle::Plain);
        let named = additions.name.is_some();
        match compile_among(&sources, &registries, &additions, additions.defines.clone()) {
            Err(found) => {
                let mut error = ApiError::refused("mistakes", "the program has mistakes");
                error.problem.diagnostics = Some(show(&found));
                Err(error)
            }
            Ok(compiled) if !named && compiled.typed.name.is_none() => {
                let error = ApiError::bad_request("the job has no name");
                Err(error.with_help("Give name=NAME, or SET 'job.name' in the program."))
            }
            Ok(compiled) => Ok((compiled.graph, show(&compiled.diagnostics))),
        }
    };
    let thread = std::thread::Builder::new().stack_size(COMPILE_STACK_BYTES).spawn(work);
    let thread = thread.map_err(ApiError::away)?;
    // A panic of the compiler is a bug, and this request's problem alone.
    thread.join().unwrap_or_else(|_| Err(ApiError::internal()))
}

/// What would happen.
fn check(app: &App, taken: Taken, fresh: bool) -> ApiResult<(StatusCode, Json<Submitted>)> {
    let Taken { name, graph, warnings } = taken;
    app.jobs.check_views(&name, &graph, fresh)?;
    let job = app.jobs.get(&name).ok();
    let change = job.as_ref().map(|_| app.jobs.preview(&name, &graph)).transpose()?;
    if let Some((was, is)) = change.as_ref().and_then(|change| change.shards).filter(|_| !fresh) {
        return Err(Refused::OtherShards(was, is).into());
    }
    let submitted = Submitted {
        name: name.to_string(),
        outcome: Outcome::Checked,
        version: job.map(|job| app.jobs.info(&job).version),
        goes_on: change.as_ref().is_none_or(flow_runtime::job::StateChange::goes_on),
        changes: change.as_ref().map(StateChanges::from),
        warnings,
        plan: flow_compiler::lower::explain_graph(&graph),
    };
    Ok((StatusCode::OK, Json(submitted)))
}

fn run(app: &App, taken: Taken, query: &SubmitQuery) -> ApiResult<(StatusCode, Json<Submitted>)> {
    let Taken { name, graph, warnings } = taken;
    let plan = flow_compiler::lower::explain_graph(&graph);
    let (fresh, parallelism) = (query.fresh, query.parallelism);
    let done = app.jobs.submit(Submission { name: name.clone(), graph, fresh, parallelism })?;
    let (status, outcome) = match (done.version, done.unchanged) {
        (_, true) => (StatusCode::OK, Outcome::Unchanged),
        (1, false) => (StatusCode::CREATED, Outcome::Created),
        (_, false) => (StatusCode::OK, Outcome::Replaced),
    };
    let submitted = Submitted {
        name: name.to_string(),
        outcome,
        version: Some(done.version),
        goes_on: done.change.as_ref().is_none_or(flow_runtime::job::StateChange::goes_on),
        changes: done.change.as_ref().map(StateChanges::from),
        warnings,
        plan,
    };
    Ok((status, Json(submitted)))
}

/// A job.
#[utoipa::path(get, path = "/v1/jobs/{name}", tag = "jobs",
    params(("name" = String, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobInfo), NamedRefusals))]
pub(super) async fn show(
    State(app): Shared,
    Path(name): Path<JobName>,
) -> ApiResult<Json<JobInfo>> {
    Ok(Json(app.jobs.info(&*app.jobs.get(&name)?)))
}

/// How a plan is shown.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct PlanQuery {
    /// With rows, time, state and watermark of each operator, as EXPLAIN ANALYZE JOB tells it.
    #[serde(default)]
    analyze: bool,
}

/// The plan of a job, as `flow explain` shows it.
#[utoipa::path(get, path = "/v1/jobs/{name}/plan", tag = "jobs",
    params(("name" = String, Path, description = "The job"), PlanQuery),
    responses(
        (status = 200, description = "The plan", body = String, content_type = "text/plain"),
        (status = 409, description = "Its program cannot be read, or it has not run yet",
            body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn plan(
    State(app): Shared,
    Path(name): Path<JobName>,
    Query(query): Query<PlanQuery>,
) -> ApiResult<String> {
    let job = app.jobs.get(&name)?;
    if query.analyze {
        let metrics = job.metrics().ok_or_else(|| {
            let message = format!("{name} has not run since the server started");
            ApiError::new(StatusCode::CONFLICT, "not_run", message)
        })?;
        return Ok(analyzed(&app.jobs.info(&job), &metrics));
    }
    let graph = job.graph();
    let graph = graph.map_err(|why| ApiError::new(StatusCode::CONFLICT, "no_program", why))?;
    Ok(flow_compiler::lower::explain_graph(&graph))
}

/// What a job counts, with its operators.
#[utoipa::path(get, path = "/v1/jobs/{name}/metrics", tag = "jobs",
    params(("name" = String, Path, description = "The job")),
    responses(
        (status = 200, description = "Its counts; all zero before its first start",
            body = JobDetails),
        NamedRefusals,
    ))]
pub(super) async fn metrics(
    State(app): Shared,
    Path(name): Path<JobName>,
) -> ApiResult<Json<JobDetails>> {
    let metrics = app.jobs.get(&name)?.metrics();
    Ok(Json(metrics.map_or_else(JobDetails::default, |metrics| (&*metrics).into())))
}

/// Lets a job rest after its epoch; a new version of it rests too.
#[utoipa::path(post, path = "/v1/jobs/{name}/pause", tag = "jobs",
    params(("name" = String, Path, description = "The job")),
    responses(
        (status = 200, description = "It rests", body = JobInfo),
        (status = 202, description = "It finishes its epoch", body = JobInfo),
        (status = 409, description = "It is being dropped", body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn pause(State(app): Shared, Path(name): Path<JobName>) -> ApiResult<Response> {
    wish(&app, name, Desired::Paused).await
}

/// Starts a job that rests, was stopped, or failed, where it stopped.
#[utoipa::path(post, path = "/v1/jobs/{name}/resume", tag = "jobs",
    params(("name" = String, Path, description = "The job")),
    responses(
        (status = 200, description = "It runs, or ended at once", body = JobInfo),
        (status = 202, description = "It starts", body = JobInfo),
        (status = 409, description = "It is being dropped", body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn resume(State(app): Shared, Path(name): Path<JobName>) -> ApiResult<Response> {
    wish(&app, name, Desired::Running).await
}

/// Stops a job after its epoch.
#[utoipa::path(post, path = "/v1/jobs/{name}/stop", tag = "jobs",
    params(("name" = String, Path, description = "The job")),
    responses(
        (status = 200, description = "It has stopped", body = JobInfo),
        (status = 202, description = "It finishes its epoch", body = JobInfo),
        (status = 409, description = "It is being dropped", body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn stop(State(app): Shared, Path(name): Path<JobName>) -> ApiResult<Response> {
    wish(&app, name, Desired::Stopped).await
}

async fn wish(app: &std::sync::Arc<App>, name: JobName, desired: Desired) -> ApiResult<Response> {
    let (shared, of) = (app.clone(), name.clone());
    let job = blocking(move || Ok(shared.jobs.want(&of, desired)?)).await?;
    let there = settles(app, &job, |state| match desired {
        Desired::Running => !matches!(
            state,
            JobState::Starting | JobState::Stopping | JobState::Paused | JobState::Stopped
        ),
        Desired::Paused | Desired::Stopped => rests(state),
        Desired::Dropped | Desired::DroppedKeepingState => false,
    });
    let status = if there.await { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(app.jobs.info(&job))).into_response())
}

fn rests(state: JobState) -> bool {
    match state {
        JobState::Paused | JobState::Stopped | JobState::Failed | JobState::Finished => true,
        JobState::Starting
        | JobState::Running
        | JobState::Stopping
        | JobState::Waiting
        | JobState::Dropping => false,
    }
}

/// Waits until a job is in a state, at most half the time of a request.
async fn settles(app: &App, job: &Job, is_there: impl Fn(JobState) -> bool) -> bool {
    let mut changes = job.watch();
    let reached = async {
        while !is_there(job.state()) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(app.limits.patience() / 2, reached).await.is_ok()
}

/// How a job is dropped.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct DropQuery {
    /// What happens to its state.
    #[serde(default)]
    state: StateOfDropped,
}

/// What happens to the state of a job that is dropped.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::server) enum StateOfDropped {
    /// It goes too.
    #[default]
    Drop,
    /// It stays, for a job of the same name.
    Keep,
}

/// Drops a job: it finishes its epoch, and is forgotten with its state. Its outputs stay.
#[utoipa::path(delete, path = "/v1/jobs/{name}", tag = "jobs",
    params(("name" = String, Path, description = "The job"), DropQuery),
    responses(
        (status = 202, description = "It finishes its epoch first", body = JobInfo),
        (status = 204, description = "It is gone"),
        (status = 409, description = "Its state cannot be dropped, or its views are read",
            body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn remove(
    State(app): Shared,
    Path(name): Path<JobName>,
    Query(query): Query<DropQuery>,
) -> ApiResult<Response> {
    let desired = match query.state {
        StateOfDropped::Drop => Desired::Dropped,
        StateOfDropped::Keep => Desired::DroppedKeepingState,
    };
    let (shared, of) = (app.clone(), name.clone());
    let job = blocking(move || Ok(shared.jobs.want(&of, desired)?)).await?;
    let began = tokio::time::Instant::now();
    let mut changes = job.watch();
    // A job that is gone is told as a change, and then is no longer in the table.
    while app.jobs.get(&name).is_ok() && began.elapsed() < app.limits.patience() / 2 {
        if job.state() != JobState::Dropping {
            let why = app.jobs.info(&job).error.unwrap_or_default();
            return Err(ApiError::new(StatusCode::CONFLICT, "not_dropped", why));
        }
        let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
    }
    Ok(match app.jobs.get(&name) {
        Ok(_) => (http::StatusCode::ACCEPTED, Json(app.jobs.info(&job))).into_response(),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    })
}
