//! Bare axum: one route that responds with bytes in memory. And the server of the store with that route, which refuses
//! each request for overload.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::infrastructure::middleware::{
    Chain, LoggingMiddleware, OverloadLimiter, OverloadMiddleware, Priority,
};
use undercroft::presentation::http::server;
use undercroft::settings::HttpSettings;

use crate::Outcome;

/// Serves the bytes of `file` for every id until the process ends.
pub(crate) async fn serve(file: &Path) -> Outcome<()> {
    let bytes = Bytes::from(std::fs::read(file)?);
    let response = async move || ([(CONTENT_TYPE, "application/json")], bytes);
    let router = Router::new().route("/v1/products/{id}", get(response));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

/// Refuses each request for overload until the process ends.
pub(crate) async fn refuse() -> Outcome<()> {
    // nothing is served in time, so that the limit is the lowest one
    let limiter = OverloadLimiter::new(Duration::ZERO, Some(Arc::new(|| Some(Duration::from_secs(1)))));
    let overload = OverloadMiddleware { limiter, priority: |_, _| Priority::Normal };
    let logging = Some(LoggingMiddleware::default());
    let chain = Chain { overload: Some(overload), logging, ..Chain::default() };
    let router = Router::new().route("/v1/products/{id}", get(|| async { "never" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let settings = HttpSettings::default();
    server::serve(listener, router, chain, &settings, Context::system(), CancellationToken::new()).await;
    Ok(())
}
