//! The contents of files: public ones, and those of products, for their buyers and subscribers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::application::files;
use crate::domain::file::StoredFile;
use crate::domain::ids::FileId;
use crate::infrastructure::exceptions::{NotFound, Technical};
use crate::presentation::http::conditional::IfNoneMatch;
use crate::presentation::http::content::{OwnContent, RequestedFile};
use crate::presentation::http::file_content::{FileBytes, body_of};
use crate::presentation::http::principal::Public;
use crate::presentation::http::query::{AnyQuery, Path};
use crate::presentation::http::range::RequestedRange;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

/// The characters that a file name has in `filename*` as they are (RFC 8187 section 3.2.1).
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a file is stored by caches, and which pages may show it.
struct Caching {
    control: &'static str,
    shown_by: &'static str,
}

/// A public file: its content never changes.
const PUBLIC: Caching = Caching { control: "public, max-age=31536000, immutable", shown_by: "cross-origin" };
/// A file for some users: the browser of one may store it, and asks before it is used again.
const PRIVATE: Caching = Caching { control: "private, no-cache", shown_by: "same-origin" };

pub(super) fn routes() -> Routes {
    routes![get_file: [NotFound::File], download_content]
}

/// Download a file
///
/// Responds with the bytes of a file, or of a range of it. They never change. Images (AVIF, GIF, JPEG, PNG, WebP) and
/// PDFs have their media type; every other file is `application/octet-stream`, and browsers save it instead of showing
/// it.
#[utoipa::path(get, path = "/v1/files/{id}", tag = "files", params(("id" = Uuid, Path)),
    responses((status = 200, body = FileBytes, content_type = "application/octet-stream")))]
async fn get_file(
    _: Public,
    State(app): State<AppState>,
    _: AnyQuery,
    Path(id): Path<FileId>,
    if_none_match: IfNoneMatch,
    range: RequestedRange,
) -> HandlerResult {
    let file = files::public_file(&app.store, id).await?;
    respond(&app, &file, &PUBLIC, &if_none_match, &range).await
}

/// Download the content of a product
///
/// Responds with the bytes of a file, or of a range of it, to users who bought its product or are subscribed to it, and
/// to guests with the order and its token. The payment must be captured. A subscription gives access until its paid
/// time ends. For everyone else there is no such file.
#[utoipa::path(get, path = "/v1/downloads/{id}", tag = "files", params(("id" = Uuid, Path)),
    responses((status = 200, body = FileBytes, content_type = "application/octet-stream")))]
async fn download_content(
    _: OwnContent,
    State(app): State<AppState>,
    RequestedFile(file): RequestedFile,
    if_none_match: IfNoneMatch,
    range: RequestedRange,
) -> HandlerResult {
    respond(&app, &file, &PRIVATE, &if_none_match, &range).await
}

/// Responds with a file, or a range of it.
async fn respond(
    app: &AppState,
    file: &StoredFile,
    caching: &Caching,
    if_none_match: &IfNoneMatch,
    range: &RequestedRange,
) -> HandlerResult {
    let id = file.id;
    let tag = format!("\"{}\"", file.checksum());
    let mut headers = headers(file, &tag, caching);
    if headers.get(ETAG).is_some_and(|tag| if_none_match.contains(tag)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }

    let size = u64::try_from(file.size).map_err(Technical::internal)?;
    let requested = range.of(size, &tag)?;
    let (status, bytes) = match requested {
        Some(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        None => (StatusCode::OK, 0..size),
    };
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size}", bytes.start, bytes.end.saturating_sub(1));
        insert(&mut headers, CONTENT_RANGE, &text);
    }
    headers.insert(CONTENT_LENGTH, (bytes.end - bytes.start).into());
    let body =
        if range.is_head() { Body::empty() } else { body_of(files::content(&app.store, id, bytes).await?) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    Ok(response)
}

/// Returns the headers of every response with a file. Together with those of all responses, they keep browsers from
/// running what an uploaded file contains.
fn headers(file: &StoredFile, tag: &str, caching: &Caching) -> HeaderMap {
    let is_shown = file.is_shown();
    let content_type = if is_shown { &file.content_type } else { "application/octet-stream" };
    let disposition = if is_shown { "inline" } else { "attachment" };
    let name = utf8_percent_encode(&file.name, ATTRIBUTE);
    let mut headers = HeaderMap::new();
    insert(&mut headers, CONTENT_TYPE, content_type);
    insert(&mut headers, CONTENT_DISPOSITION, &format!("{disposition}; filename*=UTF-8''{name}"));
    insert(&mut headers, ETAG, tag);
    for (name, value) in [
        (ACCEPT_RANGES, "bytes"),
        (CACHE_CONTROL, caching.control),
        (HeaderName::from_static("cross-origin-resource-policy"), caching.shown_by),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// Inserts a header whose value has only visible characters.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
