//! The category tree: its order, moves without cycles, and removals.

use undercroft::domain::category::Category;
use undercroft::domain::ids::CategoryId;
use undercroft::domain::product::Texts;
use undercroft::infrastructure::repositories::{CategoryRepository, DatabaseError, TreeError};
use uuid::Uuid;

use super::{at, concurrently, execute, insert, number, product, update};
use crate::support::Shop;

fn id(number: u128) -> CategoryId {
    CategoryId(Uuid::from_u128(number))
}

fn category(number: u128, parent: Option<u128>, position: i64) -> Category {
    Category {
        id: id(number),
        slug: format!("c{number}"),
        name: format!("Category {number}"),
        parent_id: parent.map(id),
        position,
        tax_class: Some("reduced".parse().unwrap()),
        translations: [("de".to_owned(), Texts { name: "Käse".into(), description: String::new() })].into(),
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    }
}

async fn insert_all(shop: &Shop, categories: &[Category]) {
    for category in categories {
        insert(shop, category).await.unwrap();
    }
}

/// Inserts 1 with its child 2 and its grandchild 3, and 4.
async fn insert_four(shop: &Shop) {
    insert_all(
        shop,
        &[category(1, None, 1), category(2, Some(1), 0), category(3, Some(2), 0), category(4, None, 0)],
    )
    .await;
}

async fn move_to(shop: &Shop, child: u128, parent: Option<u128>, position: i64) -> Result<(), TreeError> {
    let (child, parent) = (id(child), parent.map(id));
    let given = (child, parent, position);
    let moved = shop.database.write(given, async |work, &(child, parent, position)| {
        CategoryRepository::move_to(work, child, parent, position).await
    });
    moved.await
}

async fn ancestors(shop: &Shop, of: u128) -> Vec<CategoryId> {
    CategoryRepository(&mut shop.database.read().await.unwrap()).ancestors(id(of)).await.unwrap()
}

async fn remove(shop: &Shop, number: u128) -> bool {
    let removed = shop
        .database
        .write(id(number), async |work, &id| CategoryRepository::remove_empty(work, id).await)
        .await;
    removed.unwrap()
}

on_both_engines!(the_tree_is_read_in_order_and_a_category_by_id_or_slug);
async fn the_tree_is_read_in_order_and_a_category_by_id_or_slug(shop: &Shop) {
    insert_four(shop).await;
    insert_all(shop, &[Category { slug: "a".into(), ..category(5, Some(1), 0) }]).await;
    let mut connection = shop.database.read().await.unwrap();
    let mut categories = CategoryRepository(&mut connection);
    let tree = categories.tree().await.unwrap();
    assert_eq!(tree.iter().map(|c| c.id).collect::<Vec<_>>(), [id(5), id(2), id(3), id(4), id(1)]);
    assert_eq!(tree[4], category(1, None, 1), "as it was written");
    for name in ["c3", &id(3).to_string()] {
        assert_eq!(categories.by_id_or_slug(name).await.unwrap(), Some(category(3, Some(2), 0)), "{name}");
    }
    assert_eq!(categories.by_id_or_slug(&id(9).to_string()).await.unwrap(), None);
    assert_eq!(categories.by_id_or_slug("C3").await.unwrap(), None);
}

on_both_engines!(a_move_includes_the_subtree);
async fn a_move_includes_the_subtree(shop: &Shop) {
    insert_four(shop).await;
    assert_eq!(ancestors(shop, 3).await, [id(3), id(2), id(1)]);
    move_to(shop, 2, Some(4), 7).await.unwrap();
    assert_eq!(ancestors(shop, 3).await, [id(3), id(2), id(4)]);
    let mut connection = shop.database.read().await.unwrap();
    let mut below = CategoryRepository(&mut connection).subtree(id(4)).await.unwrap();
    below.sort();
    assert_eq!(below, [id(2), id(3), id(4)]);
    assert_eq!(CategoryRepository(&mut connection).subtree(id(1)).await.unwrap(), [id(1)]);
    let moved: Category = connection.find(id(2)).await.unwrap().unwrap();
    assert_eq!((moved.parent_id, moved.position, moved.version), (Some(id(4)), 7, 2));
    move_to(shop, 2, None, 0).await.unwrap();
    assert_eq!(ancestors(shop, 3).await, [id(3), id(2)]);
}

