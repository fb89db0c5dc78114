//! The categories of a source that has them only as paths, such as `Clothing > Shirts`.

use std::collections::HashSet;

use jiff::Timestamp;

use super::field_parsing::LineError;
use super::format_reader::Outcomes;
use crate::application::import::line::Reason;
use crate::application::records::Record;
use crate::application::records::identity::Identity;
use crate::domain::category::{Category, MAX_LEVELS};
use crate::domain::ids::CategoryId;
use crate::domain::slug::{shortened, uncut_slug};

/// A path: the slug and the name of the category on each level.
pub(super) struct CategoryPath<'a>(Vec<(String, &'a str)>);

impl<'a> CategoryPath<'a> {
    /// Reads a path with `>` between its levels. One without letters and digits is left out. A path with more levels
    /// than the tree of a store is refused.
    pub(super) fn parse(path: &'a str) -> Result<Self, LineError> {
        let levels = path.split('>').map(str::trim).map(|name| (uncut_slug(name), name));
        let levels = levels.filter(|(slug, _)| !slug.is_empty());
        let levels: Vec<_> = levels.take(MAX_LEVELS + 1).collect();
        if levels.len() > MAX_LEVELS {
            return Err((Reason::TooManyLevels, format!("more than {MAX_LEVELS}")));
        }
        Ok(Self(levels))
    }
}

/// The categories so far.
pub(super) struct CategoryTree {
    identity: Identity,
    created_at: Timestamp,
    slugs: HashSet<String>,
}

impl CategoryTree {
    /// Creates an empty tree, whose categories are created at `created_at`.
    pub(super) fn new(identity: Identity, created_at: Timestamp) -> Self {
        Self { identity, created_at, slugs: HashSet::new() }
    }

    /// Returns the category at the end of a path, and adds those of the path that are new to `out`.
    ///
    /// Names with equal slugs are the same category. The slugs of a path are joined by two hyphens, which no slug
    /// contains, so that no two paths have the same slug.
    pub(super) fn at(
        &mut self,
        CategoryPath(levels): &CategoryPath<'_>,
        out: &mut Outcomes,
    ) -> Option<CategoryId> {
        let mut parent = None;
        let mut key = String::new();
        for (slug, name) in levels {
            if !key.is_empty() {
                key.push_str("--");
            }
            key.push_str(slug);
            let id = self.identity.category(&key);
            if self.slugs.insert(key.clone()) {
                let name = (*name).to_owned();
                let category = Category::new(id, shortened(key.clone()), name, self.created_at);
                out.entry(Record::Category(Category { parent_id: parent, ..category }), Vec::new());
            }
            parent = Some(id);
        }
        parent
    }
}
