//! The category tree.

use http::Method;
use serde_json::{Value, json};
use undercroft::domain::ids::CategoryId;

use crate::support::http::{assert_for_administrators, faults};
use crate::support::store::value;
use crate::support::{Shop, TestClient, TestServer};

/// Creates a category; returns its id.
async fn create(admin: &TestClient, name: &str, parent: Option<&str>) -> String {
    let new = json!({"name": name, "parent_id": parent});
    let response = admin.post("/admin/v1/categories", new).await;
    response.expect(201)["id"].as_str().unwrap().to_owned()
}

/// The slugs of a tree: `a(b c(d))`.
fn outline(categories: &Value) -> String {
    let category = |category: &Value| {
        let slug = category["slug"].as_str().unwrap();
        match outline(&category["children"]).as_str() {
            "" => slug.to_owned(),
            below => format!("{slug}({below})"),
        }
    };
    categories.as_array().unwrap().iter().map(category).collect::<Vec<_>>().join(" ")
}

async fn tree(client: &TestClient) -> String {
    outline(&client.get("/v1/categories").await.expect(200)["items"])
}

/// Creates a product in a category.
async fn product_in(server: &TestServer, category: &str) {
    server.product().with("category_id", category).create().await;
}

/// Returns the number of listings in a category.
async fn listed_in(server: &TestServer, category: &str) -> i64 {
    let category: CategoryId = category.parse().unwrap();
    let sql = "SELECT COUNT(*) FROM listings WHERE category_id = $1";
    value(server.store.database(), sql, &[category.into()]).await
}

on_both_engines!(categories_are_created_and_listed_as_a_tree);
async fn categories_are_created_and_listed_as_a_tree(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    assert_eq!(guest.get("/v1/categories").await.expect(200), json!({"items": [], "next_cursor": null}));
    let drinks = create(&admin, "Drinks", None).await;
    let new = json!({"name": "Thé & café", "parent_id": drinks, "position": 2, "tax_class": "reduced",
                     "translations": {"de": {"name": "Tee & Kaffee"}}});
    let response = admin.post("/admin/v1/categories", new).await;
    let hot = response.expect(201);
    assert_eq!((&hot["slug"], &hot["tax_class"]), (&json!("the-cafe"), &json!("reduced")));
    assert_eq!(admin.get(response.header("location")).await.expect(200), hot);
    create(&admin, "Water", Some(&drinks)).await;
    create(&admin, "Books", None).await;
    assert_eq!(tree(&guest).await, "books drinks(water the-cafe)");
    let all = admin.get("/admin/v1/categories").await.expect(200);
    let positions: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|one| (&one["slug"], &one["position"])).collect();
    assert_eq!(
        positions.iter().map(|(slug, _)| slug.as_str().unwrap()).collect::<Vec<_>>(),
        ["books", "drinks", "water", "the-cafe"]
    );
    assert_eq!((positions[3].1, &all["items"][3]["tax_class"]), (&json!(2), &json!("reduced")));

    let whole = guest.get("/v1/categories").await;
    let known = guest.with("if-none-match", whole.header("etag"));
    assert_eq!(known.get("/v1/categories").await.status, 304);
    let subtree = guest.get("/v1/categories/drinks").await.expect(200);
    assert_eq!(subtree, guest.get(&format!("/v1/categories/{drinks}")).await.expect(200));
    assert_eq!(outline(&json!([subtree])), "drinks(water the-cafe)");
    assert_eq!(subtree["children"][1]["translations"]["de"]["name"], "Tee & Kaffee");
    let missing = guest.get("/v1/categories/shoes").await;
    assert_eq!(
        (missing.problem(404), &missing.json()["category"]),
        ("category_not_found".into(), &json!("shoes"))
    );
    create(&admin, "Shoes", None).await;
    assert_eq!(known.get("/v1/categories").await.status, 200);
}