on_both_engines!(the_tax_class_of_a_category_is_that_of_the_nearest_one_above_with_a_class);
async fn the_tax_class_of_a_category_is_that_of_the_nearest_one_above_with_a_class(shop: &Shop) {
    let of_class = |number, parent, class: Option<&str>| Category {
        tax_class: class.map(|class| class.parse().unwrap()),
        ..category(number, parent, 0)
    };
    insert_all(
        shop,
        &[
            of_class(1, None, Some("zero")),
            of_class(2, Some(1), None),
            of_class(3, Some(2), Some("reduced")),
            of_class(4, Some(3), None),
            of_class(5, Some(4), None),
            of_class(6, None, None),
            of_class(7, Some(6), None),
        ],
    )
    .await;
    let mut connection = shop.database.read().await.unwrap();
    let mut categories = CategoryRepository(&mut connection);
    let asked: Vec<_> = (1..=8).map(id).collect();
    let classes = categories.tax_classes(&asked).await.unwrap();
    let expected = [(1, "zero"), (2, "zero"), (3, "reduced"), (4, "reduced"), (5, "reduced")];
    let expected = expected.map(|(number, class)| (id(number), class.parse().unwrap()));
    assert_eq!(classes, expected.into());
    assert!(categories.tax_classes(&[]).await.unwrap().is_empty());
}

on_both_engines!(a_move_below_itself_or_a_missing_parent_is_refused);
async fn a_move_below_itself_or_a_missing_parent_is_refused(shop: &Shop) {
    insert_four(shop).await;
    for parent in [1, 2, 3] {
        assert!(matches!(move_to(shop, 1, Some(parent), 0).await, Err(TreeError::Cycle)), "{parent}");
    }
    assert!(matches!(move_to(shop, 1, Some(9), 0).await, Err(TreeError::NoParent)));
    assert!(matches!(move_to(shop, 9, Some(1), 0).await, Err(TreeError::Missing)));
    assert_eq!(ancestors(shop, 3).await, [id(3), id(2), id(1)]);
}

on_both_engines!(two_concurrent_moves_make_no_cycle);
async fn two_concurrent_moves_make_no_cycle(shop: &Shop) {
    insert_all(shop, &[category(1, None, 0), category(2, None, 0)]).await;
    for round in 0..20 {
        let moved = concurrently(shop, 2, |shop, number| async move {
            let (child, parent) = if number == 0 { (1, 2) } else { (2, 1) };
            move_to(&shop, child, Some(parent), 0).await.is_ok()
        })
        .await;
        assert_eq!(moved, 1, "round {round}");
        assert_eq!((ancestors(shop, 1).await.len() + ancestors(shop, 2).await.len()), 3);
        for child in [1, 2] {
            move_to(shop, child, None, 0).await.unwrap();
        }
    }
}

on_both_engines!(an_edit_keeps_the_position);
async fn an_edit_keeps_the_position(shop: &Shop) {
    insert_four(shop).await;
    let rename = async |name: &str, version| {
        let edited = Category { name: name.into(), version, ..category(2, None, 9) };
        update(shop, edited).await
    };
    rename("Cheese", 1).await.unwrap();
    let found: Category = shop.database.read().await.unwrap().find(id(2)).await.unwrap().unwrap();
    let updated_at = found.updated_at;
    assert_eq!(found, Category { name: "Cheese".into(), version: 2, updated_at, ..category(2, Some(1), 0) });
    assert!(updated_at > category(2, None, 0).updated_at);
    move_to(shop, 2, Some(4), 0).await.unwrap();
    assert!(matches!(rename("Stale cheese", 2).await, Err(DatabaseError::Stale { table: "categories" })));
    let same_slug = Category { id: id(8), ..category(1, None, 0) };
    let taken = insert(shop, &same_slug).await.unwrap_err();
    assert!(taken.is_taken("categories_slug"), "{taken}");
}

on_both_engines!(only_an_empty_category_is_removed);
async fn only_an_empty_category_is_removed(shop: &Shop) {
    insert_four(shop).await;
    let inside = product(shop, 1).await;
    let sql = "UPDATE products SET category_id = $2 WHERE id = $1";
    execute(shop, sql, &[inside.into(), id(3).into()]).await;
    assert!(!remove(shop, 2).await, "it has a child");
    assert!(!remove(shop, 3).await, "it has a product");
    assert!(!remove(shop, 9).await, "it does not exist");
    execute(shop, sql, &[inside.into(), id(4).into()]).await;
    assert!(remove(shop, 3).await);
    assert!(remove(shop, 2).await);
    assert_eq!(number(shop, "SELECT COUNT(*) FROM categories", &[]).await, 2);
}

on_both_engines!(nothing_is_moved_below_a_category_that_is_being_removed);
async fn nothing_is_moved_below_a_category_that_is_being_removed(shop: &Shop) {
    insert_four(shop).await;
    for _ in 0..10 {
        let done = concurrently(shop, 2, |shop, number| async move {
            if number == 0 {
                return remove(&shop, 4).await;
            }
            match move_to(&shop, 3, Some(4), 0).await {
                Ok(()) => true,
                Err(TreeError::NoParent) => false,
                Err(other) => panic!("{other}"),
            }
        })
        .await;
        assert_eq!(done, 1);
        if ancestors(shop, 4).await.is_empty() {
            insert_all(shop, &[category(4, None, 0)]).await;
        }
        move_to(shop, 3, Some(2), 0).await.unwrap();
    }
}
