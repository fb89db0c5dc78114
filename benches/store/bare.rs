//! Bare axum: one route that responds with bytes in memory. And the server of the store with that route, which refuses
//! each request for overload.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tokio_util::sync::CancellationToken;
use undercroft::domain::context::Context;
use undercroft::infrastructure::middleware::{
    Chain, LimitRange, OverloadLimiter, OverloadMiddleware, Priority,
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
    let range = LimitRange { least: 0, usual: 0, most: 0, ..LimitRange::default() };
    let limiter = OverloadLimiter::new(range, None);
    let overload = OverloadMiddleware { limiter, priority: |_, _| Priority::Normal };
    let chain = Chain { overload: Some(overload), ..Chain::default() };
    let router = Router::new().route("/v1/products/{id}", get(|| async { "never" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let settings = HttpSettings::default();
    server::serve(listener, router, chain, &settings, Context::system(), CancellationToken::new()).await;
    Ok(())
}
