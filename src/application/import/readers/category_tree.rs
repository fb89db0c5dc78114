//! Categories that a source only knows as paths, such as `Clothing > Shirts`.

use std::collections::HashSet;

use super::layout::Outcomes;
use crate::application::import::identity::Identity;
use crate::application::import::record::{ImportedCategory, Record};
use crate::domain::ids::CategoryId;
use crate::domain::product::Translations;
use crate::domain::slug::slug;

/// The categories seen so far.
pub(super) struct CategoryTree {
    identity: Identity,
    seen: HashSet<String>,
}

impl CategoryTree {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity, seen: HashSet::new() }
    }

    /// The category at the end of a path, after giving out those on the way that are new.
    ///
    /// Names that read the same in an address are the same category. Two hyphens, which no slug contains, stand
    /// between the steps of a path, so that no two paths have one slug.
    pub(super) fn at<'a>(
        &mut self,
        path: impl Iterator<Item = &'a str>,
        out: &mut Outcomes,
    ) -> Option<CategoryId> {
        let mut parent = None;
        let mut key = String::new();
        for name in path.map(str::trim) {
            let step = slug(name);
            if step.is_empty() {
                continue;
            }
            if !key.is_empty() {
                key.push_str("--");
            }
            key.push_str(&step);
            let id = self.identity.category(&key);
            if self.seen.insert(key.clone()) {
                let category = ImportedCategory {
                    id,
                    parent,
                    slug: key.clone(),
                    name: name.to_owned(),
                    tax_class: None,
                    translations: Translations::new(),
                    created_at: None,
                };
                out.entry(Record::Category(category), Vec::new());
            }
            parent = Some(id);
        }
        parent
    }
}
