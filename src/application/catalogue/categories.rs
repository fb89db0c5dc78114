//! The category tree: listed, changed, moved.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::category::{Category, MAX_LEVELS};
use crate::domain::ids::CategoryId;
use crate::domain::product::Translations;
use crate::domain::slug::slug;
use crate::domain::tax::TaxClass;
use crate::infrastructure::cache::{Categories, Rendered, Served};
use crate::infrastructure::exceptions::{
    CategoryNotFoundException, Conflict, Failure, Fault, ValidationException,
};
use crate::infrastructure::repositories::{
    CategoryRepository, ProductRepository, StoredResponse, TreeError, UnitOfWork,
};

use super::naming::{check_names, check_slug, check_translated_names};
use crate::application::idempotency::{Responder, once};
use crate::application::partial_update::nullable;
use crate::application::{Change, Store, check_version};

/// The category to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCategory {
    /// The name in the base language of the store.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// The readable part of the category's URL. If omitted, it is made from the name.
    #[schema(min_length = 1, max_length = 120, example = "t-shirts")]
    pub slug: Option<String>,
    /// The parent category. If omitted, the category is at the top of the tree.
    pub parent_id: Option<CategoryId>,
    /// The rank among the categories with the same parent, smallest first.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000, default = 0)]
    pub position: i64,
    /// The tax class of the products in the category, and in the categories below it that have none. If omitted, that
    /// of the parent category applies; without any, `standard`.
    pub tax_class: Option<TaxClass>,
    /// The name in other languages, by BCP 47 tag. There are no descriptions.
    #[serde(default)]
    pub translations: Translations,
}

/// A partial update of a category: a member that is omitted keeps its value.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCategory {
    /// The name in the base language of the store.
    #[schema(nullable = false, min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// The readable part of the category's URL.
    #[schema(nullable = false, min_length = 1, max_length = 120, example = "t-shirts")]
    pub slug: Option<String>,
    /// The tax class of the products in the category, and in the categories below it that have none; `null` is that of
    /// the parent category.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<TaxClass>)]
    pub tax_class: Option<Option<TaxClass>>,
    /// The name in other languages, by BCP 47 tag. There are no descriptions. Replaces all translations.
    #[schema(nullable = false)]
    pub translations: Option<Translations>,
}

/// The new position of a category in the tree.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveCategory {
    /// The new parent category; `null` is the top of the tree.
    pub parent_id: Option<CategoryId>,
    /// The rank among the categories with the same parent, smallest first.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000, default = 0)]
    pub position: i64,
}

/// Returns all categories, as the store has them when this is called; siblings are in their order. If they cannot be
/// loaded, or the database is not available or does not respond, they may be older, as their cache says.
pub async fn all(store: &Store) -> Result<Served<Rendered<Categories>>, Failure> {
    Ok(store.infrastructure.caches.tree().await?)
}

/// Returns all categories as the database has them; siblings are in their order.
pub async fn list(store: &Store) -> Result<Vec<Category>, Failure> {
    Ok(CategoryRepository(&mut store.database().read().await?).tree().await?)
}

/// Returns a category.
pub async fn category(store: &Store, id: CategoryId) -> Result<Category, Failure> {
    let found = store.database().read().await?.find(id).await?;
    found.ok_or_else(|| missing(id))
}

/// Creates a category.
pub async fn create(
    store: &Store,
    new: CreateCategory,
    responder: Responder<Category>,
) -> Result<StoredResponse, Failure> {
    once(store, responder, new, create_in).await
}

async fn create_in(work: &mut UnitOfWork, new: &CreateCategory) -> Result<Category, Failure> {
    let slug = new.slug.clone().unwrap_or_else(|| slug(&new.name));
    check_names(&slug, &new.translations)?;

    let category = Category {
        parent_id: new.parent_id,
        position: new.position,
        tax_class: new.tax_class.clone(),
        translations: new.translations.clone(),
        ..Category::new(work.id(), slug, new.name.clone(), work.now())
    };
    let inserted = CategoryRepository::insert_new(work, &category).await;
    if !inserted.map_err(|error| refused(error, category.id))? {
        return Err(Conflict::AlreadyExists { field: "slug" }.into());
    }
    Ok(category)
}

