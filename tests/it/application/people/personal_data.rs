//! The export of the own data, and that an erasure leaves nothing of it but the books.

use jiff::SignedDuration;
use serde_json::{Value, json};
use undercroft::application::jobs::job_queue;
use undercroft::infrastructure::repositories::Engine;

use super::{PASSWORD, bearer, erase, log_in, newcomer, try_log_in};
use crate::support::http::{cart_of, checkout_body, new_cart, order_of};
use crate::support::passwords::create_key;
use crate::support::store::{address, sandbox_emails, value};
use crate::support::{Shop, ShopOptions, TestClient, eventually};

/// The beginning of each text by which the personal data of the test is recognized.
const CANARY: &str = "canary";

/// The tables that keep texts of an erased user, each with the reason.
const KEPT: [(&str, &str); 3] = [
    ("invoices", "the law requires the addresses on invoices and credit notes"),
    ("payment_operations", "the ledger has the reason of a refund, which an administrator wrote"),
    ("reviews", "a published review has no author's name"),
];

on_both_engines!(an_export_has_all_that_an_erasure_removes, ShopOptions::default().terms(sandbox_emails()));
async fn an_export_has_all_that_an_erasure_removes(shop: &Shop) {
    let server = shop.server().await;
    let (admin, bob) = (server.admin().await, newcomer(server, "bob@example.org").await);
    order_of(&bob, shop.product().create().await).await;
    let ann = fill(shop, &admin).await;

    let response = ann.get("/v1/me/export").await;
    let export = response.expect(200);
    assert_eq!(response.header("cache-control"), "no-store");
    let text = export.to_string();
    for canary in [
        "canary-account@example.org",
        "canary name",
        "canary agent",
        "canary key",
        "canary postal",
        "canary-cart@example.org",
        "canary-order@example.org",
        "canary shipping",
        "canary billing",
        "canary tracking",
        "canary refund",
        "canary identity",
        "canary title",
        "canary text",
        "1990-03-07",
        "pt-BR",
    ] {
        assert!(text.contains(canary), "{canary}: {text}");
    }
    for member in [
        "sessions",
        "api_keys",
        "carts",
        "orders",
        "invoices",
        "reviews",
        "subscriptions",
        "notifications",
        "emails",
        "security_log",
    ] {
        assert!(!export[member].as_array().unwrap().is_empty(), "{member}: {text}");
    }
    assert!(!text.contains("bob@example.org") && !text.contains("argon2"), "{text}");
    assert!(!text.contains(ann.header("authorization").trim_start_matches("Bearer ")), "{text}");
    let found = tables_with(shop, CANARY).await;
    assert!(found.len() > KEPT.len() && found.contains(&"users".to_owned()), "{found:?}");

    erase(&ann).await.expect(204);
    let kept: Vec<_> = KEPT.iter().map(|(table, _)| (*table).to_owned()).collect();
    // notices that are to be sent
    let found = tables_with(shop, CANARY).await;
    assert_eq!((found[0].as_str(), &found[1..]), ("emails", &kept[..]));

    let overdue = shop.now() - SignedDuration::from_hours(49);
    let write = shop.database.write(overdue, async |work, overdue| {
        work.execute("UPDATE emails SET due_at = $1 WHERE status = 'pending'", &[(*overdue).into()]).await
    });
    write.await.unwrap();
    job_queue(&shop.store).run("expire_emails", json!({}), None).await.unwrap();
    let are_given_up = async || tables_with(shop, CANARY).await == kept;
    eventually("the end of the notices", are_given_up).await;
}

