//! The category tree: shown, grown, pruned, moved about.

use crate::domain::category::{Branch, Category, MOST_LEVELS, count, tree};
use crate::domain::ids::CategoryId;
use crate::domain::product::Translations;
use crate::domain::slug::slug;
use crate::domain::tax::TaxClass;
use crate::infrastructure::exceptions::{
    CategoryNotFoundException, Conflict, Failure, Fault, Location, ValidationException,
};
use crate::infrastructure::repositories::{CategoryRepository, MoveError, ProductRepository, UnitOfWork};

use super::naming::{check_names, check_slug, check_translations};
use crate::application::{Store, check_version};

/// What a category is to be.
#[derive(Debug, Clone)]
pub struct NewCategory {
    /// The readable part of its address; made of the name if it is not said.
    pub slug: Option<String>,
    /// Its name.
    pub name: String,
    /// The category it stands below.
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    pub position: i64,
    /// The tax class of its products.
    pub tax_class: Option<TaxClass>,
    /// Its name in other languages.
    pub translations: Translations,
}

/// What is to be another of a category.
#[derive(Debug, Clone)]
pub struct CategoryChange {
    /// Another slug.
    pub slug: Option<String>,
    /// Another name.
    pub name: Option<String>,
    /// Another tax class, or none.
    pub tax_class: Option<Option<TaxClass>>,
    /// Other translations, all of them.
    pub translations: Option<Translations>,
}

/// Where a category is to stand.
#[derive(Debug, Clone, Copy)]
pub struct CategoryPosition {
    /// The category it stands below; `None` is the top.
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    pub position: i64,
}

/// All categories, each with what only an administrator is shown.
pub async fn all(store: &Store) -> Result<Vec<Category>, Failure> {
    Ok(CategoryRepository(&mut store.database().read().await?).tree().await?)
}

/// The whole tree.
pub async fn categories(store: &Store) -> Result<Vec<Branch>, Failure> {
    Ok(tree(all(store).await?))
}

/// A category by id.
pub async fn category(store: &Store, id: CategoryId) -> Result<Category, Failure> {
    let found = store.database().read().await?.find(id).await?;
    found.ok_or_else(|| missing(id))
}

/// Makes a category.
pub async fn create(work: &mut UnitOfWork, new: &NewCategory) -> Result<Category, Failure> {
    let slug = new.slug.clone().unwrap_or_else(|| slug(&new.name));
    check_names(&slug, &new.translations)?;
    if let Some(parent) = new.parent_id {
        let is_there = work.find::<Category>(parent).await?.is_some();
        is_there.then_some(()).ok_or_else(|| ValidationException::one("/parent_id", Fault::NoSuchThing))?;
    }
    let now = work.now();
    let category = Category {
        id: work.id(),
        slug,
        name: new.name.clone(),
        parent_id: new.parent_id,
        position: new.position,
        tax_class: new.tax_class.clone(),
        translations: new.translations.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    if !work.insert_new(&category).await? {
        return Err(Conflict::AlreadyExists { field: "slug" }.into());
    }
    check_levels(work).await?;
    Ok(category)
}

/// Changes a category where it stands.
pub async fn change(
    work: &mut UnitOfWork,
    id: CategoryId,
    change: CategoryChange,
    seen: Option<i64>,
) -> Result<Category, Failure> {
    let mut category = work.find::<Category>(id).await?.ok_or_else(|| missing(id))?;
    check_version(category.version, seen)?;
    let mut faults = ValidationException::none();
    if let Some(slug) = &change.slug {
        check_slug(slug, &mut faults);
    }
    if let Some(translations) = &change.translations {
        check_translations(translations, "", &mut faults);
    }
    faults.check()?;
    category.slug = change.slug.unwrap_or(category.slug);
    category.name = change.name.unwrap_or(category.name);
    category.tax_class = change.tax_class.unwrap_or(category.tax_class);
    category.translations = change.translations.unwrap_or(category.translations);
    category.updated_at = work.now();
    match work.update(&mut category).await {
        Err(error) if error.is_taken("categories_slug") => {
            Err(Conflict::AlreadyExists { field: "slug" }.into())
        }
        done => Ok(done.map(|()| category)?),
    }
}

/// Puts a category, with all below it, somewhere else; lists and searches follow in the same unit of work.
pub async fn move_to(
    work: &mut UnitOfWork,
    id: CategoryId,
    spot: CategoryPosition,
    seen: Option<i64>,
) -> Result<Category, Failure> {
    let before = work.find::<Category>(id).await?.ok_or_else(|| missing(id))?;
    check_version(before.version, seen)?;
    let misplaced = |fault| Failure::from(ValidationException::one("/parent_id", fault));
    let moved = CategoryRepository::move_to(work, id, spot.parent_id, spot.position).await;
    moved.map_err(|error| match error {
        MoveError::Missing => missing(id),
        MoveError::NoParent => misplaced(Fault::NoSuchThing),
        MoveError::Cycle => misplaced(Fault::Invalid),
        MoveError::Store(error) => error.into(),
    })?;
    if before.parent_id != spot.parent_id {
        check_levels(work).await?;
        ProductRepository::reindex_category(work, id).await?;
    }
    work.find(id).await?.ok_or_else(|| missing(id))
}

/// Removes a category that has neither categories below it nor products.
pub async fn remove(work: &mut UnitOfWork, id: CategoryId) -> Result<(), Failure> {
    if CategoryRepository::remove_empty(work, id).await? {
        return Ok(());
    }
    match work.find::<Category>(id).await? {
        Some(_) => Err(Conflict::InUse { what: "category" }.into()),
        None => Err(missing(id)),
    }
}

/// Refuses a change by which the tree has too many levels.
async fn check_levels(work: &mut UnitOfWork) -> Result<(), Failure> {
    let categories = CategoryRepository(work).tree().await?;
    let all = categories.len();
    if count(&tree(categories)) == all {
        return Ok(());
    }
    let place = Location::from("/parent_id");
    Err(ValidationException::one(place, Fault::TooMany { max_items: MOST_LEVELS }).into())
}

fn missing(id: CategoryId) -> Failure {
    CategoryNotFoundException { category: id.to_string() }.into()
}
