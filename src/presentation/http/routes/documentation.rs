//! The OpenAPI document, and its viewer for browsers, which needs no network.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use utoipa_swagger_ui::Config;

use crate::infrastructure::exceptions::{Failure, NotFound, Technical};
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::{AnyQuery, Path};
use crate::presentation::http::response::JSON;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// What the viewer loads and runs: its own files, which insert styles and have images in `data:` URLs.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Routes {
    routes![get_openapi_document]
        .page("/docs", get(async || Redirect::permanent("/docs/")))
        .page("/docs/", get(async || viewer("")))
        .page("/docs/{*file}", get(async |Path(file): Path<String>| viewer(&file)))
        .publicly_cached()
}

/// Get the OpenAPI document
///
/// Returns the description of this API (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "documentation",
    responses((status = 200, body = Object, description = "An OpenAPI 3.1 document.")))]
async fn get_openapi_document(_: Public, State(app): State<AppState>, _: AnyQuery) -> Response {
    ([(CONTENT_TYPE, JSON)], app.openapi_document()).into_response()
}

/// Returns a file of the viewer.
fn viewer(file: &str) -> Result<Response, Failure> {
    // By default, the viewer sends the document's URL to swagger.io's validator.
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::from("/openapi.json").validator_url("none")));
    let found = utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG));
    let file = found.map_err(|error| Technical::internal(error.to_string()))?.ok_or(NotFound::Route)?;
    let policy = HeaderValue::from_static(POLICY);
    let headers = [
        (CONTENT_TYPE, file.content_type.parse().map_err(Technical::internal)?),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    Ok((headers, file.bytes.into_owned()).into_response())
}
