//! Schemas of the server's registry: that of the embedded log, or of its settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use flow_registry::{Registry, RegistryError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{ApiError, ApiResult, NamedRefusals, Problem, Refusals};
use super::{Path, Shared, blocking};
use crate::server::App;

/// All subjects.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SubjectList {
    /// By name.
    pub subjects: Vec<String>,
}

/// The newest schema of a subject.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SchemaInfo {
    /// The subject.
    pub subject: String,
    /// Its versions.
    pub versions: Vec<u32>,
    /// The newest version.
    pub version: u32,
    /// The schema's id.
    pub id: u32,
    /// Its language: `AVRO`, `JSON` or `PROTOBUF`.
    pub schema_type: String,
    /// Its text.
    pub schema: String,
}

/// All subjects.
#[utoipa::path(get, path = "/v1/schemas", tag = "schemas", responses(
    (status = 200, description = "All subjects", body = SubjectList),
    (status = 422, description = "The server has no registry", body = Problem),
    (status = 503, body = Problem),
    Refusals,
))]
pub(super) async fn list(State(app): Shared) -> ApiResult<Json<SubjectList>> {
    blocking(move || {
        let subjects = registry(&app)?.subjects()?;
        Ok(Json(SubjectList { subjects }))
    })
    .await
}

/// The newest schema of a subject.
#[utoipa::path(get, path = "/v1/schemas/{subject}", tag = "schemas",
    params(("subject" = String, Path, description = "Such as `orders-value`")),
    responses(
        (status = 200, description = "The schema", body = SchemaInfo),
        (status = 422, description = "The server has no registry", body = Problem),
        (status = 503, body = Problem),
        NamedRefusals,
    ))]
pub(super) async fn show(
    State(app): Shared,
    Path(subject): Path<String>,
) -> ApiResult<Json<SchemaInfo>> {
    blocking(move || {
        let registry = registry(&app)?;
        // Asked by the list of what there is: a subject becomes a folder's name in some registries.
        let known = registry.subjects()?.contains(&subject);
        let newest = if known { registry.latest(&subject)? } else { None };
        let missing = || ApiError::missing("no_subject", format!("there is no subject {subject}"));
        let newest = newest.ok_or_else(missing)?;
        Ok(Json(SchemaInfo {
            versions: registry.versions(&subject)?,
            version: newest.version,
            id: newest.id,
            schema_type: newest.schema.schema_type.to_string(),
            schema: newest.schema.text,
            subject,
        }))
    })
    .await
}

fn registry(app: &App) -> ApiResult<Arc<dyn Registry>> {
    let found = app.jobs.setup().surroundings.registries().get(None, &BTreeMap::new())?;
    found.ok_or_else(|| {
        ApiError::refused("no_registry", "this server has no schema registry")
            .with_help("Set url in [registry] of flow.toml, or SCHEMA_REGISTRY_URL.")
    })
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        Self::away(error)
    }
}
