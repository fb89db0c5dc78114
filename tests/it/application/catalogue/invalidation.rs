//! What a transaction changes of public pages is published as one event, from the rows that it wrote.

use serde_json::{Value, json};

use crate::support::http::{cart_of, checkout_body, order_of};
use crate::support::{Shop, TestClient};

/// The tags of each event of what was changed since the last call.
async fn invalidated(admin: &TestClient, seen: &mut usize) -> Vec<String> {
    let list = admin.get("/admin/v1/events?type=cache_invalidation&limit=100").await.expect(200);
    let mut events = list["items"].as_array().unwrap().clone();
    events.reverse();
    let new = events[*seen..].iter().map(|event| {
        let tags = event["data"]["tags"].as_array().unwrap().iter();
        tags.map(|tag| tag.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    });
    let new = new.collect();
    *seen = events.len();
    new
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

on_both_engines!(a_change_of_what_public_pages_show_is_one_event_with_its_tags);
async fn a_change_of_what_public_pages_show_is_one_event_with_its_tags(shop: &Shop) {
    let server = shop.server().await;
    let (admin, mut seen) = (server.admin().await, 0);

    let category = id(&admin.post("/admin/v1/categories", json!({"name": "Tea"})).await.expect(201));
    let of_category = format!("category:{category} categories");
    assert_eq!(invalidated(&admin, &mut seen).await, [of_category.as_str()]);
    let price = json!({"amount": 900, "currency": "EUR"});
    let variants = json!([{"sku": "T-1", "price": price, "stock": 2}]);
    let product =
        admin.post("/admin/v1/products", json!({"name": "Assam", "variants": variants})).await.expect(201);
    let of_product = format!("product:{} products", id(&product));
    assert_eq!(invalidated(&admin, &mut seen).await, [of_product.as_str()]);

    let variant = id(&product["variants"][0]);
    let of_variant = format!("variant:{variant}");
    let change = json!({"name": "Assam, second flush", "variants": [{"sku": "T-1", "price": price}]});
    admin.put(&format!("/admin/v1/products/{}", id(&product)), change).await.expect(200);
    admin.put(&format!("/admin/v1/inventory/{variant}"), json!({"stock": 2})).await.expect(200);
    admin.delete(&format!("/admin/v1/categories/{category}")).await.expect(204);
    assert_eq!(invalidated(&admin, &mut seen).await, [of_product.as_str(), &of_variant, &of_category]);

    // each order changes how many pieces are available
    let user = server.customer().await;
    let variant = undercroft::domain::ids::VariantId(variant.parse().unwrap());
    order_of(&user, variant).await;
    assert_eq!(invalidated(&admin, &mut seen).await, [of_variant.as_str()]);
    let order = order_of(&user, variant).await;
    assert_eq!(invalidated(&admin, &mut seen).await, [of_variant.as_str()]);
    admin.post(&format!("/admin/v1/orders/{}/cancel", id(&order)), json!({})).await.expect(200);
    assert_eq!(invalidated(&admin, &mut seen).await, [of_variant.as_str()], "a piece is available again");

    let path = format!("/v1/products/{}/reviews", id(&product));
    let review = id(&user.post(&path, json!({"rating": 4})).await.expect(201));
    assert_eq!(invalidated(&admin, &mut seen).await, [""; 0], "it is not shown");
    admin.post(&format!("/admin/v1/reviews/{review}/approve"), json!({})).await.expect(200);
    assert_eq!(invalidated(&admin, &mut seen).await, [of_product.as_str()], "the rating is shown");

    let kind = json!({"type": "percent", "basis_points": 1000});
    let discount = json!({"code": "Ten", "kind": kind, "usage_limit": 9});
    let discount = id(&admin.post("/admin/v1/discounts", discount).await.expect(201));
    admin.patch(&format!("/admin/v1/discounts/{discount}"), json!({"usage_limit": 8})).await.expect(200);
    let of_discount = format!("discount:{discount}");
    assert_eq!(invalidated(&admin, &mut seen).await, [of_discount.as_str(), &of_discount]);
    let cart = cart_of(&user, variant, 1).await;
    user.put(&format!("{cart}/discount"), json!({"code": "ten"})).await.expect(200);
    user.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
    assert_eq!(invalidated(&admin, &mut seen).await, [of_variant.as_str()], "redeemed, and not changed");
}

on_both_engines!(technical_events_are_sent_to_endpoints_that_name_them);
async fn technical_events_are_sent_to_endpoints_that_name_them(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let endpoints = "/admin/v1/webhook-endpoints";
    let named =
        json!({"url": "http://127.0.0.1:9/", "event_types": ["cache_invalidation", "service_shutdown"]});
    let named = id(&admin.post(endpoints, named).await.expect(201));
    let all = id(&admin.post(endpoints, json!({"url": "http://127.0.0.1:9/"})).await.expect(201));

    shop.product().create().await;
    order_of(&server.customer().await, shop.product().create().await).await;
    let types = async |endpoint: &str| {
        let list = admin.get(&format!("{endpoints}/{endpoint}/deliveries?limit=100")).await.expect(200);
        let items = list["items"].as_array().unwrap().clone();
        items.iter().map(|delivery| delivery["event_type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut of_all = Vec::new();
    for _ in 0..600 {
        of_all = types(&all).await;
        if of_all.iter().any(|name| name == "order.paid") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(of_all.iter().any(|name| name == "order.paid"), "{of_all:?}");
    assert!(!of_all.iter().any(|name| name == "cache_invalidation"), "{of_all:?}");
    assert_eq!(types(&named).await, ["cache_invalidation"; 3]);
}