on_both_engines!(each_fault_of_a_category_has_its_location);
async fn each_fault_of_a_category_has_its_location(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let post = async |body: Value| admin.post("/admin/v1/categories", body).await;
    let faulty = json!({"name": "", "slug": "", "position": -1, "tax_class": "Reduced", "parent_id": "x", "colour": 1});
    let expected = [
        ("/colour", "unknown"),
        ("/name", "too_short"),
        ("/parent_id", "format"),
        ("/position", "minimum"),
        ("/slug", "too_short"),
        ("/tax_class", "format"),
    ];
    assert_eq!(post(faulty).await.faults(), faults(expected));
    let faulty = json!({"name": "A", "slug": "A b", "translations": {"d/e": {"name": "A"}}});
    let expected = faults([("/slug", "format"), ("/translations/d~1e", "format")]);
    assert_eq!(post(faulty).await.faults(), expected);
    let faulty = json!({"name": "A", "translations": {"de": {"name": "A"}, "DE": {"name": "B"}}});
    assert_eq!(post(faulty).await.faults(), faults([("/translations/de", "duplicate")]));
    let faulty = json!({"name": "A", "translations": {"de": {"name": "A", "description": "B"}}});
    assert_eq!(post(faulty).await.faults(), faults([("/translations/de/description", "unknown")]));
    let faulty = json!({"name": "A", "translations": {"de": {"name": "", "title": "A"}}});
    let expected = faults([("/translations/de/name", "too_short"), ("/translations/de/title", "unknown")]);
    assert_eq!(post(faulty).await.faults(), expected);
    assert_eq!(post(json!({"name": "!!!"})).await.faults(), faults([("/slug", "format")]));
    let nowhere = json!({"name": "A", "parent_id": "00000000-0000-7000-8000-000000000000"});
    assert_eq!(post(nowhere).await.faults(), faults([("/parent_id", "not_found")]));
    assert_eq!(tree(&admin).await, "", "no category was created");
    create(&admin, "Café", None).await;
    let taken = post(json!({"name": "CAFE"})).await;
    assert_eq!((taken.problem(409), &taken.json()["field"]), ("already_exists".into(), &json!("slug")));
}

