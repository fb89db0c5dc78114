//! Files, as administrators manage them.

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::application::files::{self, Upload};
use crate::domain::file::StoredFile;
use crate::domain::ids::{FileId, ProductId, UserId};
use crate::infrastructure::exceptions::{Conflict, NotFound};
use crate::presentation::http::bodies::{download_url, file_url};
use crate::presentation::http::file_content::{FileBytes, FileUpload};
use crate::presentation::http::idempotency_key::StreamedRequest;
use crate::presentation::http::json::Json;
use crate::presentation::http::list::{List, ListQuery, Unfiltered};
use crate::presentation::http::principal::Admin;
use crate::presentation::http::query::{Path, Query};
use crate::presentation::http::response::{HandlerResult, StoredResponse, created, untagged};
use crate::presentation::http::routing::{Routes, routes};
use crate::presentation::http::state::{AppState, State};

pub(super) fn routes() -> Routes {
    routes![
        list_files,
        upload_file: [NotFound::Product],
        get_file: [NotFound::File],
        delete_file: [NotFound::File, Conflict::FileInUse],
    ]
}

/// What is stated of a file beside its headers.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UploadQuery {
    /// The name of the file, for people.
    #[param(min_length = 1, max_length = 255, example = "cup.png")]
    name: String,
    /// The product whose content the file is. If omitted, the file is public. A public file cannot become the content
    /// of a product later, since caches keep it.
    #[param(value_type = Option<Uuid>)]
    product_id: Option<ProductId>,
}

/// A file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
struct FileBody {
    /// The id of the file.
    id: FileId,
    /// The URL of its bytes, which everyone can read unless it is the content of a product.
    #[schema(example = "/v1/files/01900000-0000-7000-8000-000000000001")]
    url: String,
    /// The product whose content it is: only its buyers and subscribers can read it.
    product_id: Option<ProductId>,
    /// The name of the file, for people.
    name: String,
    /// The media type.
    #[schema(example = "image/png")]
    content_type: String,
    /// The number of bytes.
    size: i64,
    /// The SHA-256 digest of the content, in hexadecimal.
    sha256: String,
    /// The administrator who uploaded it.
    owner_id: UserId,
    /// The time at which the upload was complete.
    created_at: Timestamp,
}

impl FileBody {
    fn of(file: &StoredFile) -> Self {
        Self {
            id: file.id,
            url: file.product_id.map_or_else(|| file_url(file.id), |_| download_url(file.id)),
            product_id: file.product_id,
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            size: file.size,
            sha256: file.checksum(),
            owner_id: file.owner_id,
            created_at: file.created_at,
        }
    }
}

/// List files
///
/// Newest files come first.
#[utoipa::path(get, path = "/admin/v1/files", tag = "admin-files", responses((status = 200, body = List<FileBody>)))]
async fn list_files(
    _: Admin,
    State(app): State<AppState>,
    Query(ListQuery { filter: Unfiltered {}, limit, cursor }): Query<ListQuery>,
) -> HandlerResult<Json<List<FileBody>>> {
    let page = files::files(&app.store, limit, cursor.as_deref()).await?;
    Ok(Json(List::of(page, |file| FileBody::of(&file))))
}

/// Upload a file
///
/// The body is the file, and `Content-Type` its media type. A file that is an image or a PDF by its media type must
/// begin like one. Everyone can read it unless it is the content of a product, and it never changes: a new version is
/// another file.
#[utoipa::path(post, path = "/admin/v1/files", tag = "admin-files", params(UploadQuery),
    request_body(content = FileBytes, content_type = "application/octet-stream"),
    responses((status = 201, body = FileBody)))]
async fn upload_file(
    admin: Admin,
    State(app): State<AppState>,
    Query(UploadQuery { name, product_id }): Query<UploadQuery>,
    request: StreamedRequest,
    FileUpload { content_type, sha256, content, verification }: FileUpload,
) -> HandlerResult<StoredResponse> {
    let owner_id = admin.user_id();
    let render = created(
        |file: &StoredFile| format!("/admin/v1/files/{}", file.id),
        |file| untagged(&FileBody::of(file)),
    );
    let about = content_type.clone();
    let upload = Upload { owner_id, product_id, name, content_type, sha256, content };
    let received = async move |digest: Vec<u8>| {
        if let Some(verification) = verification {
            verification.repeat().await?;
        }
        Ok(request.responder(owner_id, &[about.as_bytes(), &digest], render))
    };
    files::upload(&app.store, upload, received).await
}

/// Get a file
///
/// Returns what is known of a file; `url` has its content.
#[utoipa::path(get, path = "/admin/v1/files/{id}", tag = "admin-files", params(("id" = Uuid, Path)),
    responses((status = 200, body = FileBody)))]
async fn get_file(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<FileId>,
) -> HandlerResult<Json<FileBody>> {
    Ok(Json(FileBody::of(&files::file(&app.store, id).await?)))
}

/// Delete a file
///
/// Removes a file and its content, unless it is an image of a product. Caches may have it for longer.
#[utoipa::path(delete, path = "/admin/v1/files/{id}", tag = "admin-files", params(("id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_file(
    _: Admin,
    State(app): State<AppState>,
    Path(id): Path<FileId>,
) -> HandlerResult<StatusCode> {
    files::delete(&app.store, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
