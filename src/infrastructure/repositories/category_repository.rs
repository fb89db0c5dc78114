//! Categories: read as a whole tree or one by one.

mod tree;

pub use self::tree::MoveError;

use super::database::{Connection, DatabaseError, Json, Param, Row, Table, Versioned, params, select};
use crate::domain::category::Category;
use crate::domain::ids::CategoryId;

impl Table for Category {
    const NAME: &'static str = "categories";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "slug",
        "name",
        "parent_id",
        "position",
        "tax_class",
        "translations",
        "version",
        "created_at",
        "updated_at",
    ];

    fn from_row(row: &Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.get(0)?,
            slug: row.get(1)?,
            name: row.get(2)?,
            parent_id: row.get(3)?,
            position: row.get(4)?,
            tax_class: row.get(5)?,
            translations: row.get::<Json<_>>(6)?.0,
            version: row.get(7)?,
            created_at: row.get(8)?,
            updated_at: row.get(9)?,
        })
    }

    fn bind(&self) -> Vec<Param<'_>> {
        params![
            self.id,
            &self.slug,
            &self.name,
            self.parent_id,
            self.position,
            self.tax_class.as_ref(),
            Param::json(&self.translations),
            self.version,
            self.created_at,
            self.updated_at,
        ]
        .into()
    }
}

impl Versioned for Category {
    /// Only [`CategoryRepository::move_to`] changes its place, which it guards.
    const APART: &'static [&'static str] = &["parent_id", "position"];

    fn version_mut(&mut self) -> &mut i64 {
        &mut self.version
    }
}

/// The queries of categories.
pub struct CategoryRepository<'a>(pub &'a mut Connection);

impl CategoryRepository<'_> {
    /// Every category, siblings in their order.
    pub async fn tree(&mut self) -> Result<Vec<Category>, DatabaseError> {
        self.0.all(&select::<Category>("ORDER BY position, slug"), &[], Category::from_row).await
    }

    /// The category with this id, or else this slug.
    pub async fn by_id_or_slug(&mut self, name: &str) -> Result<Option<Category>, DatabaseError> {
        if let Ok(id) = name.parse::<CategoryId>()
            && let Some(found) = self.0.find(id).await?
        {
            return Ok(Some(found));
        }
        self.0.first(&select::<Category>("WHERE slug = $1"), &params![name], Category::from_row).await
    }
}