on_both_engines!(a_stale_change_of_a_category_is_refused);
async fn a_stale_change_of_a_category_is_refused(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let id = create(&admin, "Drinks", None).await;
    create(&admin, "Books", None).await;
    let path = format!("/admin/v1/categories/{id}");
    let seen = admin.get(&path).await;
    let change = json!({"name": "Beverages", "slug": "beverages", "tax_class": "reduced"});
    let changed = admin.with("if-match", seen.header("etag")).patch(&path, change).await;
    assert_eq!(changed.expect(200)["slug"], "beverages");
    let stale = admin.with("if-match", seen.header("etag")).patch(&path, json!({"name": "x"})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
    let cleared = admin.patch(&path, json!({"tax_class": null})).await.expect(200);
    assert_eq!((&cleared["tax_class"], &cleared["name"]), (&Value::Null, &json!("Beverages")));
    assert_eq!(admin.patch(&path, json!({"slug": "books"})).await.problem(409), "already_exists");
    assert_eq!(admin.patch(&path, json!({"slug": "B"})).await.faults(), faults([("/slug", "format")]));
    assert_eq!(
        admin.patch(&path, json!({"parent_id": null})).await.faults(),
        faults([("/parent_id", "unknown")])
    );
    assert_eq!(admin.get(&path).await.expect(200), cleared);
    let missing = "/admin/v1/categories/00000000-0000-7000-8000-000000000000";
    assert_eq!(admin.patch(missing, json!({})).await.problem(404), "category_not_found");
    assert_eq!(admin.get(missing).await.problem(404), "category_not_found");
}

on_both_engines!(a_subtree_is_moved_with_the_listings_of_its_products);
async fn a_subtree_is_moved_with_the_listings_of_its_products(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let drinks = create(&admin, "Drinks", None).await;
    let hot = create(&admin, "Hot", Some(&drinks)).await;
    let coffee = create(&admin, "Coffee", Some(&hot)).await;
    let food = create(&admin, "Food", None).await;
    product_in(server, &coffee).await;
    assert_eq!((listed_in(server, &drinks).await, listed_in(server, &food).await), (1, 0));
    let move_to = async |id: &str, parent: Value| {
        let path = format!("/admin/v1/categories/{id}/move");
        admin.post(&path, json!({"parent_id": parent, "position": 3})).await
    };
    let moved = move_to(&hot, json!(food)).await.expect(200);
    assert_eq!((&moved["parent_id"], &moved["position"]), (&json!(food), &json!(3)));
    assert_eq!(tree(&admin).await, "drinks food(hot(coffee))");
    assert_eq!((listed_in(server, &drinks).await, listed_in(server, &food).await), (0, 1));
    assert_eq!(listed_in(server, &coffee).await, 1);

    for below in [&food, &hot, &coffee] {
        assert_eq!(move_to(&food, json!(below)).await.faults(), faults([("/parent_id", "cycle")]));
    }
    let nowhere = json!("00000000-0000-7000-8000-000000000000");
    assert_eq!(move_to(&food, nowhere.clone()).await.faults(), faults([("/parent_id", "not_found")]));
    assert_eq!(move_to(nowhere.as_str().unwrap(), json!(food)).await.problem(404), "category_not_found");
    move_to(&coffee, Value::Null).await.expect(200);
    assert_eq!(tree(&admin).await, "drinks food(hot) coffee");
    assert_eq!(listed_in(server, &food).await, 0);
    let seen = admin.get(&format!("/admin/v1/categories/{food}")).await;
    move_to(&food, json!(drinks)).await.expect(200);
    let path = format!("/admin/v1/categories/{food}/move");
    let stale = admin.with("if-match", seen.header("etag")).post(&path, json!({"parent_id": null})).await;
    assert_eq!(stale.problem(412), "precondition_failed");
}

on_both_engines!(only_unused_categories_are_removed);
async fn only_unused_categories_are_removed(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let drinks = create(&admin, "Drinks", None).await;
    let coffee = create(&admin, "Coffee", Some(&drinks)).await;
    let empty = create(&admin, "Empty", Some(&drinks)).await;
    product_in(server, &coffee).await;
    let remove = async |id: &str| admin.delete(&format!("/admin/v1/categories/{id}")).await;
    for (needed, products, subcategories) in [(&drinks, 0, 2), (&coffee, 1, 0)] {
        let refused = remove(needed).await;
        assert_eq!(refused.problem(409), "in_use");
        let facts = refused.json();
        assert_eq!((&facts["products"], &facts["subcategories"]), (&products.into(), &subcategories.into()));
    }
    remove(&empty).await.expect(204);
    assert_eq!(remove(&empty).await.problem(404), "category_not_found");
    assert_eq!(tree(&admin).await, "drinks(coffee)");
}

on_both_engines!(a_tree_has_at_most_24_levels);
async fn a_tree_has_at_most_24_levels(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let chain = chain(&admin, 24).await;
    let deeper = json!({"name": "Level 25", "parent_id": chain.last()});
    let too_deep = faults([("/parent_id", "too_many")]);
    assert_eq!(admin.post("/admin/v1/categories", deeper).await.faults(), too_deep);
    let top = create(&admin, "Top", None).await;
    let path = format!("/admin/v1/categories/{}/move", chain[0]);
    assert_eq!(admin.post(&path, json!({"parent_id": top})).await.faults(), too_deep);
    assert!(tree(&admin).await.starts_with("level-1(level-2("));
}

on_both_engines!(only_administrators_change_categories_and_creation_is_idempotent);
async fn only_administrators_change_categories_and_creation_is_idempotent(shop: &Shop) {
    let server = shop.server().await;
    let one = "/admin/v1/categories/00000000-0000-7000-8000-000000000000";
    let moved = format!("{one}/move");
    let requests = [
        (Method::POST, "/admin/v1/categories"),
        (Method::GET, one),
        (Method::PATCH, one),
        (Method::DELETE, one),
        (Method::POST, moved.as_str()),
    ];
    assert_for_administrators(server, &requests).await;
    let keyed = server.admin().await.with("idempotency-key", "drinks");
    let first = keyed.post("/admin/v1/categories", json!({"name": "Drinks"})).await;
    let again = keyed.post("/admin/v1/categories", json!({"name": "Drinks"})).await;
    assert_eq!((first.status, &first.body), (201, &again.body));
    assert_eq!(tree(&keyed).await, "drinks");
}

/// Creates a chain of this many categories; returns their ids from the top.
async fn chain(admin: &TestClient, levels: usize) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for level in 1..=levels {
        let parent = chain.last().cloned();
        chain.push(create(admin, &format!("Level {level}"), parent.as_deref()).await);
    }
    chain
}

