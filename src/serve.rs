//! `/healthz`, `/readyz` and `/metrics`.
use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};

use crate::engine::{health::Health, metrics::Metrics};

#[derive(Clone)]
struct Sources {
    health: Health,
    metrics: Arc<Metrics>,
}

/// The routes.
pub fn router(health: Health, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(|State(sources): State<Sources>| async move { sources.metrics.text() }))
        .with_state(Sources { health, metrics })
}

async fn readyz(State(sources): State<Sources>) -> (StatusCode, String) {
    let problems = sources.health.problems();
    if problems.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n")
    }
}

/// Serves them.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(listen: SocketAddr, health: Health, metrics: Arc<Metrics>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    axum::serve(listener, router(health, metrics)).await
}
