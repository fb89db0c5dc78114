//! The OpenAPI document, and its reader in the browser, which needs no network.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use utoipa_swagger_ui::Config;

use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::presentation::http::openapi;
use crate::presentation::http::principal::Public;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::AppState;

pub(super) fn routes() -> Routes {
    routes![document]
        .page("/docs", get(async || Redirect::permanent("/docs/")))
        .page("/docs/", get(async || reader("")))
        .page("/docs/{*file}", get(async |Path(file): Path<String>| reader(&file)))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation",
    responses((status = 200, body = Object, description = "An OpenAPI 3.1 document.")))]
async fn document(_: Public, State(app): State<AppState>) -> Response {
    let document: Bytes = app.openapi.get_or_init(|| openapi::document().into()).clone();
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

/// A file of the reader.
fn reader(file: &str) -> Result<Response, Failure> {
    // else the reader asks swagger.io's validator about the document
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::from("/openapi.json").validator_url("none")));
    let found = utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG));
    let file = found.map_err(|error| Technical::internal(error.to_string()))?.ok_or(NotFound::Route)?;
    Ok(([(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response())
}