on_both_engines!(each_part_of_an_export_is_that_of_its_owner);
async fn each_part_of_an_export_is_that_of_its_owner(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let variants = [
        shop.product().create().await.to_string(),
        shop.product().subscription().create().await.to_string(),
        shop.product().subscription().create().await.to_string(),
    ];
    for variant in &variants {
        order_of(&ann, variant).await;
    }
    // in the reverse order of their ids
    let cart = cart_of(&ann, &variants[2], 3).await;
    for (variant, quantity) in [(&variants[1], 2), (&variants[0], 1)] {
        ann.put(&format!("{cart}/items/{variant}"), json!({"quantity": quantity})).await.expect(200);
    }
    let empty = new_cart(&ann).await;

    let export = ann.get("/v1/me/export").await.expect(200);
    let all = |member: &str| export[member].as_array().unwrap().clone();
    let items = |path: &str| {
        let is_it = |cart: &&Value| path.ends_with(cart["id"].as_str().unwrap());
        let carts = all("carts");
        let cart = carts.iter().find(is_it).unwrap_or_else(|| panic!("{path}: {carts:?}"));
        let items = cart["items"].as_array().unwrap().iter();
        let pairs = items.map(|item| {
            (item["variant_id"].as_str().unwrap().to_owned(), item["quantity"].as_i64().unwrap())
        });
        pairs.collect::<Vec<_>>()
    };
    let [first, second, third] = variants;
    assert_eq!(items(&cart), vec![(third, 3), (second, 2), (first, 1)]);
    assert!(items(&empty).is_empty());
    let orders = all("orders");
    assert_eq!(orders.len(), 3);
    for placed in orders {
        let operations = placed["operations"].as_array().unwrap();
        assert_eq!(operations[0]["kind"], "authorize", "{placed}");
        let payment = &placed["order"]["payment"]["id"];
        assert!(operations.iter().all(|one| one["payment_id"] == *payment), "{placed}");
    }
    let subscriptions = all("subscriptions");
    assert_eq!(subscriptions.len(), 2);
    for subscription in subscriptions {
        let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
        assert_eq!(subscription["periods"], ann.get(&path).await.expect(200)["periods"]);
        assert_eq!(subscription["periods"].as_array().unwrap().len(), 1, "{subscription}");
    }
}

on_both_engines!(an_export_has_the_security_log_of_the_user_without_the_networks_of_administrators);
async fn an_export_has_the_security_log_of_the_user_without_the_networks_of_administrators(shop: &Shop) {
    let server = shop.server().await;
    let (admin, ann) = (server.admin().await, newcomer(server, "ann@example.org").await);
    newcomer(server, "bob@example.org").await;
    let id = ann.get("/v1/me").await.expect(200)["id"].clone();
    let key = create_key(server, &ann, json!({"name": "Key"})).await.expect(201)["id"].clone();
    assert_eq!(try_log_in(server, "ann@example.org", "wrong horse").await.status, 401);
    // the read of an account does not concern its security, the end of its sessions and API keys does
    let path = format!("/admin/v1/users/{}", id.as_str().unwrap());
    admin.get(&path).await.expect(200);
    admin.delete(&format!("{path}/sessions?revoke_api_keys=true")).await.expect(204);

    let ann = log_in(server, "ann@example.org", PASSWORD).await;
    let log = ann.get("/v1/me/export").await.expect(200)["security_log"].clone();
    let found: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["occurred_at"].is_string(), "{entry}");
            (entry["action"].as_str().unwrap(), &entry["network"], &entry["subject_id"])
        })
        .collect();
    let (own, none) = (json!("127.0.0.0/24"), Value::Null);
    let expected = [
        ("session.created", &own, &id),
        ("api_key.revoked", &none, &key),
        ("sessions.ended", &none, &id),
        ("session.refused", &own, &id),
        ("api_key.created", &own, &key),
        ("session.created", &own, &id),
        ("user.registered", &own, &id),
    ];
    assert_eq!(found, expected);
}

