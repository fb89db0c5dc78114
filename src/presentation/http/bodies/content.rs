//! A file that is the content of a product.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::file::StoredFile;
use crate::domain::ids::{FileId, OrderId, ProductId};

/// A file that is the content of a product, as its buyer sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Content)]
pub struct ContentBody {
    /// The id of the file.
    id: FileId,
    /// The URL of its bytes. A guest sends the token of the order with the request.
    #[schema(example = "/v1/downloads/01900000-0000-7000-8000-000000000001")]
    url: String,
    /// The product whose content it is.
    product_id: Option<ProductId>,
    /// The name of the file, for people.
    name: String,
    /// The media type.
    #[schema(example = "application/pdf")]
    content_type: String,
    /// The number of bytes.
    size: i64,
    /// The SHA-256 digest of the content, in hexadecimal.
    sha256: String,
}

impl ContentBody {
    /// The body of a file that was bought with an order.
    pub fn of(file: &StoredFile, order_id: OrderId) -> Self {
        Self {
            id: file.id,
            url: format!("{}?order_id={order_id}", download_url(file.id)),
            product_id: file.product_id,
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            size: file.size,
            sha256: file.checksum(),
        }
    }
}

/// Returns the URL of the bytes of a file that is the content of a product.
pub(in crate::presentation::http) fn download_url(id: FileId) -> String {
    format!("/v1/downloads/{id}")
}
