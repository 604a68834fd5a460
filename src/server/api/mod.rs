//! The HTTP API (contract A3).

mod ops;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::error::ApiError;
use super::state::App;

/// The routes of the API.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/api/webhooks", get(ops::webhooks))
}

pub(super) async fn not_found() -> ApiError {
    ApiError::new(
        crate::call::ErrorCode::NotFound,
        "no such route",
        "the routes are listed in the documentation",
    )
}