/// A customer with rows in every table that has personal data, logged in.
async fn fill(shop: &Shop, admin: &TestClient) -> TestClient {
    let server = shop.server().await;
    let new = json!({"email": "canary-account@example.org", "password": PASSWORD, "name": "canary name",
                     "birth_date": "1990-03-07", "locale": "pt-BR"});
    server.guest().post("/v1/users", new).await.expect(201);
    let account = json!({"email": "canary-account@example.org", "password": PASSWORD});
    let session = server.guest().with("user-agent", "canary agent").post("/v1/sessions", account).await;
    let ann = bearer(server, session.expect(201)["token"].as_str().unwrap());

    let product = shop.product().create().await;
    for variant in [product, shop.product().subscription().create().await] {
        let order = buy(&ann, variant).await;
        let path = format!("/admin/v1/orders/{}", order["id"].as_str().unwrap());
        let fulfil = json!({"tracking_code": "canary tracking"});
        admin.post(&format!("{path}/fulfil"), fulfil).await.expect(200);
        if variant == product {
            let refund = json!({"amount": {"amount": 1, "currency": "EUR"}, "reason": "canary refund"});
            admin.post(&format!("{path}/refund"), refund).await.expect(201);
            let path = format!("/v1/products/{}/reviews", order["items"][0]["product_id"].as_str().unwrap());
            let review = json!({"rating": 5, "title": "canary title", "body": "canary text"});
            ann.post(&path, review).await.expect(201);
        }
    }
    create_key(server, &ann, json!({"name": "canary key"})).await.expect(201);
    let delivery =
        json!({"country": "DE", "postal_code": "canary postal", "email": "canary-cart@example.org"});
    ann.put(&format!("{}/delivery", new_cart(&ann).await), delivery).await.expect(200);

    let id: uuid::Uuid = ann.get("/v1/me").await.expect(200)["id"].as_str().unwrap().parse().unwrap();
    let write = shop.database.write(id, async |work, id| {
        let sql = "INSERT INTO user_identities SELECT 'oidc', 'canary identity', id, created_at FROM users WHERE id = $1";
        work.execute(sql, &[(*id).into()]).await
    });
    write.await.unwrap();
    let is_notified = async || ann.get("/v1/notifications").await.expect(200)["items"] != json!([]);
    eventually("a notification", is_notified).await;
    ann
}

/// Buys one piece with addresses of its own; returns the order.
async fn buy(ann: &TestClient, variant: impl ToString) -> Value {
    let named = |name: &str| {
        let mut address = json!(address());
        address["name"] = name.into();
        address
    };
    let mut checkout = checkout_body("tok_ok");
    checkout["email"] = "canary-order@example.org".into();
    checkout["shipping_address"] = named("canary shipping");
    checkout["billing_address"] = named("canary billing");
    let cart = cart_of(ann, variant, 1).await;
    ann.post(&format!("{cart}/checkout"), checkout).await.expect(201)
}

/// The tables of which any column of any row contains a text.
async fn tables_with(shop: &Shop, text: &str) -> Vec<String> {
    let columns = match shop.database.engine() {
        Engine::Sqlite => {
            "SELECT m.name, p.name, 'TEXT' FROM sqlite_master m, pragma_table_info(m.name) p \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
        }
        Engine::Postgres => {
            "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_schema = current_schema() ORDER BY 1, 2"
        }
    };
    let mut connection = shop.database.read().await.unwrap();
    let columns: Vec<(String, String, String)> = connection.all(columns, &[]).await.unwrap();
    assert!(columns.len() > 200, "{} columns", columns.len());
    drop(connection);

    let mut found = Vec::new();
    for (table, column, data_type) in columns {
        let shown = match data_type.as_str() {
            "bytea" => format!("encode(\"{column}\", 'escape')"),
            _ => format!("CAST(\"{column}\" AS TEXT)"),
        };
        let sql = format!("SELECT COUNT(*) FROM \"{table}\" WHERE {shown} LIKE $1");
        let pattern = format!("%{text}%");
        if value::<i64>(&shop.database, &sql, &[pattern.as_str().into()]).await > 0 && !found.contains(&table)
        {
            found.push(table);
        }
    }
    found
}