/// Changes the properties of a category.
pub async fn update(
    store: &Store,
    id: CategoryId,
    expected_version: Option<i64>,
    change: UpdateCategory,
) -> Result<Category, Failure> {
    let change = Change { id, expected_version, to: change };
    store.database().write(change, async |work, change| update_in(work, change).await).await
}

async fn update_in(
    work: &mut UnitOfWork,
    change: &Change<CategoryId, UpdateCategory>,
) -> Result<Category, Failure> {
    let Change { id, expected_version, to: change } = change;
    let (id, change) = (*id, change.clone());
    let mut category = work.find::<Category>(id).await?.ok_or_else(|| missing(id))?;
    check_version(category.version, *expected_version)?;
    let mut faults = ValidationException::none();
    if let Some(slug) = &change.slug {
        check_slug(slug, &mut faults);
    }
    if let Some(translations) = &change.translations {
        check_translated_names(translations, "", &mut faults);
    }
    faults.check()?;

    category.slug = change.slug.unwrap_or(category.slug);
    category.name = change.name.unwrap_or(category.name);
    category.tax_class = change.tax_class.unwrap_or(category.tax_class);
    category.translations = change.translations.unwrap_or(category.translations);
    match work.update(&mut category).await {
        Err(error) if error.is_taken("categories_slug") => {
            Err(Conflict::AlreadyExists { field: "slug" }.into())
        }
        updated => Ok(updated.map(|()| category)?),
    }
}

/// Moves a category with its subtree. Product lists and searches change with the same transaction.
pub async fn move_to(
    store: &Store,
    id: CategoryId,
    expected_version: Option<i64>,
    target: MoveCategory,
) -> Result<Category, Failure> {
    let change = Change { id, expected_version, to: target };
    store.database().write(change, async |work, change| move_in(work, change).await).await
}

async fn move_in(
    work: &mut UnitOfWork,
    change: &Change<CategoryId, MoveCategory>,
) -> Result<Category, Failure> {
    let &Change { id, expected_version, to: target } = change;
    CategoryRepository::lock_tree(work).await?;
    let before = work.find::<Category>(id).await?.ok_or_else(|| missing(id))?;
    check_version(before.version, expected_version)?;
    let moved = CategoryRepository::move_to(work, id, target.parent_id, target.position).await;
    moved.map_err(|error| refused(error, id))?;
    if before.parent_id != target.parent_id {
        ProductRepository::reindex_category(work, id).await?;
    }
    work.find(id).await?.ok_or_else(|| missing(id))
}

/// Removes a category that has neither subcategories nor products.
pub async fn remove(store: &Store, id: CategoryId, expected_version: Option<i64>) -> Result<(), Failure> {
    let given = (id, expected_version);
    store.database().write(given, async |work, &(id, expected)| remove_in(work, id, expected).await).await
}

async fn remove_in(
    work: &mut UnitOfWork,
    id: CategoryId,
    expected_version: Option<i64>,
) -> Result<(), Failure> {
    CategoryRepository::lock_tree(work).await?;
    let category: Category = work.lock(id).await?.ok_or_else(|| missing(id))?;
    check_version(category.version, expected_version)?;
    if CategoryRepository::remove_empty(work, id).await? {
        return Ok(());
    }
    let (products, subcategories) = CategoryRepository::uses(work, id).await?;
    Err(Conflict::CategoryInUse { products, subcategories }.into())
}

/// Turns the reason why a category was not added or moved into the failure of the request.
fn refused(error: TreeError, id: CategoryId) -> Failure {
    let fault = match error {
        TreeError::Missing => return missing(id),
        TreeError::Database(error) => return error.into(),
        TreeError::NoParent => Fault::NotFound,
        TreeError::Cycle => Fault::Cycle,
        TreeError::TooDeep => Fault::TooMany { max_items: MAX_LEVELS },
    };
    ValidationException::one("/parent_id", fault).into()
}

fn missing(id: CategoryId) -> Failure {
    CategoryNotFoundException { category: id.to_string() }.into()
}