on_both_engines!(a_category_or_product_below_a_category_that_is_being_removed_is_refused_or_keeps_it);
async fn a_category_or_product_below_a_category_that_is_being_removed_is_refused_or_keeps_it(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    for round in 0..15 {
        let parent = create(&admin, &format!("Parent {round}"), None).await;
        let path = format!("/admin/v1/categories/{parent}");
        let child = json!({"name": format!("Child {round}"), "parent_id": parent});
        let sku = format!("sku-{round}");
        let variants = json!([{"sku": sku, "price": {"amount": 1, "currency": "EUR"}}]);
        let product = json!({"name": "Tea", "category_id": parent, "variants": variants});
        let (child, product, removed) = tokio::join!(
            admin.post("/admin/v1/categories", child),
            admin.post("/admin/v1/products", product),
            admin.delete(&path),
        );
        if removed.status == 204 {
            assert_eq!(child.faults(), faults([("/parent_id", "not_found")]));
            assert_eq!(product.faults(), faults([("/category_id", "not_found")]));
        } else {
            assert_eq!(removed.problem(409), "in_use", "{removed}");
            assert!(child.status == 201 || product.status == 201, "{child} {product}");
        }
    }
}

on_both_engines!(a_creation_and_a_move_make_no_tree_that_is_too_deep_together);
async fn a_creation_and_a_move_make_no_tree_that_is_too_deep_together(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let chain = chain(&admin, 23).await;
    let top = create(&admin, "Top", None).await;
    let path = format!("/admin/v1/categories/{}/move", chain[0]);
    for round in 0..15 {
        let deepest = json!({"name": format!("Deepest {round}"), "parent_id": chain[22]});
        let (created, moved) = tokio::join!(
            admin.post("/admin/v1/categories", deepest),
            admin.post(&path, json!({"parent_id": top})),
        );
        let refused = if created.status == 201 {
            let path = format!("/admin/v1/categories/{}", created.json()["id"].as_str().unwrap());
            admin.delete(&path).await.expect(204);
            moved
        } else {
            moved.expect(200);
            admin.post(&path, json!({"parent_id": null})).await.expect(200);
            created
        };
        assert_eq!(refused.faults(), faults([("/parent_id", "too_many")]), "round {round}");
    }
}

on_both_engines!(two_changes_that_saw_the_same_version_do_not_both_move_a_category);
async fn two_changes_that_saw_the_same_version_do_not_both_move_a_category(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let [a, b, moved] = ["A", "B", "Moved"].map(|name| create(&admin, name, None));
    let (a, b, moved) = (a.await, b.await, moved.await);
    let path = format!("/admin/v1/categories/{moved}");
    for round in 0..15 {
        let seen = admin.get(&path).await;
        let client = admin.with("if-match", seen.header("etag"));
        let path = format!("{path}/move");
        let (first, second) = tokio::join!(
            client.post(&path, json!({"parent_id": a})),
            client.post(&path, json!({"parent_id": b})),
        );
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "round {round}");
    }
}
