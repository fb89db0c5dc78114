//! The categories and the discount of the test.

use http::Method;
use serde_json::{Value, json};

use super::super::error::TortureError;
use super::facts::state_of;
use super::nodes::NodeClient;

/// The slug of the category whose name changes.
pub(super) const NAMED: &str = "category";
/// The slugs of the shelves: the categories between which a product and a category are moved.
pub(super) const SHELVES: [&str; 4] = ["first-shelf", "second-shelf", "third-shelf", "fourth-shelf"];
/// The slug of the category that is moved.
pub(super) const MOVED_CATEGORY: &str = "moved";
/// The amount of the discount in its version 0, in cents.
pub(super) const DISCOUNT: u64 = 1;
/// The code of the discount.
pub(super) const CODE: &str = "TORTURE";
/// How the slugs of what is created begin, before the version.
const NEW: &str = "new-";

/// The ids of the categories and of the discount.
pub(super) struct Catalogue {
    /// The category whose name changes.
    pub(super) named: String,
    pub(super) shelves: Vec<String>,
    /// The category that is moved.
    pub(super) moved: String,
    pub(super) discount: String,
}

impl Catalogue {
    /// Creates the categories and the discount.
    pub(super) async fn create(admin: &mut NodeClient) -> Result<Self, TortureError> {
        let named = category(admin, "Category 0", NAMED, None).await?;
        let mut shelves = Vec::new();
        for slug in SHELVES {
            shelves.push(category(admin, "Shelf", slug, None).await?);
        }
        let moved = category(admin, "Moved", MOVED_CATEGORY, Some(shelves[0].as_str())).await?;
        let discount = json!({"code": CODE, "kind": discount(0)});
        let discount = admin.set_up(Method::POST, "/admin/v1/discounts", &discount).await?.text("id");
        Ok(Self { named, shelves, moved, discount })
    }

    /// Returns the shelf of a version of what is moved.
    pub(super) fn shelf(&self, version: u64) -> &str {
        &self.shelves[state_of(version, SHELVES.len())]
    }
}

/// Creates a category, and returns its id.
async fn category(
    admin: &mut NodeClient,
    name: &str,
    slug: &str,
    parent: Option<&str>,
) -> Result<String, TortureError> {
    let body = json!({"name": name, "slug": slug, "parent_id": parent});
    Ok(admin.set_up(Method::POST, "/admin/v1/categories", &body).await?.text("id"))
}

/// Returns what the discount deducts in a version.
pub(super) fn discount(version: u64) -> Value {
    json!({"type": "fixed", "amount": {"amount": DISCOUNT + version, "currency": "EUR"}})
}

/// Returns the slug of what was created with a version.
pub(super) fn new_slug(version: u64) -> String {
    format!("{NEW}{version}")
}

/// Returns the greatest version of what was created, among products or categories.
pub(super) fn newest<'a>(all: impl Iterator<Item = &'a Value>) -> u64 {
    all.filter_map(|one| one["slug"].as_str()?.strip_prefix(NEW)?.parse().ok()).max().unwrap_or_default()
}
