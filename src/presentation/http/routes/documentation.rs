//! The OpenAPI document, its viewer for browsers, which needs no network, and the texts of all problem documents.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::response::Redirect;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use utoipa_swagger_ui::Config;

use crate::infrastructure::cache::Form;
use crate::infrastructure::exceptions::{Failure, NotFound, ProblemType, Technical, problem_types};
use crate::presentation::http::conditional::{IfNoneMatch, NO_VERSION, form_of};
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::{AnyQuery, Path};
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// What the viewer loads and runs: its own files, which insert styles and have images in `data:` URLs.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Routes {
    routes![get_openapi_document]
        .route(Method::GET, "/docs", async |_: Public| Redirect::permanent("/docs/"))
        .route(Method::GET, "/docs/", async |_: Public, known: IfNoneMatch| viewer("", &known))
        .route(
            Method::GET,
            "/docs/{*file}",
            async |_: Public, known: IfNoneMatch, Path(file): Path<String>| viewer(&file, &known),
        )
        .route(Method::GET, "/problems", async |_: Public| Json(problem_types().values().collect::<Vec<_>>()))
        .route(Method::GET, "/problems/{code}", async |_: Public, Path(code): Path<String>| {
            problem_type(&code)
        })
        .publicly_cached()
}

/// Get the OpenAPI document
///
/// Returns the description of this API (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "documentation",
    responses((status = 200, body = Object, description = "An OpenAPI 3.1 document.")))]
async fn get_openapi_document(
    _: Public,
    State(app): State<AppState>,
    if_none_match: IfNoneMatch,
    _: AnyQuery,
) -> HandlerResult {
    Ok(if_none_match.respond_with(app.openapi_document()?))
}

/// Returns what the problem documents with a code have in common.
fn problem_type(code: &str) -> Result<Json<&'static ProblemType>, Failure> {
    Ok(Json(problem_types().get(code).ok_or(NotFound::Route)?))
}

/// Responds with a file of the viewer.
fn viewer(name: &str, known: &IfNoneMatch) -> HandlerResult {
    let ViewerFile { content_type, form } = viewer_file(name)?;
    let mut response = known.respond_with(form);
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// A file of the viewer as it is served.
#[derive(Clone)]
struct ViewerFile {
    content_type: HeaderValue,
    form: Form,
}

/// Returns a file of the viewer. It is made for the first request and kept, as it never changes: its entity tag and its
/// compressed bytes take longer than the response.
fn viewer_file(name: &str) -> Result<ViewerFile, Failure> {
    // By default, the viewer sends the document's URL to swagger.io's validator.
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::from("/openapi.json").validator_url("none")));
    static KEPT: Mutex<BTreeMap<String, ViewerFile>> = Mutex::new(BTreeMap::new());

    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = kept().get(name) {
        return Ok(file.clone());
    }
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG));
    let found = found.map_err(|error| Technical::internal(error.to_string()))?.ok_or(NotFound::Route)?;
    let file = ViewerFile {
        content_type: found.content_type.parse().map_err(Technical::internal)?,
        form: form_of(NO_VERSION, found.bytes.into_owned())?,
    };
    // another request may have made it meanwhile: its compressed bytes are kept
    Ok(kept().entry(name.to_owned()).or_insert(file).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_viewer_is_compressed_once() {
        let compressed = |byte| {
            let body = viewer_file("swagger-ui.css").unwrap().form.body;
            body.gzip(|_| Ok::<_, ()>(vec![byte])).unwrap()
        };
        assert_eq!(compressed(1), compressed(2));
    }
}
