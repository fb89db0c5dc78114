//! The categories of a source that has them only as paths, such as `Clothing > Shirts`.

use std::collections::HashSet;

use jiff::Timestamp;

use super::format_reader::Outcomes;
use crate::application::records::Record;
use crate::application::records::identity::Identity;
use crate::domain::category::Category;
use crate::domain::ids::CategoryId;
use crate::domain::slug::{shortened, uncut_slug};

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
    pub(super) fn at<'a>(
        &mut self,
        path: impl Iterator<Item = &'a str>,
        out: &mut Outcomes,
    ) -> Option<CategoryId> {
        let mut parent = None;
        let mut key = String::new();
        for name in path.map(str::trim) {
            let step = uncut_slug(name);
            if step.is_empty() {
                continue;
            }
            if !key.is_empty() {
                key.push_str("--");
            }
            key.push_str(&step);
            let id = self.identity.category(&key);
            if self.slugs.insert(key.clone()) {
                let category = Category::new(id, shortened(key.clone()), name.to_owned(), self.created_at);
                out.entry(Record::Category(Category { parent_id: parent, ..category }), Vec::new());
            }
            parent = Some(id);
        }
        parent
    }
}
