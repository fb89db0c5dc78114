//! Bare axum: one route that responds with bytes in memory.

use std::path::Path;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;

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
